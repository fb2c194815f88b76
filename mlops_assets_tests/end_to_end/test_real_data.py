"""The shared real files through the backtest; skipped where they are absent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.evaluation.backtest import add_bands, run_backtest
from mlops_assets.evaluation.folds import plan_folds
from mlops_assets.evaluation.leaderboard import leaderboard
from mlops_assets.features.design import add_targets, feature_columns, lay_rows
from mlops_assets.features.feature_set import compute_features
from mlops_assets.ingestion.observations import observe
from mlops_assets.ingestion.pull import pull, read_raw
from mlops_assets.problem import FeatureGroup, ForecastProblem, load_problem
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.recipe import build_recipes
from mlops_assets_tests.ingestion.market import SHIPPED

SHARED = SHIPPED.parents[3].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared evaluation data is not beside the project"
)
AS_OF = datetime(2025, 6, 19, tzinfo=UTC)
EVALUATE_FROM = datetime(2024, 2, 1, tzinfo=UTC)


def only_last_value() -> ForecastProblem:
    """The shipped problem with one candidate and one feature, which costs seconds."""
    shipped = load_problem(SHIPPED)
    volatility = FeatureGroup(kind="log_rms_volatility", source="btc", params={"windows": [24]})
    return shipped.model_copy(
        update={
            "sources": {"btc": shipped.target_source},
            "features": (volatility,),
            "feature_sets": {"volatility": ("btc_*",)},
            "candidates": {"last_value": shipped.candidates["last_value"]},
        }
    )


def test_the_last_value_has_the_error_that_an_independent_calculation_gives(
    tmp_path: Path,
) -> None:
    problem, store = only_last_value(), TableStore(str(tmp_path))
    pull(
        store,
        problem.name,
        "btc",
        problem.target_source,
        start=problem.target_source.start,
        end=AS_OF,
        fetched_at=datetime(2026, 1, 1, tzinfo=UTC),
        settings=Settings(data="files", data_dir=SHARED),
    )
    observations = observe(read_raw(store, problem.name, "btc"), {}, problem, AS_OF)
    laid = lay_rows(compute_features(observations, problem), problem, steps=[1])
    rows = add_targets(laid, observations, problem)
    folds = plan_folds(problem, as_of=AS_OF, evaluate_from=EVALUATE_FROM)

    forecasts, count = run_backtest(
        rows, build_recipes(problem, feature_columns(rows)), folds, store=store, log=lambda _: None
    )
    table = add_bands(forecasts, rows, problem, evaluate_from=EVALUATE_FROM)

    assert count.computed == 81  # 72 weeks and the nine before them that start the quantile
    board = leaderboard(table, problem).row(0, named=True)
    assert board["n"] == 12_096
    assert (table["origin"].min(), table["valid_time"].max()) == (EVALUATE_FROM, AS_OF)
    assert round(board["mae"], 2) == 276.67
    assert round(board["rmse"], 2) == 428.49
