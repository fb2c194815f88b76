"""The feature table keeps every origin point-in-time: what came later changes nothing."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mlops_assets.features.feature_set import INDEX, check_groups, compute_features
from mlops_assets.problem import ProblemError
from mlops_assets_tests.features.series import (
    EVERY_KIND,
    HOUR,
    at,
    corrected,
    group,
    late,
    observed,
    price_bars,
    small_problem,
)

COUNT = 240
PROBLEM = small_problem(*EVERY_KIND)
LAGS = small_problem(group("lagged_return", lags=[0, 1]), group("log_rms_volatility", windows=[3]))


@pytest.fixture(scope="module")
def observations() -> pl.DataFrame:
    return observed(price_bars(COUNT, missing=(50, 51, 120)))


@pytest.fixture(scope="module")
def features(observations: pl.DataFrame) -> pl.DataFrame:
    return compute_features(observations, PROBLEM)


def before(table: pl.DataFrame, number: int) -> pl.DataFrame:
    return table.filter(pl.col("origin") < at(number))


def test_there_is_a_row_for_each_bar_at_the_instant_it_became_known(
    observations: pl.DataFrame, features: pl.DataFrame
) -> None:
    assert features.columns[: len(INDEX)] == list(INDEX)
    assert features["origin"].to_list() == observations["known_at"].to_list()
    assert features["last_observed"].to_list() == observations["valid_time"].to_list()
    assert features["last_value"].to_list() == observations["close"].to_list()
    assert features["max_known_at"].to_list() == features["origin"].to_list()
    assert {features.schema[c] for c in features.columns[len(INDEX) :]} == {pl.Float64()}


def test_values_that_cannot_be_known_are_null_and_never_nan(features: pl.DataFrame) -> None:
    floats = features.select(pl.col(pl.Float64))

    assert floats.select(pl.all().is_nan().any()).row(0) == (False,) * floats.width
    assert features["ndx_log_level"].null_count() > 0
    after_gap = features.filter(pl.col("last_observed") == at(52))
    assert after_gap["coin_log_return_lag_0"].to_list() == [None]


@settings(max_examples=8, deadline=None)
@given(st.integers(1, COUNT - 1))
def test_a_table_cut_off_at_an_origin_is_the_whole_table_s_prefix_bit_for_bit(cut: int) -> None:
    whole = observed(price_bars(COUNT, missing=(50, 51, 120)))
    prefix = whole.filter(pl.col("known_at") <= at(cut))

    wanted = compute_features(whole, PROBLEM).filter(pl.col("origin") <= at(cut))
    assert_frame_equal(compute_features(prefix, PROBLEM), wanted, check_exact=True)


def test_a_correction_leaves_the_origins_before_it_as_they_were(
    observations: pl.DataFrame, features: pl.DataFrame
) -> None:
    changed = compute_features(corrected(observations, [100], known_at=at(180)), PROBLEM)

    assert_frame_equal(before(changed, 180), before(features, 180), check_exact=True)
    ours, theirs = (t.filter(pl.col("origin") >= at(180)) for t in (changed, features))
    assert ours["origin"].to_list() == theirs["origin"].to_list()
    for column in ("coin_log_rms_volatility_24", "coin_scaled_return_1_24"):  # 80 bars later: past
        assert ours[column].to_list() == pytest.approx(theirs[column].to_list(), rel=1e-9)


def test_a_corrected_price_is_used_from_the_instant_it_became_known() -> None:
    # Bar 5 closes at 100 times a factor; it is corrected upwards by 10 % at the close of bar 6.
    plain = observed(price_bars(10))
    table = compute_features(corrected(plain, [5], known_at=at(6)), LAGS)
    untouched = compute_features(plain, LAGS)

    def of(frame: pl.DataFrame, number: int, column: str) -> float:
        value = frame.filter(pl.col("origin") == at(number))[column][0]
        assert isinstance(value, float)
        return value

    lag = "coin_log_return_lag_0"
    assert of(table, 5, "last_value") == of(untouched, 5, "last_value")
    assert of(table, 5, lag) == of(untouched, 5, lag)
    assert of(table, 6, lag) == pytest.approx(of(untouched, 6, lag) - 0.0953101798)  # log 1.1
    assert of(table, 7, "coin_log_return_lag_1") == of(table, 6, lag)
    assert table.filter(pl.col("origin") == at(6))["max_known_at"].to_list() == [at(6)]


def test_a_correction_of_the_newest_bar_is_an_origin_of_its_own() -> None:
    half_past = at(9) + HOUR / 2
    table = compute_features(corrected(observed(price_bars(10)), [9], known_at=half_past), LAGS)

    newest = table.tail(2)
    assert newest["origin"].to_list() == [at(9), half_past]
    assert newest["last_observed"].to_list() == [at(9), at(9)]
    assert newest["last_value"][1] == pytest.approx(1.1 * newest["last_value"][0])


def test_several_bars_corrected_at_once_start_no_second_row_for_an_origin() -> None:
    plain = observed(price_bars(60))
    for known_at in (at(40), at(40) + HOUR / 2):
        table = compute_features(corrected(plain, [10, 11, 12], known_at=known_at), PROBLEM)

        assert table.select("series", "origin").is_duplicated().sum() == 0
        newest = table["origin"].to_list()
        assert [o for o in newest if o == table["origin"].max()] == [at(59)]
        assert table["last_observed"].to_list() == [at(k) for k in range(60)]


def test_a_value_that_arrives_late_is_a_gap_until_it_does() -> None:
    plain = observed(price_bars(20))
    missing = observed(price_bars(20, missing=(10,)))
    table = compute_features(late(plain, [10], known_at=at(13) + HOUR / 2), LAGS)

    assert_frame_equal(
        before(table, 14), before(compute_features(missing, LAGS), 14), check_exact=True
    )
    arrived = table.filter(pl.col("origin") >= at(14))
    wanted = compute_features(plain, LAGS).filter(pl.col("origin") >= at(14))
    assert_frame_equal(arrived.drop("max_known_at"), wanted.drop("max_known_at"), check_exact=True)


def test_values_that_arrive_out_of_order_never_show_a_later_known_at_than_their_origin() -> None:
    table = compute_features(late(observed(price_bars(30)), [8, 9, 20], known_at=at(25)), LAGS)

    assert (table["max_known_at"] <= table["origin"]).all()
    assert table["origin"].is_sorted()
    assert table["last_observed"].is_sorted()


def test_series_do_not_see_each_other(features: pl.DataFrame, observations: pl.DataFrame) -> None:
    other = observed(price_bars(100, seed=7), series="other")

    both = compute_features(pl.concat([observations, other]), PROBLEM)

    assert_frame_equal(both.filter(pl.col("series") == "coin"), features, check_exact=True)
    assert both.filter(pl.col("series") == "other").height == 100


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            group("log_rms_volatilty", windows=[1]),
            r"coin_close: features\[0\]\.kind 'log_rms_volatilty' is no feature of source 'coin'; "
            "use one of log_rms_volatility, mean_log_volatility",
        ),
        (
            group("us_sessions", "calendar"),
            r"features\[0\]\.kind 'us_sessions' is no feature of source 'calendar'; use one of "
            "slot_of_week, new_york_business_hour, us_session",
        ),
        (
            group("log_range", window=[3]),
            r"features\[0\]\.params has \['window'\]; log_range takes exactly \['windows'\]",
        ),
        (
            group("log_volume", windows=[1]),
            r"features\[0\]\.params has \['windows'\]; log_volume takes exactly "
            r"\['baseline', 'half_life', 'windows'\]; correct the keys",
        ),
        (
            group("us_session", "calendar", share=1),
            r"features\[0\]\.params has \['share'\]; us_session takes exactly \[\]",
        ),
    ],
)
def test_a_feature_that_no_builder_makes_is_refused_with_key_and_remedy(
    entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProblemError, match=message):
        check_groups(small_problem(entry))
