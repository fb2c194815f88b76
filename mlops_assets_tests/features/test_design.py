"""Design rows: what is laid for each origin and step, and what targets are joined to them."""

from __future__ import annotations

from math import log

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mlops_assets.features.design import (
    ROW,
    TARGETS,
    add_targets,
    calendar_columns,
    feature_columns,
    lay_rows,
    targets,
)
from mlops_assets.features.feature_set import compute_features
from mlops_assets_tests.features.series import (
    HOUR,
    at,
    corrected,
    group,
    late,
    observed,
    price_bars,
    small_problem,
)

FOMC = {"fomc": {"zone": "UTC", "time": "05:00", "dates": ["2024-03-02"]}}
PROBLEM = small_problem(
    group("close_location"),
    group("slot_of_week", "calendar"),
    group("event_hours", "events"),
    horizon=3,
    events=FOMC,
)
PLAIN = observed(price_bars(48))


def rows_of(observations: pl.DataFrame, *steps: int) -> pl.DataFrame:
    return lay_rows(compute_features(observations, PROBLEM), PROBLEM, steps=steps)


def test_there_is_one_row_for_each_origin_and_step_stamped_by_its_valid_time() -> None:
    rows = rows_of(PLAIN, 1, 3)

    assert rows.columns[: len(ROW)] == list(ROW)
    assert rows.select("origin", "step").rows() == [
        (at(k), step) for k in range(48) for step in (1, 3)
    ]
    assert rows["valid_time"].to_list() == [at(k + step) for k in range(48) for step in (1, 3)]


def test_observed_features_are_the_origin_s_and_calendar_features_the_period_s() -> None:
    features = compute_features(PLAIN, PROBLEM)
    rows = rows_of(PLAIN, 2)

    assert rows["coin_close_location"].to_list() == features["coin_close_location"].to_list()
    # The announcement of 2024-03-02 05:00 falls into the bar 05:00 to 06:00, number 30.
    assert rows.filter(pl.col("event_fomc") == 1)["valid_time"].to_list() == [at(30)]
    # The bar that opens on Saturday 00:00 closes at 01:00: number 25.
    assert rows.filter(pl.col("slot_saturday_00") == 1)["valid_time"].to_list() == [at(25)]


def test_the_columns_known_in_advance_are_the_calendar_s() -> None:
    names = calendar_columns(PROBLEM)

    assert len(names) == 73
    assert names[0] == "slot_weekday_00"
    assert names[-1] == "event_fomc"
    assert feature_columns(rows_of(PLAIN, 1)) == ["coin_close_location", *names]


def test_periods_that_have_ended_at_the_origin_are_left_out() -> None:
    # Bar 47 arrives two and a half hours late: its successors 48 and 49 are over by then.
    observations = late(PLAIN, [47], known_at=at(49) + HOUR / 2)

    newest = rows_of(observations, 1, 2, 3).filter(pl.col("last_observed") == at(47))

    assert newest.select("step", "valid_time").rows() == [(3, at(50))]


def test_a_period_that_ends_at_the_very_origin_has_nothing_left_to_forecast() -> None:
    newest = rows_of(late(PLAIN, [47], known_at=at(48)), 1, 2)

    assert newest.filter(pl.col("last_observed") == at(47))["step"].to_list() == [2]


def test_targets_are_scored_against_the_first_version_of_a_value() -> None:
    changed = corrected(PLAIN, [20], known_at=at(30), factor=2.0)

    first, revised = targets(PLAIN, PROBLEM), targets(changed, PROBLEM)

    assert_frame_equal(revised.sort("valid_time"), first.sort("valid_time"), check_exact=True)


def test_a_target_carries_the_value_its_return_its_volatility_and_when_it_was_known() -> None:
    closes = PLAIN["close"].to_list()
    rows = add_targets(rows_of(PLAIN, 1, 2), PLAIN, PROBLEM)

    row = rows.filter(pl.col("origin") == at(10), pl.col("step") == 2).row(0, named=True)
    bar = PLAIN.row(12, named=True)
    variance = 0.5 * log(bar["high"] / bar["low"]) ** 2
    variance -= (2 * log(2) - 1) * log(bar["close"] / bar["open"]) ** 2
    assert row["actual"] == closes[12]
    assert row["target_known_at"] == at(12)
    assert row["realised"] == pytest.approx(log(closes[12] / closes[10]), rel=1e-12)
    assert row["log_volatility"] == pytest.approx(0.5 * log(variance), rel=1e-12)


def test_rows_whose_period_has_not_come_true_have_no_target_and_are_left_out() -> None:
    holed = PLAIN.filter(pl.col("valid_time") != at(20))

    rows = add_targets(rows_of(holed, 1), holed, PROBLEM)

    origins = set(rows["origin"].to_list())
    assert at(47) not in origins  # its period has not ended
    assert at(19) not in origins  # its bar is missing
    assert len(rows) == 48 - 3


def test_targets_are_no_features() -> None:
    laid = rows_of(PLAIN, 1)
    rows = add_targets(laid, PLAIN, PROBLEM)

    assert set(rows.columns) - set(laid.columns) == set(TARGETS)
    assert feature_columns(rows) == feature_columns(laid)
