from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.evaluation.backtest import FoldCount, add_bands, run_backtest
from mlops_assets.evaluation.folds import Fold, plan_folds
from mlops_assets.problem import ForecastProblem
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.linear import ridge_clipped_at_sd
from mlops_assets_tests.end_to_end import planted
from mlops_assets_tests.end_to_end.planted import AS_OF, DAY, HOUR

PROBLEM = planted.problem(candidates=planted.candidates("last_value", "ridge"))


class Ledger:
    """Backtests on one store, with what each of them computed."""

    def __init__(self, folder: Path) -> None:
        self.store = TableStore(str(folder))
        self.told: list[str] = []

    def run(
        self, rows: pl.DataFrame, folds: list[Fold], problem: ForecastProblem = PROBLEM
    ) -> tuple[pl.DataFrame, FoldCount]:
        recipes = planted.recipes(problem, rows)
        return run_backtest(rows, recipes, folds, store=self.store, log=self.told.append)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return planted.designed(PROBLEM, planted.observed(PROBLEM, planted.market()))


@pytest.fixture(scope="module")
def folds() -> list[Fold]:
    return plan_folds(PROBLEM, as_of=AS_OF)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


@pytest.fixture(scope="module")
def forecasts(
    rows: pl.DataFrame, folds: list[Fold], tmp_path_factory: pytest.TempPathFactory
) -> pl.DataFrame:
    return Ledger(tmp_path_factory.mktemp("tables")).run(rows, folds)[0]


def test_every_recipe_forecasts_every_origin_of_every_fold_once(
    forecasts: pl.DataFrame, folds: list[Fold]
) -> None:
    expected = [origin for fold in folds for origin in planted.origins_of(fold)]

    for _, part in forecasts.group_by("candidate"):
        assert part["origin"].to_list() == expected
    assert forecasts["candidate"].unique().sort().to_list() == ["last_value", "ridge"]


def test_an_origin_is_forecast_from_the_newest_refit_before_it(forecasts: pl.DataFrame) -> None:
    evaluated = forecasts.filter("evaluated")

    assert (evaluated["refit_at"] <= evaluated["origin"]).all()
    assert (evaluated["origin"] < evaluated["refit_at"] + 5 * DAY).all()


def by_hand(rows: pl.DataFrame, refit_at: datetime, ahead: pl.DataFrame) -> np.ndarray:
    """Ridge on reversal features in units of the forecast volatility, written out."""
    known = rows.filter(pl.col("target_known_at") <= refit_at)
    scale_names = [c for c in rows.columns if c.startswith(("coin_log_", "us_"))]
    names = ["coin_scaled_return_1_24", "coin_close_location"]

    def numbers(table: pl.DataFrame, columns: list[str]) -> np.ndarray:
        return table.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan"))).to_numpy()

    sized = known.filter(pl.col("log_volatility").is_finite())
    volatility = ridge_clipped_at_sd(
        numbers(sized, scale_names), sized["log_volatility"].to_numpy(), alpha=10, clip_sd=8
    )
    scale = np.exp(volatility.predict(numbers(known, scale_names)))
    target = known["realised"].to_numpy() / scale

    inputs = numbers(known, names)
    mean = np.nanmean(inputs, axis=0)
    filled = np.where(np.isnan(inputs), mean, inputs)
    spread = filled.std(axis=0)
    design = (filled - mean) / spread
    # Normal equations of ridge with an unpenalised intercept; centred columns leave it the mean.
    slope = np.linalg.solve(design.T @ design + np.eye(2), design.T @ (target - target.mean()))
    location = target.mean() + (numbers(ahead, names) - mean) / spread @ slope
    return np.asarray(location * np.exp(volatility.predict(numbers(ahead, scale_names))))


@pytest.mark.parametrize("number", [1, 2])
def test_a_fold_equals_a_refit_and_forecast_written_out_by_hand(
    rows: pl.DataFrame, forecasts: pl.DataFrame, folds: list[Fold], number: int
) -> None:
    fold = folds[number]
    ahead = rows.filter(pl.col("origin") >= fold.refit_at, pl.col("origin") < fold.end)

    expected = by_hand(rows, fold.refit_at, ahead)

    given = forecasts.filter(pl.col("candidate") == "ridge", pl.col("refit_at") == fold.refit_at)
    assert len(given) == 120
    np.testing.assert_allclose(given["location"].to_numpy(), expected, rtol=1e-9)


