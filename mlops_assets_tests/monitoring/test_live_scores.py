from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from mlops_assets.forecasting import live
from mlops_assets.monitoring.live_scores import (
    LIVE_SCORES,
    by_candidate,
    score,
    summary,
)
from mlops_assets.promotion.champion import empty_history
from mlops_assets_tests.evaluation.frames import HOUR
from mlops_assets_tests.monitoring.scored import at, history, observed, problem, said, verdict

PROBLEM = problem()
ACTUALS = [100.0, 102.0, 101.0, 104.0]


def scored(
    forecasts: pl.DataFrame,
    verdicts: pl.DataFrame | None = None,
    *,
    hour: float = 3,
    observations: pl.DataFrame | None = None,
) -> pl.DataFrame:
    return score(
        forecasts,
        observed(ACTUALS) if observations is None else observations,
        empty_history() if verdicts is None else verdicts,
        PROBLEM,
        as_of=at(0) + hour * HOUR,
    )


def test_a_forecast_is_scored_against_the_value_of_its_period() -> None:
    found = scored(said("1", "ridge", {0: 100.5}, half_width=2.0))

    assert found.schema == LIVE_SCORES
    row = found.row(0, named=True)
    assert (row["origin"], row["valid_time"], row["target_known_at"]) == (at(0), at(1), at(1))
    assert (row["actual"], row["absolute_error"], row["squared_error"]) == (102.0, 1.5, 2.25)
    assert (row["covered"], row["baseline"], row["segment"]) == (True, False, "coin")


def test_a_value_outside_its_band_is_not_covered() -> None:
    assert scored(said("1", "ridge", {0: 100.5}))["covered"].to_list() == [False]


def test_a_value_that_is_not_known_yet_scores_nothing() -> None:
    late = observed(ACTUALS, delay=timedelta(minutes=10))

    found = scored(said("1", "ridge", {0: 100.0, 1: 100.0}), hour=2, observations=late)

    assert found["valid_time"].to_list() == [at(1)]


def test_a_corrected_value_changes_no_score() -> None:
    first = observed(ACTUALS)
    corrected = first.filter(pl.col("valid_time") == at(1)).with_columns(
        known_at=at(2), close=pl.lit(250.0)
    )

    found = scored(said("1", "ridge", {0: 100.0}), observations=pl.concat([first, corrected]))

    assert found["actual"].to_list() == [102.0]


def test_before_anything_has_come_true_the_table_is_empty() -> None:
    found = scored(said("1", "ridge", {0: 100.0}), hour=0.5)

    assert found.is_empty()
    assert found.schema == LIVE_SCORES


def test_without_a_forecast_the_table_is_empty() -> None:
    assert scored(live.empty()).schema == LIVE_SCORES


def test_a_forecast_that_its_check_stops_was_never_said() -> None:
    broken = said("1", "ridge", {0: float("nan"), 1: 100.0})

    assert scored(broken)["origin"].to_list() == [at(1)]


def test_the_champion_is_who_held_the_alias_at_the_origin() -> None:
    verdicts = history(verdict(1, "1", "ridge"), verdict(2, "2", "forest"))
    ridge = said("1", "ridge", dict.fromkeys(range(3), 100.0))
    forest = said("2", "forest", dict.fromkeys(range(3), 100.0))

    found = scored(pl.concat([ridge, forest]), verdicts)

    champions = found.filter(pl.col("role") == "champion")
    assert champions.select("origin", "version").rows() == [(at(1), "1"), (at(2), "2")]
    assert set(found["role"]) == {"champion", "challenger"}


def test_the_summary_has_the_figures_of_each_version() -> None:
    found = summary(scored(said("1", "ridge", {0: 100.0, 1: 100.5})))

    row = found.row(0, named=True)
    assert (row["version"], row["step"], row["segment"], row["n"]) == ("1", 1, "coin", 2)
    # Errors 2 and 0.5; last value 100 against 102 and 101.
    assert row["mae"] == pytest.approx(1.25)
    assert row["rmse"] == pytest.approx((4.25 / 2) ** 0.5)
    assert row["coverage"] == pytest.approx(0.5)
    assert row["mae_last_value"] == pytest.approx(1.5)


def test_by_candidate_the_lowest_error_comes_first() -> None:
    both = [said("1", "ridge", {0: 100.0}), said("2", "forest", {0: 101.0})]

    assert by_candidate(scored(pl.concat(both)), PROBLEM)["candidate"].to_list() == [
        "forest",
        "ridge",
    ]
