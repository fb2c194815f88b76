"""Which frames allow a fair comparison."""

from __future__ import annotations

import polars as pl
import pytest

from mlops_assets.evaluation.rows import BacktestRowsError, judged_rows, require_same_rows
from mlops_assets_tests.evaluation.frames import (
    HOUR,
    START,
    backtest_frame,
    share_problem,
    small_problem,
)


@pytest.fixture
def frame() -> pl.DataFrame:
    return backtest_frame(
        [101.0, 102.0, 103.0],
        {"last_value": [100.0, 100.0, 100.0], "ridge": [100.5, 101.0, 102.0]},
    )


def test_a_frame_with_the_same_rows_for_every_candidate_is_accepted(frame: pl.DataFrame) -> None:
    judged = judged_rows(frame, small_problem())
    assert judged.equals(frame)


def test_a_missing_row_is_named_with_its_candidate(frame: pl.DataFrame) -> None:
    gap = (pl.col("candidate") == "ridge") & (pl.col("origin") == START + HOUR)
    with pytest.raises(
        BacktestRowsError,
        match=r"'ridge' lacks the row series 'coin', origin 2024-02-01 01:00:00\+00:00, step 1",
    ):
        require_same_rows(frame.filter(~gap))


def test_rows_that_no_two_candidates_share_are_refused_even_when_counts_agree(
    frame: pl.DataFrame,
) -> None:
    kept = ((pl.col("candidate") == "ridge") & (pl.col("origin") > START)) | (
        (pl.col("candidate") == "last_value") & (pl.col("origin") < START + 2 * HOUR)
    )
    with pytest.raises(BacktestRowsError, match="'last_value' lacks the row"):
        require_same_rows(frame.filter(kept))


def test_a_row_forecast_twice_is_named(frame: pl.DataFrame) -> None:
    with pytest.raises(BacktestRowsError, match="'ridge' has more than one forecast at"):
        require_same_rows(pl.concat([frame, frame[-1:]]))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_named(frame: pl.DataFrame, value: float | None) -> None:
    broken = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 4).then(pl.lit(value)).otherwise("point").alias("point")
    )
    with pytest.raises(BacktestRowsError, match=r"'ridge' .* must be a finite number"):
        require_same_rows(broken)


def test_candidates_that_disagree_on_the_truth_are_refused(frame: pl.DataFrame) -> None:
    other = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 4).then(99.0).otherwise("actual").alias("actual")
    )
    with pytest.raises(BacktestRowsError, match="disagree on `actual`"):
        require_same_rows(other)


def test_a_missing_column_is_named(frame: pl.DataFrame) -> None:
    with pytest.raises(BacktestRowsError, match="lacks the columns step, upper"):
        judged_rows(frame.drop("step", "upper"), small_problem())


def test_only_the_leads_of_the_problem_are_judged(frame: pl.DataFrame) -> None:
    later = frame.with_columns(pl.lit(2, dtype=pl.Int64).alias("step"))
    both = pl.concat([frame, later])
    assert judged_rows(both, small_problem())["step"].unique().to_list() == [1]


def test_leads_that_the_backtest_does_not_hold_are_refused(frame: pl.DataFrame) -> None:
    problem = share_problem(leads=(2,))
    with pytest.raises(BacktestRowsError, match="has no row"):
        judged_rows(frame, problem)
