"""Where the values of a panel come to lie: rows are days, columns are series."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from mlops_assets.features.panel import panel_on_grid, probe_panel
from mlops_assets_tests.features.panels import (
    DAY,
    SERIES,
    came_late,
    day,
    observed,
    panel_problem,
    restated,
)

NAN = float("nan")
PROBLEM = panel_problem()
VALUES = [[40.0, 30.0, 60.0, 70.0], [NAN, NAN, NAN, NAN], [10.0, NAN, 90.0, 80.0]]


def test_each_value_lies_at_its_day_and_series_and_what_is_missing_is_nan() -> None:
    shuffled = observed(VALUES).sample(fraction=1.0, shuffle=True, seed=1)

    panel = panel_on_grid(shuffled, PROBLEM)

    assert panel.series == SERIES
    assert panel.values == pytest.approx(np.array(VALUES), nan_ok=True)
    assert panel.valid_time.tolist() == [day(k).replace(tzinfo=None) for k in range(3)]


def test_a_panel_knows_its_labels_segments_zone_and_horizon() -> None:
    panel = panel_on_grid(observed(VALUES), PROBLEM)

    assert panel.labels == {"brand": ("가", "가", "나", "나"), "party": ("여", "남", "여", "남")}
    assert panel.segments == ("여", "남")
    assert panel.segment.tolist() == [0, 1, 0, 1]
    assert (panel.zone, panel.horizon, panel.frequency) == ("Asia/Seoul", 8, DAY)


def test_without_keys_there_is_one_series_of_the_source_s_name_and_no_label() -> None:
    problem = panel_problem(keys={}, transform="difference")

    panel = panel_on_grid(observed([[1.0], [2.0]], series=["tea"]), problem)

    assert panel.series == ("tea",)
    assert panel.labels == {}
    assert panel.segments == ("tea",)
    assert panel.values.tolist() == [[1.0], [2.0]]


def test_a_series_that_was_never_seen_is_a_column_without_values() -> None:
    panel = panel_on_grid(observed(VALUES).filter(pl.col("series") != "나/남"), PROBLEM)

    assert np.isnan(panel.values[:, 3]).all()
    assert panel.values[0, :3].tolist() == [40.0, 30.0, 60.0]


def test_other_sources_are_those_known_when_the_day_was_first_published() -> None:
    # Day 0 of one series was restated after it rained 99: the day itself was published at rain 0.
    changed = restated(observed(VALUES), "가/여", 0, 41.0, known_at=day(2) + DAY / 2)
    newest = changed.filter(pl.col("superseded_at").is_null())

    panel = panel_on_grid(newest, PROBLEM)

    rain, age = panel.exogenous["rain"]
    assert panel.values[0, 0] == 41.0
    assert rain == pytest.approx([0.0, NAN, 2.0], nan_ok=True)
    assert age == pytest.approx([6.0, NAN, 6.0], nan_ok=True)


def test_the_shortest_history_has_positive_values_that_fill_their_segment() -> None:
    panel = probe_panel(PROBLEM)

    assert panel.values.tolist() == [[50.0] * 4, [50.0] * 4]
    assert panel.valid_time[1] - panel.valid_time[0] == np.timedelta64(1, "D")
    assert list(panel.exogenous) == ["rain"]


def test_two_versions_of_a_value_are_refused_with_series_time_and_remedy() -> None:
    frame = observed(VALUES)

    with pytest.raises(
        ValueError,
        match=r"series '가/여' has 2024-01-01 15:00:00\+00:00 more than once; .*"
        "select the versions known at one instant first",
    ):
        panel_on_grid(pl.concat([frame, frame[:1]]), PROBLEM)


def test_a_series_the_problem_does_not_know_is_refused_with_the_remedy() -> None:
    frame = observed(VALUES).with_columns(pl.col("series").replace("나/남", "다/남"))

    with pytest.raises(ValueError, match=r"series '다/남' is none of the 4 of tea_share.*add its"):
        panel_on_grid(frame, PROBLEM)


def test_a_value_between_two_days_is_refused_with_the_rule() -> None:
    late_by_an_hour = pl.when(pl.col("valid_time") == day(2)).then(timedelta(hours=1))
    frame = observed(VALUES).with_columns(
        pl.col("valid_time") + late_by_an_hour.otherwise(timedelta(0))
    )

    with pytest.raises(ValueError, match=r"2024-01-03T16:00.* is no whole number of periods"):
        panel_on_grid(frame, PROBLEM)


def test_a_late_value_has_its_place_among_the_others_of_its_day() -> None:
    frame = came_late(observed(VALUES), [0], series="가/남", known_at=day(2))

    assert panel_on_grid(frame, PROBLEM).values[0].tolist() == VALUES[0]
