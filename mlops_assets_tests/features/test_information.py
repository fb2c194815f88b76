"""Features that say nothing are named with the reason, and no others."""

from __future__ import annotations

import polars as pl

from mlops_assets.features.feature_set import compute_features
from mlops_assets.features.information import uninformative
from mlops_assets_tests.features.panels import observed, panel_problem, random_shares
from mlops_assets_tests.features.series import group, price_bars, small_problem
from mlops_assets_tests.features.series import observed as observed_bars

PROBLEM = panel_problem(
    group("lagged_value", "tea", lags=[0, 90]),
    group("seasonal_value", "tea", season=7),
    group("segment_one_hot", "tea"),
    group("as_of_value", "rain"),
    group("as_of_age", "rain"),
    group("day_of_week", "calendar"),
)
FEATURES = compute_features(observed(random_shares(20)), PROBLEM)


def test_a_feature_without_any_value_is_missing_throughout_and_one_of_one_value_is_constant() -> (
    None
):
    assert uninformative(FEATURES, PROBLEM) == {
        "tea_lag_90": "missing throughout",
        "rain_age_hours": "constant at 6.0",
    }


def test_a_constant_with_gaps_is_constant_still() -> None:
    table = FEATURES.with_columns(rain_value=pl.when(pl.int_range(pl.len()) % 2 == 0).then(3.0))

    assert uninformative(table, PROBLEM)["rain_value"] == "constant at 3.0"


def test_a_feature_of_the_step_is_judged_over_all_its_steps() -> None:
    steps = [c for c in FEATURES.columns if c.startswith("tea_season_7@")]
    one_each = FEATURES.with_columns(pl.lit(float(k)).alias(c) for k, c in enumerate(steps))
    same = FEATURES.with_columns(pl.lit(4.0).alias(c) for c in steps)
    none = FEATURES.with_columns(pl.lit(None, dtype=pl.Float64).alias(c) for c in steps)

    assert "tea_season_7" not in uninformative(one_each, PROBLEM)
    assert uninformative(same, PROBLEM)["tea_season_7"] == "constant at 4.0"
    assert uninformative(none, PROBLEM)["tea_season_7"] == "missing throughout"


def test_labels_of_a_single_series_are_not_called_constant() -> None:
    one = FEATURES.filter(pl.col("series") == "가/여")

    assert not [name for name in uninformative(one, PROBLEM) if name.startswith("brand_")]


def test_an_empty_table_has_no_information_at_all() -> None:
    assert uninformative(FEATURES.clear(), PROBLEM)["tea_lag_0"] == "missing throughout"


def test_bars_are_judged_the_same_way() -> None:
    problem = small_problem(group("close_location"), group("as_of_age", "ndx"))
    fresh = observed_bars(price_bars(30)).with_columns(ndx_age_hours=pl.lit(0.5))

    assert uninformative(compute_features(fresh, problem), problem) == {
        "ndx_age_hours": "constant at 0.5"
    }
