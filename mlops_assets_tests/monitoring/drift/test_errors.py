from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from mlops_assets.monitoring.drift.errors import share_of_error, watch_errors
from mlops_assets_tests.evaluation.frames import small_problem
from mlops_assets_tests.monitoring.drift.histories import (
    DAY,
    HOUR,
    RECIPE,
    START,
    WEEK,
    FloatArray,
    feature_table,
    forecasts_of,
)

PROBLEM = small_problem()
HOURS = feature_table(np.zeros(6))
LATER = START + DAY


def watched(shares: FloatArray) -> pl.DataFrame:
    """Hourly shares of error."""
    times = [START + k * HOUR for k in range(len(shares))]
    return pl.DataFrame({"valid_time": times, "share": shares})


def test_a_champion_without_error_has_no_share_of_it() -> None:
    shares = share_of_error(forecasts_of(HOURS), None, PROBLEM, recipe_id=RECIPE, as_of=LATER)

    assert shares["share"].to_list() == pytest.approx([0.0] * 5)


def test_a_champion_that_says_the_last_value_is_as_far_off_as_no_change() -> None:
    copied = forecasts_of(HOURS).with_columns(point="last_value")

    shares = share_of_error(copied, None, PROBLEM, recipe_id=RECIPE, as_of=LATER)

    assert shares["share"].to_list() == [0.5] * 5


def test_an_hour_in_which_nothing_moved_and_nothing_was_said_is_even() -> None:
    still = forecasts_of(HOURS).with_columns(point="last_value", actual="last_value")

    shares = share_of_error(still, None, PROBLEM, recipe_id=RECIPE, as_of=LATER)

    assert shares["share"].to_list() == [0.5] * 5


def test_live_scores_follow_the_backtest_and_replace_it_where_both_spoke() -> None:
    backtest = forecasts_of(HOURS).head(3)
    live = forecasts_of(HOURS).with_columns(point="last_value").slice(2)

    shares = share_of_error(backtest, live, PROBLEM, recipe_id=RECIPE, as_of=LATER)

    assert shares["share"].to_list() == pytest.approx([0, 0, 0.5, 0.5, 0.5])


def test_what_came_true_after_the_report_is_left_out() -> None:
    shares = share_of_error(
        forecasts_of(HOURS), None, PROBLEM, recipe_id=RECIPE, as_of=START + 2 * HOUR
    )

    assert shares["valid_time"].to_list() == [START + HOUR, START + 2 * HOUR]


def _noisy(mean: FloatArray) -> FloatArray:
    return np.clip(mean + np.random.default_rng(2).normal(0, 0.1, len(mean)), 0, 1)


def test_a_step_in_the_errors_is_found_soon_after_it() -> None:
    step = np.where(np.arange(1200) < 1000, 0.5, 0.7)

    found = watch_errors(watched(_noisy(step)), level=0.001, frequency=HOUR, stands_for=WEEK)

    assert found.risen_at is not None
    assert timedelta(0) < found.risen_at - (START + 1000 * HOUR) <= 7 * DAY
    assert found.before == pytest.approx(0.5, abs=0.05)
    assert found.is_drift(since=START + 1000 * HOUR)


def test_a_rise_before_the_newest_stretch_is_no_drift_now() -> None:
    step = np.where(np.arange(1200) < 300, 0.5, 0.7)

    found = watch_errors(watched(_noisy(step)), level=0.001, frequency=HOUR, stands_for=WEEK)

    assert found.risen_at is not None
    assert not found.is_drift(since=START + 1000 * HOUR)


def test_errors_that_fall_are_no_drift() -> None:
    step = np.where(np.arange(1200) < 1000, 0.7, 0.5)

    found = watch_errors(watched(_noisy(step)), level=0.001, frequency=HOUR, stands_for=WEEK)

    assert found.risen_at is None


def test_ten_years_of_unchanged_errors_raise_no_alarm() -> None:
    steady = _noisy(np.full(10 * 8760, 0.5))

    found = watch_errors(watched(steady), level=0.001, frequency=HOUR, stands_for=WEEK)

    assert found.risen_at is None


def test_no_error_yet_is_no_drift() -> None:
    found = watch_errors(watched(np.empty(0)), level=0.001, frequency=HOUR, stands_for=WEEK)

    assert found.periods == 0
    assert not found.is_drift(since=START)
