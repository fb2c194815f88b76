"""Design rows of a panel: each row has its own step's features, and its day in Korea."""

from __future__ import annotations

from datetime import UTC, datetime
from math import cos, pi, sin

import polars as pl
import pytest

from mlops_assets.features.design import (
    ROW,
    add_targets,
    calendar_columns,
    feature_columns,
    lay_rows,
    targets,
)
from mlops_assets.features.feature_set import compute_features
from mlops_assets.problem import ForecastProblem
from mlops_assets_tests.features.panels import (
    DAY,
    SERIES,
    day,
    observed,
    panel_problem,
    random_shares,
    restated,
)
from mlops_assets_tests.features.series import group

CALENDAR = (
    group("lead", "calendar"),
    group("day_of_week", "calendar"),
    group("month_of_year", "calendar"),
    group("calendar_numbers", "calendar"),
    group("yearly_season", "calendar"),
)
PROBLEM = panel_problem(
    group("lagged_value", "tea", lags=[0]), group("seasonal_value", "tea", season=7), *CALENDAR
)
VALUES = random_shares(40)
PLAIN = observed(VALUES)


def rows_of(
    observations: pl.DataFrame, *steps: int, problem: ForecastProblem = PROBLEM
) -> pl.DataFrame:
    return lay_rows(compute_features(observations, problem), problem, steps=steps)


def test_a_feature_of_the_step_is_one_column_that_holds_each_row_s_own_step() -> None:
    rows = rows_of(PLAIN, 1, 3, 7).filter(pl.col("origin") == day(30), pl.col("series") == "가/남")

    # From day 30, days 31, 33 and 37 look at days 24, 26 and 30; 가/남 is the second column.
    assert rows["step"].to_list() == [1, 3, 7]
    assert rows["tea_season_7"].to_list() == [VALUES[k, 1] for k in (24, 26, 30)]
    assert rows["tea_lag_0"].to_list() == [VALUES[30, 1]] * 3
    assert not [c for c in rows.columns if "@" in c]


def test_rows_have_their_keys_first_and_name_their_segment() -> None:
    rows = rows_of(PLAIN, 1, 2)

    assert rows.columns[: len(ROW)] == list(ROW)
    assert rows.height == 40 * len(SERIES) * 2
    assert rows.equals(rows.sort("origin", "series", "step"))
    segments = rows.select("series", "segment").unique().sort("series").rows()
    assert segments == [("가/남", "남"), ("가/여", "여"), ("나/남", "남"), ("나/여", "여")]


def test_the_lead_of_a_row_is_a_feature_known_in_advance() -> None:
    rows = rows_of(PLAIN, 2, 5)

    assert rows["lead_steps"].to_list() == rows["step"].cast(pl.Float64).to_list()
    assert "lead_steps" in calendar_columns(PROBLEM)


def test_a_period_that_ends_at_three_in_the_afternoon_utc_is_that_day_in_korea() -> None:
    # It began at 15:00 UTC on January 31st, when Thursday, February 1st began in Seoul.
    end = datetime(2024, 2, 1, 15, tzinfo=UTC)
    row = rows_of(PLAIN, 2).filter(pl.col("valid_time") == end).row(0, named=True)

    assert [k for k in range(7) if row[f"weekday_{k}"]] == [3]
    assert [k for k in range(1, 13) if row[f"month_{k:02d}"]] == [2]
    numbers = ("calendar_month", "calendar_day", "calendar_weekday", "calendar_day_of_year")
    assert [row[name] for name in numbers] == [2, 1, 3, 32]
    angle = 2 * pi * (32 - 30) / 365.25
    assert row["season_cosine"] == pytest.approx(-cos(angle), rel=1e-12)
    assert row["season_sine"] == pytest.approx(sin(angle), rel=1e-12)


def test_the_columns_known_in_advance_are_those_of_the_calendar_in_the_order_of_rows() -> None:
    rows = rows_of(PLAIN, 1)
    names = calendar_columns(PROBLEM)

    assert len(names) == 7 + 12 + 4 + 2 + 1
    assert feature_columns(rows) == ["tea_lag_0", "tea_season_7", *names]


def test_a_step_beyond_the_horizon_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        ValueError, match=r"step 9 has no column tea_season_7@09.*within the horizo"
    ):
        rows_of(PLAIN, 9)


def test_no_origins_make_no_rows() -> None:
    features = compute_features(PLAIN, PROBLEM)

    assert lay_rows(features.clear(), PROBLEM, steps=[1]).is_empty()
    assert lay_rows(features.clear(), PROBLEM, steps=[1]).columns == rows_of(PLAIN, 1).columns


def row_of(rows: pl.DataFrame, number: int, step: int) -> dict[str, object]:
    chosen = rows.filter(
        pl.col("series") == "나/여", pl.col("origin") == day(number), pl.col("step") == step
    )
    return chosen.row(0, named=True)


def test_the_target_of_a_share_is_the_share_itself_and_it_has_no_volatility() -> None:
    row = row_of(add_targets(rows_of(PLAIN, 3), PLAIN, PROBLEM), 20, 3)

    assert row["actual"] == VALUES[23, 2]
    assert row["realised"] == VALUES[23, 2]
    assert row["target_known_at"] == day(23)
    assert row["log_volatility"] is None


def test_the_target_of_a_difference_is_the_change_from_the_last_value() -> None:
    problem = panel_problem(*CALENDAR, transform="difference")

    row = row_of(add_targets(rows_of(PLAIN, 3, problem=problem), PLAIN, problem), 20, 3)

    assert row["realised"] == VALUES[23, 2] - VALUES[20, 2]
    assert row["actual"] == VALUES[23, 2]


def test_the_seasonal_change_is_the_distance_to_the_first_version_a_season_before() -> None:
    changed = restated(PLAIN, "나/여", 16, 55.5, known_at=day(18))

    rows = add_targets(rows_of(changed, 1), changed, PROBLEM)

    assert row_of(rows, 22, 1)["season_change"] == abs(VALUES[23, 2] - VALUES[16, 2])
    assert row_of(rows, 5, 1)["season_change"] is None  # day 6 has no day a week before


def test_a_season_before_a_gap_is_unknown() -> None:
    holed = PLAIN.filter(pl.col("valid_time") != day(16))

    assert row_of(add_targets(rows_of(holed, 1), holed, PROBLEM), 22, 1)["season_change"] is None


def test_targets_are_those_of_the_first_version() -> None:
    changed = restated(PLAIN, "나/여", 16, 55.5, known_at=day(18) + DAY / 2)
    on = ["series", "valid_time"]

    first, revised = targets(PLAIN, PROBLEM), targets(changed, PROBLEM)

    assert revised.sort(on).equals(first.sort(on))
