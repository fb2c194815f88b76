"""The feature table of a panel keeps every origin point-in-time, across all its series."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mlops_assets.features.feature_set import (
    INDEX,
    check_feature_sets,
    check_groups,
    compute_features,
    group_columns,
)
from mlops_assets.features.leakage import find_leaks
from mlops_assets.problem import ProblemError
from mlops_assets_tests.features.panels import (
    DAY,
    PANEL_KINDS,
    SERIES,
    came_late,
    day,
    observed,
    panel_problem,
    random_shares,
    restated,
)
from mlops_assets_tests.features.series import group, small_problem

COUNT = 40
PROBLEM = panel_problem(*PANEL_KINDS)
LAGS = panel_problem(group("lagged_value", "tea", lags=[0, 1]), group("as_of_value", "rain"))
NEIGHBOURS = panel_problem(group("share_filter", "tea"))
PLAIN = observed(random_shares(COUNT))


@pytest.fixture(scope="module")
def features() -> pl.DataFrame:
    return compute_features(PLAIN, PROBLEM)


def before(table: pl.DataFrame, number: int) -> pl.DataFrame:
    return table.filter(pl.col("origin") < day(number))


def since(table: pl.DataFrame, number: int) -> pl.DataFrame:
    return table.filter(pl.col("origin") >= day(number))


def test_there_is_a_row_for_each_day_and_series_at_the_instant_it_became_known(
    features: pl.DataFrame,
) -> None:
    assert features.columns[: len(INDEX)] == list(INDEX)
    wanted = PLAIN.sort("series", "known_at")
    assert features["series"].to_list() == wanted["series"].to_list()
    assert features["origin"].to_list() == wanted["known_at"].to_list()
    assert features["last_observed"].to_list() == wanted["valid_time"].to_list()
    assert features["last_value"].to_list() == wanted["value"].to_list()
    assert features["max_known_at"].to_list() == features["origin"].to_list()
    assert {features.schema[c] for c in features.columns[len(INDEX) :]} == {pl.Float64()}


def test_each_row_has_the_values_of_its_own_series(features: pl.DataFrame) -> None:
    newest = features.filter(pl.col("origin") == day(COUNT - 1)).sort("series")

    wanted = PLAIN.sort("series", "valid_time").group_by("series", maintain_order=True)
    values = [part["value"].to_list() for _, part in wanted]
    assert newest["tea_lag_1"].to_list() == [of_series[-2] for of_series in values]
    assert newest["brand_00"].to_list() == [1, 1, 0, 0]


def test_columns_of_a_step_are_stored_side_by_side_and_named_once_for_models(
    features: pl.DataFrame,
) -> None:
    made = [name for _, names in group_columns(PROBLEM) for name in names]

    assert made.count("tea_season_7") == 1
    assert [c for c in features.columns if c.startswith("tea_season_7@")] == [
        f"tea_season_7@{h:02d}" for h in range(1, 9)
    ]
    assert not [name for name in made if "@" in name]


def test_values_that_cannot_be_known_are_null_and_never_nan(features: pl.DataFrame) -> None:
    floats = features.select(pl.col(pl.Float64))

    assert floats.select(pl.all().is_nan().any()).row(0) == (False,) * floats.width
    assert before(features, 6)["tea_lag_6"].null_count() == 6 * len(SERIES)


@settings(max_examples=6, deadline=None)
@given(st.integers(1, COUNT - 2))
def test_a_table_cut_off_at_an_origin_is_the_whole_table_s_prefix_bit_for_bit(cut: int) -> None:
    wanted = compute_features(PLAIN, PROBLEM).filter(pl.col("origin") <= day(cut))
    prefix = PLAIN.filter(pl.col("known_at") <= day(cut))

    assert_frame_equal(compute_features(prefix, PROBLEM), wanted, check_exact=True)


def test_a_restated_value_changes_later_origins_only(features: pl.DataFrame) -> None:
    changed = compute_features(
        restated(PLAIN, "가/여", 20, 99.0, known_at=day(24) + DAY / 2), PROBLEM
    )

    assert_frame_equal(before(changed, 25), before(features, 25), check_exact=True)
    row = changed.filter(pl.col("origin") == day(26), pl.col("series") == "가/여")
    assert row["tea_lag_6"].to_list() == [99.0]
    ours, theirs = since(changed, 25), since(features, 25)
    assert_frame_equal(ours.select(INDEX[:4]), theirs.select(INDEX[:4]), check_exact=True)


def test_a_restated_newest_value_is_an_origin_of_its_own_for_its_series_only() -> None:
    noon = day(COUNT - 1) + DAY / 2
    table = compute_features(restated(PLAIN, "나/남", COUNT - 1, 7.0, known_at=noon), LAGS)

    newest = table.filter(pl.col("origin") == noon)
    assert newest.select("series", "last_value", "tea_lag_0").rows() == [("나/남", 7.0, 7.0)]


def test_a_series_that_comes_later_than_its_siblings_does_not_reach_their_origins() -> None:
    # On day 30 one brand is published at noon, the others at the end of the day as ever.
    noon = day(30) + DAY / 2
    table = compute_features(
        came_late(PLAIN, [30], series="가/여", known_at=noon), NEIGHBOURS
    ).filter(pl.col("last_observed") == day(30))
    without = compute_features(
        PLAIN.filter((pl.col("series") != "가/여") | (pl.col("valid_time") < day(30))), NEIGHBOURS
    ).filter(pl.col("last_observed") == day(30))
    whole = compute_features(PLAIN, NEIGHBOURS).filter(pl.col("last_observed") == day(30))

    siblings = pl.col("series") != "가/여"
    assert_frame_equal(table.filter(siblings), without.filter(siblings), check_exact=True)
    assert table.filter(~siblings)["origin"].to_list() == [noon]
    assert table.filter(~siblings)["max_known_at"].to_list() == [noon]
    column = "share_filter@01"
    assert table.filter(~siblings)[column].to_list() == whole.filter(~siblings)[column].to_list()


def test_max_known_at_is_never_after_the_origin_though_series_come_in_any_order() -> None:
    late = came_late(PLAIN, [8, 9, 20], series="가/남", known_at=day(25) + DAY / 3)

    table = compute_features(restated(late, "나/여", 24, 1.0, known_at=day(26)), LAGS)

    assert (table["max_known_at"] <= table["origin"]).all()
    assert table.select("series", "origin").is_duplicated().sum() == 0


def test_origins_before_an_instant_are_left_out_on_request(features: pl.DataFrame) -> None:
    newest = compute_features(PLAIN, PROBLEM, since=day(30))

    assert_frame_equal(newest, since(features, 30), check_exact=True)


def test_an_instant_after_all_origins_gives_an_empty_table_of_the_same_columns(
    features: pl.DataFrame,
) -> None:
    empty = compute_features(PLAIN, PROBLEM, since=day(COUNT))

    assert empty.is_empty()
    assert empty.schema == features.schema


def test_an_honest_panel_has_no_leak_and_a_shifted_column_is_found() -> None:
    observations = restated(
        came_late(PLAIN, [30], series="가/여", known_at=day(30) + DAY / 2),
        "나/여", 12, 3.0, known_at=day(35),
    )  # fmt: skip
    stored = compute_features(observations, PROBLEM)
    origins = [day(20), day(30), day(30) + DAY / 2, day(COUNT - 1)]
    peeking = stored.with_columns(pl.col("tea_season_7@03").shift(-1).over("series"))

    assert find_leaks(stored, observations, PROBLEM, origins=origins) == []
    found = find_leaks(peeking, observations, PROBLEM, origins=origins[:1])
    assert {leak.column for leak in found} == {"tea_season_7@03"}
    assert len(found) == len(SERIES)


def test_a_single_series_of_values_needs_no_keys() -> None:
    problem = panel_problem(group("lagged_value", "tea", lags=[1]), keys={}, transform="difference")

    table = compute_features(observed([[5.0], [6.0], [8.0]], series=["tea"]), problem)

    assert table.select("series", "last_value", "tea_lag_1").rows() == [
        ("tea", 5.0, None),
        ("tea", 6.0, 5.0),
        ("tea", 8.0, 6.0),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            group("log_range", "tea", windows=[3]),
            r"tea_share: features\[0\]\.kind 'log_range' is no feature of source 'tea'; use one of "
            "lagged_value, rolling_mean",
        ),
        (
            group("lagged_value", "rain", lags=[0]),
            r"kind 'lagged_value' is no feature of source 'rain'; use one of as_of_value, "
            "as_of_channel_tier, as_of_age",
        ),
        (
            group("seasonal_mean", "tea", season=7),
            r"features\[0\]\.params has \['season'\]; seasonal_mean takes exactly "
            r"\['count', 'season'\]; correct the keys",
        ),
        (
            group("exponential_mean", "tea", alphas=[2]),
            r"features\[0\]\.params: exponential_mean: alpha 2 must be a whole number of percent",
        ),
        (
            group("share_filter", "tea", shock_spread=1),
            r"features\[0\]\.params: share_filter: shock_spread = 1",
        ),
    ],
)
def test_a_feature_that_no_builder_of_panels_makes_is_refused_with_key_and_remedy(
    entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProblemError, match=message):
        check_groups(panel_problem(entry))


def test_builders_of_panels_are_no_features_of_candles() -> None:
    with pytest.raises(ProblemError, match="'lagged_value' is no feature of source 'coin'"):
        check_groups(small_problem(group("lagged_value", lags=[0])))


def test_a_feature_set_names_features_of_a_step_without_the_step() -> None:
    problem = panel_problem(group("seasonal_value", "tea", season=7))
    with_set = problem.model_copy(update={"feature_sets": {"season": ("tea_season_7",)}})
    with_step = problem.model_copy(update={"feature_sets": {"season": ("tea_season_7@01",)}})

    check_feature_sets(with_set)
    with pytest.raises(ProblemError, match="'tea_season_7@01', which matches no feature"):
        check_feature_sets(with_step)


def test_every_column_of_the_shortest_history_is_one_of_the_table(features: pl.DataFrame) -> None:
    made = {name for _, names in group_columns(PROBLEM) for name in names}

    assert made == {c.split("@")[0] for c in features.columns if c not in INDEX}
    assert np.unique(list(made)).size == len(made)
