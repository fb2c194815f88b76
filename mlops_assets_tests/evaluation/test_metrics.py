"""Every score against figures worked by hand."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from mlops_assets.evaluation import metrics
from mlops_assets_tests.evaluation.frames import backtest_frame, share_problem, small_problem


def score(expression: pl.Expr, frame: pl.DataFrame) -> float | None:
    value = frame.select(expression).item()
    return None if value is None else float(value)


@pytest.fixture
def frame() -> pl.DataFrame:
    """Errors 1, -2, 0, -4 around actual values 100, 80, 50, 200; the last value is 100."""
    return backtest_frame(
        [100.0, 80.0, 50.0, 200.0], {"ridge": [101.0, 78.0, 50.0, 196.0]}, half_width=2.0
    )


def test_mae_is_the_mean_of_absolute_errors(frame: pl.DataFrame) -> None:
    assert score(metrics.mae(), frame) == pytest.approx((1 + 2 + 0 + 4) / 4)


def test_rmse_is_the_root_of_the_mean_squared_error(frame: pl.DataFrame) -> None:
    assert score(metrics.rmse(), frame) == pytest.approx(math.sqrt((1 + 4 + 0 + 16) / 4))


def test_mase_weighs_each_error_by_the_usual_change_of_its_series(frame: pl.DataFrame) -> None:
    scaled = frame.with_columns(mase_scale=pl.Series([2.0, 4.0, 1.0, 8.0]))
    assert score(metrics.mase(), scaled) == pytest.approx((1 / 2 + 2 / 4 + 0 + 4 / 8) / 4)


@pytest.mark.parametrize("scale", [None, 0.0])
def test_mase_is_null_when_a_scale_is_unknown_or_zero(
    frame: pl.DataFrame, scale: float | None
) -> None:
    scales = pl.Series([2.0, 4.0, 1.0, scale])
    assert score(metrics.mase(), frame.with_columns(mase_scale=scales)) is None


def test_mase_is_null_when_no_scale_is_known(frame: pl.DataFrame) -> None:
    unknown = frame.with_columns(mase_scale=pl.lit(None, dtype=pl.Float64))
    assert score(metrics.mase(), unknown) is None


def test_mape_is_in_percent_of_the_actual_value(frame: pl.DataFrame) -> None:
    expected = 100 * (1 / 100 + 2 / 80 + 0 + 4 / 200) / 4
    assert score(metrics.mape_pct(), frame) == pytest.approx(expected)


def test_mape_is_null_when_an_actual_value_is_zero() -> None:
    assert score(metrics.mape_pct(), backtest_frame([0.0, 1.0], {"ridge": [1.0, 1.0]})) is None


def test_r2_of_the_return_compares_with_a_zero_return() -> None:
    # Log returns 0.02, -0.01; forecasts 0.01, 0: 1 - (0.01^2 + 0.01^2) / (0.02^2 + 0.01^2) = 0.6.
    frame = backtest_frame(
        [100 * math.exp(0.02), 100 * math.exp(-0.01)], {"ridge": [100 * math.exp(0.01), 100.0]}
    )
    assert score(metrics.r2_of_return(), frame) == pytest.approx(0.6)


def test_r2_of_the_return_of_the_last_value_is_zero() -> None:
    frame = backtest_frame([101.0, 97.0], {"last_value": [100.0, 100.0]})
    assert score(metrics.r2_of_return(), frame) == 0


@pytest.mark.parametrize(("actual", "point"), [([100.0, 100.0], 101.0), ([100.0, 0.0], 101.0)])
def test_r2_of_the_return_is_null_where_nothing_moved_or_a_value_is_not_positive(
    actual: list[float], point: float
) -> None:
    assert score(metrics.r2_of_return(), backtest_frame(actual, {"r": [point, point]})) is None


def test_direction_leaves_out_rows_without_one() -> None:
    # up/up, up/down, flat forecast, flat actual, down/down: two of three.
    frame = backtest_frame(
        [101.0, 99.0, 105.0, 100.0, 90.0], {"ridge": [102.0, 101.0, 100.0, 103.0, 99.0]}
    )
    assert score(metrics.direction_pct(), frame) == pytest.approx(200 / 3)


def test_direction_of_the_last_value_is_null() -> None:
    frame = backtest_frame([101.0, 97.0], {"last_value": [100.0, 100.0]})
    assert score(metrics.direction_pct(), frame) is None


def test_coverage_counts_the_bounds_as_inside(frame: pl.DataFrame) -> None:
    # Bands [99, 103], [76, 80], [48, 52], [194, 198] around 100, 80, 50, 200.
    assert score(metrics.coverage(), frame) == pytest.approx(3 / 4)


def test_the_interval_score_is_the_width_plus_twenty_times_the_miss_at_90_percent(
    frame: pl.DataFrame,
) -> None:
    scores = frame.select(metrics.interval_score(0.9)).to_series().to_list()
    assert scores == pytest.approx([4.0, 4.0, 4.0, 4.0 + 20 * 2.0])
    assert score(metrics.winkler(0.9), frame) == pytest.approx(14.0)


def test_a_miss_below_the_band_costs_as_much_as_one_above() -> None:
    frame = backtest_frame([97.0, 103.0], {"ridge": [100.0, 100.0]})
    assert frame.select(metrics.interval_score(0.8)).to_series().to_list() == pytest.approx(
        [2 + 10 * 2.0] * 2
    )


def test_winkler_in_basis_points_weighs_each_row_by_its_last_value() -> None:
    frame = backtest_frame([100.0, 1000.0], {"ridge": [100.0, 1000.0]}, last_value=[100.0, 1000.0])
    # Width 2 in both rows: 200 bp of 100 and 20 bp of 1000.
    assert score(metrics.winkler_bp(0.9), frame) == pytest.approx(110.0)


def test_the_band_score_of_log_returns_is_in_basis_points_and_any_other_in_target_units() -> None:
    frame = backtest_frame([50.0], {"ridge": [50.0]}, last_value=50.0)  # width 2
    coin, drinks = small_problem(), share_problem()
    assert score(metrics.band_score(coin), frame) == pytest.approx(400.0)
    assert metrics.band_score_unit(coin) == "bp"
    assert score(metrics.band_score(drinks), frame) == pytest.approx(2.0)
    assert metrics.band_score_unit(drinks) == "%"


def test_the_interval_score_is_lowest_at_the_true_quantiles() -> None:
    draws = np.random.default_rng(1).normal(size=20_000)
    frame = pl.DataFrame({"actual": draws})
    widths = np.linspace(1.2, 2.2, 41)
    costs = [
        score(metrics.winkler(0.9), frame.with_columns(lower=pl.lit(-w), upper=pl.lit(w)))
        for w in widths
    ]
    # The 95 % quantile of the normal distribution is 1.645.
    assert widths[np.argmin(np.array(costs, dtype=float))] == pytest.approx(1.645, abs=0.05)


def test_skill_is_the_share_of_the_baseline_loss_that_is_saved() -> None:
    table = pl.DataFrame({"loss": [3.0, 4.0, 5.0, 1.0], "base": [4.0, 4.0, 4.0, 0.0]})
    skills = table.select(metrics.skill(pl.col("loss"), pl.col("base")).alias("s"))["s"].to_list()
    assert skills == [0.25, 0.0, -0.25, None]


def test_worst_week_coverage_is_the_lowest_of_any_fold() -> None:
    actual = np.full(14 * 24, 100.0)
    actual[:42] = 110.0  # a quarter of the first week lies outside
    actual[168 : 168 + 21] = 110.0  # an eighth of the second
    worst = metrics.worst_week_coverage(backtest_frame(actual, {"ridge": 0 * actual + 100.0}))
    assert worst.row(0, named=True) == {"candidate": "ridge", "worst_week_coverage": 0.75}
