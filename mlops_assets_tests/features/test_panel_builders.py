"""Builders of panels: expected values are counted by hand on a few days."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pandas as pd
import pytest

from mlops_assets.features.bars import FloatArray
from mlops_assets.features.panel import panel_on_grid
from mlops_assets.features.panel_builders import (
    PANEL_BUILDERS,
    as_of_age,
    as_of_channel_tier,
    as_of_value,
    exponential_mean,
    lagged_value,
    rolling_mean,
    rolling_sd,
    seasonal_mean,
    seasonal_value,
    segment_one_hot,
)
from mlops_assets.problem import ProblemError
from mlops_assets_tests.features.panels import (
    PANEL_KINDS,
    observed,
    panel_of,
    panel_problem,
    random_shares,
)

NAN = float("nan")


def days(*first: float) -> FloatArray:
    """A panel's values of which the first series is given, the others 50 on every day."""
    values = np.full((len(first), 4), 50.0)
    values[:, 0] = first
    return values


def of_first(column: FloatArray) -> list[float]:
    return [round(float(value), 9) for value in column[:, 0]]


def test_a_lag_is_the_value_so_many_days_before_in_the_same_series() -> None:
    columns = lagged_value(panel_of(days(1, 2, 3)), "tea", lags=[0, 2])

    assert list(columns) == ["tea_lag_0", "tea_lag_2"]
    assert of_first(columns["tea_lag_0"]) == [1, 2, 3]
    assert of_first(columns["tea_lag_2"]) == pytest.approx([NAN, NAN, 1], nan_ok=True)
    assert columns["tea_lag_2"][2].tolist() == [1, 50, 50, 50]


def test_a_mean_takes_the_known_days_of_its_window_if_they_are_half_of_it() -> None:
    columns = rolling_mean(panel_of(days(2, NAN, 6, 10)), "tea", windows=[3])

    # Days 0; 0; 0 and 2; 2 and 3: at least 1.5 of 3 must be known.
    expected = [NAN, NAN, 4, 8]
    assert of_first(columns["tea_mean_3"]) == pytest.approx(expected, nan_ok=True)


def test_a_standard_deviation_is_that_of_a_sample_within_its_window() -> None:
    columns = rolling_sd(panel_of(days(2, 4, 9, NAN, NAN)), "tea", windows=[3])

    # (2, 4): sqrt 2; (2, 4, 9): mean 5, (9 + 1 + 16) / 2 = 13; (4, 9): sqrt 12.5; then one alone.
    expected = [NAN, sqrt(2), sqrt(13), sqrt(12.5), NAN]
    assert columns["tea_sd_3"][:, 0] == pytest.approx(expected, nan_ok=True)
    assert columns["tea_sd_3"][2, 1] == 0.0


def test_a_smoothed_level_starts_at_the_first_value_and_moves_by_alpha_of_the_surprise() -> None:
    columns = exponential_mean(panel_of(days(10, 20, 0)), "tea", alphas=[0.05, 0.5])

    assert list(columns) == ["tea_ewm_05", "tea_ewm_50"]
    # 10; 10 + (20 - 10) / 2 = 15; 15 + (0 - 15) / 2 = 7.5, and by a twentieth 10, 10.5, 9.975.
    assert of_first(columns["tea_ewm_50"]) == [10, 15, 7.5]
    assert of_first(columns["tea_ewm_05"]) == [10, 10.5, 9.975]


def test_a_gap_keeps_the_smoothed_level() -> None:
    columns = exponential_mean(panel_of(days(NAN, 10, NAN, 20)), "tea", alphas=[0.5])

    assert of_first(columns["tea_ewm_50"]) == pytest.approx([NAN, 10, 10, 15], nan_ok=True)


def test_a_smoothed_level_is_what_pandas_makes_of_the_recursion() -> None:
    values = random_shares(60)

    ours = exponential_mean(panel_of(values), "tea", alphas=[0.12])["tea_ewm_12"]

    theirs = pd.DataFrame(values).ewm(alpha=0.12, adjust=False).mean().to_numpy()
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_an_alpha_that_no_column_can_be_named_by_is_refused() -> None:
    with pytest.raises(ProblemError, match=r"alpha 0\.125 must be a whole number of percent"):
        exponential_mean(panel_of(days(1, 2)), "tea", alphas=[0.125])