def test_a_second_run_computes_nothing_and_gives_the_same(
    rows: pl.DataFrame, folds: list[Fold], ledger: Ledger
) -> None:
    first, count = ledger.run(rows, folds)
    told = list(ledger.told)

    again, repeated = ledger.run(rows, folds)

    assert (count.computed, count.reused) == (6, 0)  # three folds, two recipes
    assert (repeated.computed, repeated.reused) == (0, 6)
    assert again.equals(first)
    assert len(told) == 3
    assert ledger.told == told


def test_a_run_one_refit_later_computes_one_fold_of_each_recipe(
    rows: pl.DataFrame, folds: list[Fold], ledger: Ledger
) -> None:
    before = AS_OF - 5 * DAY
    span = folds[1].refit_at
    short = rows.filter(pl.col("target_known_at") <= before)
    ledger.run(short, plan_folds(PROBLEM, as_of=before, evaluate_from=span))

    _, count = ledger.run(rows, plan_folds(PROBLEM, as_of=AS_OF, evaluate_from=span))

    assert (count.computed, count.reused) == (2, 4)
    assert "refitted at 2025-06-05 00:00 UTC, 2 recipes" in ledger.told[-1]


def test_a_partial_fold_is_computed_anew_until_it_is_whole(
    rows: pl.DataFrame, folds: list[Fold], ledger: Ledger
) -> None:
    span = folds[1].refit_at
    ledger.run(rows, plan_folds(PROBLEM, as_of=AS_OF - DAY, evaluate_from=span))

    partial, count = ledger.run(rows, plan_folds(PROBLEM, as_of=AS_OF - HOUR, evaluate_from=span))
    whole, finished = ledger.run(rows, plan_folds(PROBLEM, as_of=AS_OF, evaluate_from=span))

    assert (count.computed, finished.computed) == (2, 2)
    # The fit is the same: what it said for the same origins does not change.
    assert whole.join(partial, on=partial.columns, how="semi").height == partial.height


def test_a_corrected_past_bar_recomputes_the_folds_that_could_see_it_and_no_other(
    rows: pl.DataFrame, folds: list[Fold], ledger: Ledger
) -> None:
    before, _ = ledger.run(rows, folds)
    known_at = folds[2].refit_at + 2 * DAY + HOUR / 2
    bar = planted.market().filter(pl.col("timestamp") == folds[2].refit_at + 2 * DAY - 2 * HOUR)
    fix = planted.raw(bar.with_columns(pl.col("high") * 1.01), "coin", known_at=known_at)
    seen = planted.observed(PROBLEM, planted.market(), corrections=fix)

    after, count = ledger.run(planted.designed(PROBLEM, seen), folds)

    # Known in the last fold: the two before it could not see it.
    assert (count.computed, count.reused) == (2, 4)
    changed = after.join(before, on=after.columns, how="anti")
    assert not changed.is_empty()
    assert (changed["origin"] >= known_at).all()


def test_a_pull_that_corrects_several_bars_at_a_close_adds_no_origin(
    rows: pl.DataFrame, folds: list[Fold]
) -> None:
    known_at = folds[2].refit_at
    late = pl.col("timestamp").is_between(known_at - 5 * HOUR, known_at - 3 * HOUR)
    bars = planted.market().filter(late).with_columns(pl.col("high") * 1.01)
    fix = planted.raw(bars, "coin", known_at=known_at)

    seen = planted.observed(PROBLEM, planted.market(), corrections=fix)

    assert len(bars) == 3
    again = planted.designed(PROBLEM, seen)
    assert again["origin"].to_list() == rows["origin"].to_list()
    assert again["last_observed"].to_list() == rows["last_observed"].to_list()


