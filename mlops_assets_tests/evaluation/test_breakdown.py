"""Scores by lead and by label, on errors that are worked by hand."""

from __future__ import annotations

import polars as pl
import pytest

from mlops_assets.evaluation.breakdown import by_label, by_lead, ordered_labels, with_labels
from mlops_assets.evaluation.rows import BacktestRowsError
from mlops_assets_tests.evaluation.frames import (
    backtest_frame,
    share_frame,
    share_problem,
    small_problem,
)

PROBLEM = share_problem(brands=("brew", "ade"))
# Series in order: brew/male, brew/female, ade/male, ade/female.


def error(series: str, step: int, _day: int) -> float:
    """1 for brew and 2 for ade, 4 more for women, times the step."""
    brand, gender = series.split("/")
    return float(step * ({"brew": 1, "ade": 2}[brand] + (4 if gender == "female" else 0)))


@pytest.fixture
def frame() -> pl.DataFrame:
    return share_frame(
        PROBLEM, {"ridge": error, "last_value": lambda *_: 0.5}, days=2, half_width=5.5
    )


def scores(table: pl.DataFrame, key: str) -> list[tuple[str, float, float, int]]:
    rows = table.filter(pl.col("key") == key, pl.col("candidate") == "ridge")
    return rows.select("label", "mae", "coverage", "n").rows()


def test_scores_by_lead_pool_the_series_of_a_candidate(frame: pl.DataFrame) -> None:
    table = by_lead(frame, PROBLEM)
    assert table.select("candidate", "step").rows() == [
        ("last_value", 1),
        ("last_value", 3),
        ("ridge", 1),
        ("ridge", 3),
    ]
    one, three = table.filter(pl.col("candidate") == "ridge").to_dicts()
    # Errors 1, 5, 2, 6 at one step; three times as large at three.
    assert (one["mae"], three["mae"]) == (3.5, 10.5)
    assert one["rmse"] == pytest.approx((1 + 25 + 4 + 36) ** 0.5 / 2)
    assert (one["mase"], three["mase"]) == (1.75, 5.25)
    assert (one["coverage"], three["coverage"]) == (0.75, 0.25)
    # Width 11; a miss by 0.5 costs 10.
    assert one["winkler"] == pytest.approx(11 + 10 / 4)
    assert (one["n"], three["n"]) == (8, 8)


def test_scores_by_label_pool_leads_and_all_that_shares_the_label(frame: pl.DataFrame) -> None:
    table = by_label(frame, PROBLEM)
    # Errors at leads 1 and 3. brew/male 1, 3; brew/female 5, 15; ade/male 2, 6; ade/female 6, 18.
    assert scores(table, "brand") == [("brew", 6.0, 0.75, 8), ("ade", 8.0, 0.25, 8)]
    assert scores(table, "gender") == [("male", 3.0, 0.75, 8), ("female", 11.0, 0.25, 8)]


def test_segments_come_last_and_hold_what_adds_up(frame: pl.DataFrame) -> None:
    table = by_label(frame, PROBLEM)
    assert scores(table, "segment") == scores(table, "gender")
    keys = table.filter(pl.col("candidate") == "ridge")["key"].unique(maintain_order=True)
    assert keys.to_list() == ["brand", "gender", "segment"]


def test_a_single_series_has_no_labels() -> None:
    frame = backtest_frame([1.0], {"last_value": [2.0]})
    table = by_label(frame, small_problem())
    assert table.is_empty()
    assert table.columns == ["candidate", "key", "label", "mae", "coverage", "n"]


def test_labels_come_in_the_order_of_the_problem_not_of_the_alphabet() -> None:
    assert ordered_labels(PROBLEM, "brand") == ("brew", "ade")
    assert ordered_labels(PROBLEM, "segment") == ("male", "female")


def test_labels_stand_beside_their_series(frame: pl.DataFrame) -> None:
    labelled = with_labels(frame, PROBLEM.series_keys)
    assert labelled.height == frame.height
    assert labelled.filter(pl.col("series") == "ade/female").select(
        "brand", "gender"
    ).unique().rows() == [("ade", "female")]


def test_candidates_without_the_same_rows_are_not_taken_apart(frame: pl.DataFrame) -> None:
    with pytest.raises(BacktestRowsError, match="lacks the row"):
        by_label(frame[1:], PROBLEM)