def test_a_seasonal_value_is_the_newest_of_the_forecast_day_s_weekday() -> None:
    columns = seasonal_value(panel_of(days(*range(10))), "tea", season=7)

    assert list(columns) == [f"tea_season_7@{h:02d}" for h in range(1, 9)]
    # The newest day is 9: day 10 looks at day 3, day 16 at day 9, day 17 at day 3 again.
    newest = {name: column[9, 0] for name, column in columns.items()}
    assert list(newest.values()) == [3, 4, 5, 6, 7, 8, 9, 3]


def test_a_seasonal_value_before_the_first_season_is_unknown() -> None:
    columns = seasonal_value(panel_of(days(*range(5))), "tea", season=7)

    assert np.isnan(columns["tea_season_7@01"]).all()
    assert of_first(columns["tea_season_7@07"]) == [0, 1, 2, 3, 4]


def test_a_seasonal_mean_is_that_of_the_last_values_of_the_phase() -> None:
    values = days(0, 1, 2, 3, 4, NAN, 6, 7, 8)  # odd and even days: a season of 2
    columns = seasonal_mean(panel_of(values), "tea", season=2, count=3)

    assert list(columns) == [f"tea_season_2_mean_3@{h:02d}" for h in range(1, 9)]
    newest = [column[8, 0] for column in columns.values()]
    # Day 9 is odd: days 7, 5 (unknown), 3 make 5; day 10 is even: 8, 6, 4 make 6.
    assert newest == [5, 6, 5, 6, 5, 6, 5, 6]
    # At day 2 the odd days before are 1 alone, a third of three: too few.
    assert np.isnan(columns["tea_season_2_mean_3@01"][2, 0])
    assert columns["tea_season_2_mean_3@02"][2, 0] == 1.0  # days 2 and 0


def test_labels_are_columns_by_their_position_in_the_file() -> None:
    columns = segment_one_hot(panel_of(days(1, 2)), "tea")

    assert {name: column[1].tolist() for name, column in columns.items()} == {
        "brand_00": [1, 1, 0, 0],
        "brand_01": [0, 0, 1, 1],
        "party_00": [1, 0, 1, 0],
        "party_01": [0, 1, 0, 1],
    }


def test_other_sources_are_the_same_for_every_series() -> None:
    panel = panel_of(days(1, 2, 3))

    assert as_of_value(panel, "rain")["rain_value"].tolist() == [[0] * 4, [1] * 4, [2] * 4]
    tier = as_of_channel_tier(panel, "rain")
    assert tier["rain_channel_tier"].tolist() == [[0] * 4, [1] * 4, [2] * 4]
    assert as_of_age(panel, "rain")["rain_age_hours"].tolist() == [[6] * 4] * 3


@pytest.mark.parametrize("entry", PANEL_KINDS, ids=lambda entry: str(entry["kind"]))
@pytest.mark.parametrize("cut", [9, 31])
def test_a_row_is_the_same_bit_for_bit_without_the_rows_after_it(
    entry: dict[str, object], cut: int
) -> None:
    problem = panel_problem()
    values = random_shares(45)
    values[20, 1] = NAN
    builder, source = PANEL_BUILDERS[str(entry["kind"])], str(entry["source"])
    params = entry["params"]
    assert isinstance(params, dict)

    whole = builder(panel_on_grid(observed(values), problem), source, **params)
    short = builder(panel_on_grid(observed(values[:cut]), problem), source, **params)

    assert list(whole) == list(short)
    for name, column in short.items():
        assert column.shape == (cut, 4)
        assert column.tobytes() == np.ascontiguousarray(whole[name][:cut]).tobytes(), name


def test_every_kind_there_is_has_been_tried_on_a_cut() -> None:
    assert {str(entry["kind"]) for entry in PANEL_KINDS} == set(PANEL_BUILDERS)
