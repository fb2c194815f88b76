"""The table of candidates on frames whose figures are worked by hand or by numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.evaluation.leaderboard import (
    NoBaselineError,
    leaderboard,
    strongest_baseline,
    suspicious,
    weekly,
)
from mlops_assets.evaluation.rows import BacktestRowsError
from mlops_assets.evaluation.significance import diebold_mariano
from mlops_assets_tests.evaluation.frames import (
    START,
    backtest_frame,
    share_frame,
    share_problem,
    small_problem,
)


@pytest.fixture
def frame() -> pl.DataFrame:
    """Two weeks; errors: last_value +-4, drift +-5, ridge 1 then 3, forest 6 (squares alike)."""
    n = 336
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)
    actual = 100.0 + 4.0 * sign
    first = np.arange(n) < 168
    return backtest_frame(
        actual,
        {
            "last_value": np.full(n, 100.0),
            "drift": actual + 5.0 * sign,
            "ridge": actual - np.where(first, 1.0, 3.0) * sign,
            "forest": actual - 6.0,
        },
        baselines=("last_value", "drift"),
        half_width=3.0,
    )


def row(table: pl.DataFrame, candidate: str) -> dict[str, Any]:
    return table.filter(pl.col("candidate") == candidate).row(0, named=True)


def test_candidates_are_sorted_by_the_loss_and_measured_against_the_strongest_baseline(
    frame: pl.DataFrame,
) -> None:
    table = leaderboard(frame, small_problem())
    assert table["candidate"].to_list() == ["ridge", "last_value", "drift", "forest"]
    assert table["baseline"].to_list() == [False, True, True, False]
    assert table["mae"].to_list() == pytest.approx([2, 4, 5, 6])
    assert table["rmse"].to_list() == pytest.approx([np.sqrt(5), 4, 5, 6])
    assert table["skill"].to_list() == pytest.approx([0.5, 0, -0.25, -0.5])
    assert table["mae_ratio"].to_list() == pytest.approx([0.5, 1, 1.25, 1.5])
    assert table["rmse_ratio"].to_list() == pytest.approx([np.sqrt(5) / 4, 1, 1.25, 1.5])
    assert table["n"].to_list() == [336] * 4


def test_coverage_is_pooled_and_its_worst_week_stands_beside_it(frame: pl.DataFrame) -> None:
    wide = frame.with_columns(pl.col("lower") + 1.0, pl.col("upper") - 1.0)  # half width 2
    ridge = row(leaderboard(wide, small_problem()), "ridge")
    assert ridge["coverage"] == 0.5
    assert ridge["worst_week_coverage"] == 0


def test_winkler_is_in_basis_points_of_the_last_value(frame: pl.DataFrame) -> None:
    # Width 6; forest misses by 3 at 20 each: 66 of 100 USDT.
    table = leaderboard(frame, small_problem())
    assert row(table, "ridge")["winkler"] == pytest.approx(600.0)
    assert row(table, "forest")["winkler"] == pytest.approx(6600.0)


def test_a_problem_of_one_lead_has_its_pooled_scores_at_that_lead(frame: pl.DataFrame) -> None:
    ridge = row(leaderboard(frame, small_problem()), "ridge")
    assert ridge["by_lead"] == [
        {"step": 1} | {name: ridge[name] for name in ("mae", "rmse", "n", "coverage", "winkler")}
    ]


def test_shares_are_scored_in_their_own_unit_and_at_each_lead() -> None:
    problem = share_problem()
    # Errors: the last value 2 at lead 1 and 4 at lead 3; ridge 1 and 3. Bands +- 2, scales 2.
    errors = {
        "last_value": lambda _series, step, _day: float(step + 1),
        "ridge": lambda _series, step, _day: float(step),
    }
    table = leaderboard(share_frame(problem, errors, half_width=2.0), problem)
    ridge = row(table, "ridge")
    assert ridge["mae"] == pytest.approx(2.0)
    assert ridge["mase"] == pytest.approx(1.0)
    assert (ridge["winkler"], ridge["winkler_unit"]) == (pytest.approx(14.0), "%")
    assert (ridge["r2_return"], ridge["direction_pct"]) == (None, None)
    # 4 series, 3 days. Inside at lead 1; at lead 3 a miss by 1 costs 20 beside the width of 4.
    assert ridge["by_lead"] == [
        {"step": 1, "mae": 1.0, "rmse": 1.0, "n": 12, "coverage": 1.0, "winkler": 4.0},
        {
            "step": 3,
            "mae": 3.0,
            "rmse": 3.0,
            "n": 12,
            "coverage": 0.0,
            "winkler": pytest.approx(24.0),
        },
    ]
    assert [lead["mae"] for lead in row(table, "last_value")["by_lead"]] == [2.0, 4.0]


def test_the_p_value_is_the_one_sided_test_against_the_strongest_baseline() -> None:
    rng = np.random.default_rng(2)
    actual = 100 + rng.standard_t(4, size=500)
    ridge = 100 + 0.1 * (actual - 100) + 0.1 * rng.normal(size=500)
    frame = backtest_frame(actual, {"last_value": np.full(500, 100.0), "ridge": ridge})
    table = leaderboard(frame, small_problem())
    expected = diebold_mariano(np.abs(ridge - actual) - np.abs(100 - actual), 1).p_value
    assert row(table, "ridge")["p_value"] == pytest.approx(expected)
    assert 0 < expected < 0.05
    assert row(table, "last_value")["p_value"] == 1


def test_another_loss_reorders_the_table() -> None:
    # Absolute errors: steady 2.0, spiky 1.5 on average; squared: 4.0 against 9.0.
    frame = backtest_frame(
        [100.0] * 40, {"last_value": [102.0] * 40, "spiky": [106.0, 100.0, 100.0, 100.0] * 10}
    )
    assert leaderboard(frame, small_problem())["candidate"].to_list() == ["spiky", "last_value"]
    squared = small_problem(evaluation={"loss": "squared_error"})
    table = leaderboard(frame, squared)
    assert table["candidate"].to_list() == ["last_value", "spiky"]
    assert row(table, "spiky")["skill"] == pytest.approx(1 - 9 / 4)


def test_each_fold_has_its_own_row_and_skill(frame: pl.DataFrame) -> None:
    table = weekly(frame, small_problem())
    assert table.height == 2 * 4
    assert table["refit_at"].is_sorted()
    ridge = table.filter(pl.col("candidate") == "ridge")
    assert ridge["refit_at"][0] == START
    assert ridge["mae"].to_list() == pytest.approx([1, 3])
    assert ridge["skill"].to_list() == pytest.approx([0.75, 0.25])
    assert ridge["n"].to_list() == [168, 168]
    assert ridge["coverage"].to_list() == [1, 1]


def test_the_strongest_baseline_is_a_baseline_however_good_the_others_are(
    frame: pl.DataFrame,
) -> None:
    assert strongest_baseline(frame, small_problem()) == "last_value"


def test_a_frame_without_a_baseline_is_refused(frame: pl.DataFrame) -> None:
    only = frame.filter(~pl.col("baseline"))
    with pytest.raises(NoBaselineError, match="none of the candidates forest, ridge is a baseline"):
        leaderboard(only, small_problem())


def test_unequal_rows_are_refused(frame: pl.DataFrame) -> None:
    with pytest.raises(BacktestRowsError, match="'forest' lacks the row"):
        leaderboard(frame[:-1], small_problem())


def test_a_perfect_baseline_leaves_skill_and_ratios_undefined() -> None:
    frame = backtest_frame([100.0] * 40, {"last_value": [100.0] * 40, "ridge": [101.0] * 40})
    ridge = row(leaderboard(frame, small_problem()), "ridge")
    assert (ridge["skill"], ridge["mae_ratio"], ridge["rmse_ratio"]) == (None, None, None)


def test_a_result_too_good_to_be_true_is_named_and_the_alarm_can_be_moved(
    frame: pl.DataFrame,
) -> None:
    table = leaderboard(frame, small_problem())
    assert suspicious(table) == ["ridge"]
    assert suspicious(table, floor=0.5) == []
    assert suspicious(table, floor=None) == []
    assert suspicious(table.filter(pl.col("candidate") != "last_value")) == []


def test_a_baseline_is_never_suspicious() -> None:
    frame = backtest_frame(
        [100.0, 104.0] * 20,
        {"last_value": [102.0, 106.0] * 20, "drift": [100.1, 104.1] * 20},
        baselines=("last_value", "drift"),
    )
    assert suspicious(leaderboard(frame, small_problem())) == []
