"""The shared real files through the backtest; skipped where they are absent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.evaluation.backtest import add_bands, run_backtest
from mlops_assets.evaluation.breakdown import by_lead
from mlops_assets.evaluation.folds import plan_folds
from mlops_assets.evaluation.leaderboard import leaderboard
from mlops_assets.features.design import add_targets, feature_columns, lay_rows
from mlops_assets.features.feature_set import compute_features
from mlops_assets.ingestion.observations import observe
from mlops_assets.ingestion.pull import pull, read_raw
from mlops_assets.problem import FeatureGroup, ForecastProblem, load_problem
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.values import VALUES_LAYOUT
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


SHARES = SHIPPED.parents[1] / "sports_drink_share" / "defs.yaml"
KNOWN = {
    "last_value": {1: 4.00, 7: 4.11, 28: 4.55},
    "window_mean": {1: 3.21, 7: 3.41, 28: 4.12},
}
"""MAE on the 90 valid days from 2024-09-25 by lead, by an independent calculation."""


def test_baselines_of_shares_have_the_errors_of_an_independent_calculation(tmp_path: Path) -> None:
    shipped = load_problem(SHARES)
    kinds = {"lagged_value", "rolling_mean", "segment_count"}
    problem = shipped.model_copy(
        update={
            "sources": {"search": shipped.target_source},
            "features": tuple(group for group in shipped.features if group.kind in kinds),
            "candidates": {name: shipped.candidates[name] for name in KNOWN},
        }
    )
    store, as_of = TableStore(str(tmp_path)), datetime.fromisoformat("2024-12-24T00:00+09:00")
    pull(
        store,
        problem.name,
        "search",
        problem.target_source,
        start=problem.target_source.start,
        end=as_of,
        fetched_at=datetime(2026, 1, 1, tzinfo=UTC),
        settings=Settings(data="files", data_dir=SHARED),
    )
    raw = read_raw(store, problem.name, "search", layout=VALUES_LAYOUT)
    observations = observe(raw, {}, problem, as_of)
    features = compute_features(observations, problem)
    laid = lay_rows(features, problem, steps=problem.evaluation.leads)
    rows = add_targets(laid, observations, problem)
    start = datetime.fromisoformat("2024-09-25T00:00+09:00")
    folds = plan_folds(problem, as_of=as_of, evaluate_from=start)

    forecasts, _ = run_backtest(
        rows, build_recipes(problem, feature_columns(rows)), folds, store=store, log=lambda _: None
    )
    table = add_bands(forecasts, rows, problem, evaluate_from=start)

    scores = by_lead(table, problem).filter(pl.col("step").is_in([1, 7, 28]))
    assert scores["n"].unique().to_list() == [5400]
    found: dict[str, dict[int, float]] = {name: {} for name in KNOWN}
    for name, step, mae in scores.select("candidate", "step", "mae").iter_rows():
        found[name][step] = mae
    for name, known in KNOWN.items():
        assert found[name] == {step: pytest.approx(mae, abs=0.01) for step, mae in known.items()}