def test_a_value_that_was_wrong_from_the_start_recomputes_every_fold_after_it(
    rows: pl.DataFrame, folds: list[Fold], ledger: Ledger
) -> None:
    ledger.run(rows, folds)
    at = folds[1].refit_at + DAY
    market = planted.market().with_columns(
        high=pl.when(pl.col("timestamp") == at).then(pl.col("high") * 1.01).otherwise("high")
    )

    _, count = ledger.run(planted.designed(PROBLEM, planted.observed(PROBLEM, market)), folds)

    assert (count.computed, count.reused) == (4, 2)


def test_a_changed_parameter_recomputes_only_its_recipe(
    rows: pl.DataFrame, folds: list[Fold], ledger: Ledger
) -> None:
    before, _ = ledger.run(rows, folds)
    stronger = planted.candidates("last_value", "ridge", ridge={"alpha": 50.0})

    after, count = ledger.run(rows, folds, planted.problem(candidates=stronger))

    assert (count.computed, count.reused) == (3, 3)
    changed = after.join(before, on=["candidate", "origin", "location"], how="anti")
    assert changed["candidate"].unique().to_list() == ["ridge"]


def test_an_added_candidate_leaves_the_others_folds_alone(
    rows: pl.DataFrame, folds: list[Fold], ledger: Ledger
) -> None:
    ledger.run(rows, folds)

    _, count = ledger.run(rows, folds, planted.problem())

    assert (count.computed, count.reused) == (3, 6)


def banded(forecasts: pl.DataFrame, rows: pl.DataFrame, **given: Any) -> pl.DataFrame:  # noqa: ANN401
    return add_bands(forecasts, rows, PROBLEM, **given)


def test_a_period_is_evaluated_when_it_starts_at_the_given_instant_or_later(
    forecasts: pl.DataFrame, rows: pl.DataFrame, folds: list[Fold]
) -> None:
    start = folds[1].refit_at + 30 * HOUR

    table = banded(forecasts, rows, evaluate_from=start)

    # The period [start, start + 1 h) is the first; it is forecast at its open.
    assert table["origin"].min() == start
    assert table["valid_time"].min() == start + HOUR
    assert len(table) == 2 * (240 - 30)


def test_the_fold_before_the_span_serves_the_quantile_and_is_not_evaluated(
    forecasts: pl.DataFrame, rows: pl.DataFrame, folds: list[Fold]
) -> None:
    table = banded(forecasts, rows, evaluate_from=folds[0].refit_at)

    assert table["origin"].min() == folds[1].refit_at
    first = table.row(0, named=True)
    errors = forecasts.filter(
        pl.col("candidate") == first["candidate"], pl.col("refit_at") == folds[0].refit_at
    ).join(rows, on=["series", "origin", "step"])
    realised = errors.filter(pl.col("target_known_at") <= first["origin"])
    scaled = np.abs(realised["realised"] - realised["location"]) / realised["scale"]
    assert len(scaled) == 120
    assert first["band_quantile"] == pytest.approx(np.quantile(scaled, 0.9 * (1 + 1 / 200)))


def test_every_recipe_is_judged_on_the_same_rows(
    forecasts: pl.DataFrame, rows: pl.DataFrame, folds: list[Fold]
) -> None:
    table = banded(forecasts, rows, evaluate_from=folds[1].refit_at)
    keys: Mapping[str, list[Any]] = {
        str(name): part.select("origin", "valid_time", "actual", "last_value").rows()
        for (name,), part in table.group_by("candidate", maintain_order=True)
    }

    assert keys["ridge"] == keys["last_value"]
    assert len(keys["ridge"]) == 240
    assert table.filter(pl.col("candidate") == "last_value")["baseline"].all()


def test_the_planted_reversal_is_found_and_the_last_value_is_the_last_value(
    forecasts: pl.DataFrame, rows: pl.DataFrame, folds: list[Fold]
) -> None:
    table = banded(forecasts, rows, evaluate_from=folds[1].refit_at)
    last = table.filter(pl.col("candidate") == "last_value")
    errors = table.group_by("candidate").agg((pl.col("point") - pl.col("actual")).abs().mean())
    mae = dict(errors.iter_rows())

    assert last["point"].to_list() == last["last_value"].to_list()
    # Returns reverse by half, so the best forecast leaves sqrt(1 - 0.25) = 0.87 of the error.
    assert mae["ridge"] / mae["last_value"] == pytest.approx(0.87, abs=0.04)
