from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import numpy as np
import polars as pl
import pytest

from mlops_assets.evaluation.assets import backtest_key
from mlops_assets.features.assets import features_key
from mlops_assets.forecasting.assets import forecasts_key
from mlops_assets.monitoring.drift import assets
from mlops_assets.monitoring.drift.assets import build_drift_asset, drift_key
from mlops_assets.monitoring.drift.checks import build_drift_checks
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ProblemError
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.registry import Registry
from mlops_assets.storage.io_manager import TableIOManager, table_name
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.evaluation.frames import small_problem
from mlops_assets_tests.monitoring.drift.histories import (
    DAY,
    FloatArray,
    feature_table,
    forecasts_of,
    problem,
    reference,
)
from mlops_assets_tests.monitoring.drift.test_report import calm

Reported = Callable[[FloatArray], dg.ExecuteInProcessResult]

PROBLEM = problem("calm", current=DAY)
TABLE = table_name(drift_key(PROBLEM.name))
UPSTREAM = (features_key, backtest_key, forecasts_key, champion_key)


def newest(values: FloatArray) -> datetime:
    """The newest origin of the table."""
    instant = feature_table(values)["origin"].max()
    assert isinstance(instant, datetime)
    return instant


@pytest.fixture
def reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reported:
    """Runs the report and its check on given values, without Evidently and without MLflow."""
    monkeypatch.setattr(assets, "draw", lambda report: b"page")

    def run(values: FloatArray) -> dg.ExecuteInProcessResult:
        fitted = reference(newest(values) - 2 * DAY)
        card = SimpleNamespace(**vars(fitted))
        monkeypatch.setattr(Registry, "model", lambda self, version: (b"", card))
        features = feature_table(values)
        said = forecasts_of(features)
        tables = (features, said, said.clear(), pl.DataFrame({"version": ["7"]}))
        for key, table in zip(UPSTREAM, tables, strict=True):
            TableStore(str(tmp_path)).write(table_name(key(PROBLEM.name)), table)
        stored = [
            dg.AssetSpec(key(PROBLEM.name)).with_io_manager_key("io_manager") for key in UPSTREAM
        ]
        return dg.materialize(
            [build_drift_asset(PROBLEM), *build_drift_checks(PROBLEM), *stored],
            resources={
                "clock": Clock(fixed_at=newest(values).isoformat()),
                "platform": Platform(),
                "tables": Tables(root=str(tmp_path)),
                "io_manager": TableIOManager(root=str(tmp_path)),
            },
        )

    return run


def the_check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    """The evaluation of `drift`."""
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_a_quiet_day_passes_and_is_linked(reported: Reported, tmp_path: Path) -> None:
    result = reported(calm())

    (event,) = result.asset_materializations_for_node("coin_close__drift_report")
    page = tmp_path / str(event.metadata["report"].value)
    assert the_check(result).passed
    assert page.read_bytes() == b"page"
    assert event.metadata["page"].value == page.as_uri()
    assert event.metadata["share_drifted"].value == 0
    assert event.metadata["concept_drift"].value == 0


def test_a_drifted_feature_is_a_warning_that_names_the_remedy(reported: Reported) -> None:
    evaluation = the_check(reported(calm(shift=4.0)))

    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert evaluation.description is not None
    assert evaluation.description.startswith("calm is ")
    assert "at most once in 1 day, 0:00:00" in evaluation.description


def test_too_short_a_history_passes_and_draws_no_page(reported: Reported, tmp_path: Path) -> None:
    evaluation = the_check(reported(calm(days=3)))

    assert evaluation.passed
    assert evaluation.description is not None
    assert "Too little history" in evaluation.description
    assert not (tmp_path / "reports").exists()


def test_a_repeat_at_one_instant_replaces_the_report(reported: Reported, tmp_path: Path) -> None:
    reported(calm())
    reported(calm())

    assert len(TableStore(str(tmp_path)).read(TABLE)) == 3


def test_reports_follow_each_other_with_the_newest_last(reported: Reported, tmp_path: Path) -> None:
    reported(calm(days=30))
    reported(calm(days=40))

    table = TableStore(str(tmp_path)).read(TABLE)
    assert len(table) == 6
    assert table["as_of"][-1] == newest(calm(days=40))
    assert np.all(np.diff(table["as_of"].to_numpy()) >= np.timedelta64(0))


def test_a_problem_without_drift_has_no_report() -> None:
    with pytest.raises(ProblemError, match="coin_close has no `drift`"):
        build_drift_asset(small_problem())
