from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from mlops_assets.forecasting.assets import forecasts_key
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.monitoring.live.assets import build_live_scores_asset, live_scores_key
from mlops_assets.monitoring.live.checks import build_live_scores_checks
from mlops_assets.monitoring.live_scores import LIVE_SCORES
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Tables
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.control_state import CONTROL, control_table
from mlops_assets.storage.io_manager import TableIOManager, table_name
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.monitoring.scored import at, history, observed, problem, said, verdict

PROBLEM = problem()
HOURS = 60


def scored(folder: Path, *, bias: float, hour: int = HOURS) -> dg.ExecuteInProcessResult:
    """Materialise the asset with its check on stored tables; the champion is off by `bias`."""
    store = TableStore(str(folder))
    flat = dict.fromkeys(range(HOURS), 100.0)
    biased = dict.fromkeys(range(HOURS), 100.0 + bias)
    tables = {
        forecasts_key: pl.concat(
            [
                said("1", "last_value", flat, half_width=3.0),
                said("2", "ridge", biased, half_width=3.0),
            ]
        ),
        observations_key: observed(
            (100 + np.random.default_rng(3).normal(0, 1, HOURS + 1)).tolist()
        ),
        champion_key: history(verdict(0, "2", "ridge")),
    }
    for key, frame in tables.items():
        store.write(table_name(key(PROBLEM.name)), frame)
    upstream = [dg.AssetSpec(key(PROBLEM.name)) for key in tables]
    return dg.materialize(
        [*upstream, build_live_scores_asset(PROBLEM), *build_live_scores_checks(PROBLEM)],
        resources={
            "clock": Clock(fixed_at=at(hour).isoformat()),
            "tables": Tables(root=str(folder)),
            "io_manager": TableIOManager(root=str(folder)),
        },
        selection=dg.AssetSelection.assets(live_scores_key(PROBLEM.name)),
    )


def test_scores_and_control_are_written_together(tmp_path: Path) -> None:
    scored(tmp_path, bias=0.0)

    store = TableStore(str(tmp_path))
    scores = store.read(table_name(live_scores_key(PROBLEM.name)))
    assert (scores.schema, scores.height) == (LIVE_SCORES, 2 * HOURS)
    assert store.read(control_table(PROBLEM.name)).schema == CONTROL


def test_a_sound_champion_passes_the_check(tmp_path: Path) -> None:
    (check,) = scored(tmp_path, bias=0.0).get_asset_check_evaluations()

    assert (check.check_name, check.passed) == ("control", True)


def test_a_bad_champion_fails_the_check_as_a_warning_that_blocks_nothing(tmp_path: Path) -> None:
    result = scored(tmp_path, bias=3.0)

    (check,) = result.get_asset_check_evaluations()
    assert result.success
    assert (check.passed, check.severity, check.blocking) == (
        False,
        dg.AssetCheckSeverity.WARN,
        False,
    )
    assert "materialise champion: it rolls back" in str(check.description)


def test_the_figures_are_shown_and_plotted(tmp_path: Path) -> None:
    result = scored(tmp_path, bias=3.0)

    (event,) = result.asset_materializations_for_node(f"{PROBLEM.name}__live_scores")
    shown = event.metadata
    assert "| `ridge` | champion | 60 |" in str(shown["live"].value)
    assert {"live_mae", "live_coverage", "largest_e_value"} <= set(shown)
    assert shown["alarms"].value == 2  # its errors, and bands that follow the bias


def test_before_anything_came_true_the_asset_says_so(tmp_path: Path) -> None:
    result = scored(tmp_path, bias=3.0, hour=0)

    (event,) = result.asset_materializations_for_node(f"{PROBLEM.name}__live_scores")
    assert event.metadata["live"].value == "No forecast has come true yet."
    assert "live_mae" not in event.metadata
    assert result.get_asset_check_evaluations()[0].passed
