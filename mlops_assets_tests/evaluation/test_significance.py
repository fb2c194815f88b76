"""The tests against hand-worked figures, statsmodels, and simulations with a known answer."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from mlops_assets.evaluation.significance import (
    MIN_PERIODS,
    diebold_mariano,
    holm,
    long_run_variance,
    mean_differential,
    newey_west_bandwidth,
)
from mlops_assets_tests.evaluation.frames import HOUR, backtest_frame


def statsmodels_p_value(d: npt.NDArray[np.float64], lead: int) -> float:
    """The one-sided p-value from an OLS on a constant with HAC errors."""
    n = len(d)
    lags = max(lead - 1, math.floor(4 * (n / 100) ** (2 / 9)))
    fit = OLS(d, np.ones(n)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False}
    )
    correction = (n + 1 - 2 * lead + lead * (lead - 1) / n) / n
    statistic = fit.params[0] / fit.bse[0] * math.sqrt(correction)
    return float(stats.t(df=n - 1).cdf(statistic))


def autoregression(
    rng: np.random.Generator, draws: int, n: int, coefficient: float
) -> npt.NDArray[np.float64]:
    """Stationary AR(1) series with mean zero, shape (draws, n)."""
    shocks = rng.normal(size=(draws, n))
    series = np.empty_like(shocks)
    series[:, 0] = shocks[:, 0] / math.sqrt(1 - coefficient**2)
    for t in range(1, n):
        series[:, t] = coefficient * series[:, t - 1] + shocks[:, t]
    return series


def test_a_differential_that_alternates_gives_the_statistic_worked_by_hand() -> None:
    # d = -3, 1, -3, 1, ... (32 values): mean -1, deviations -2, 2. Bandwidth floor(4 0.32^(2/9)) =
    # 3, weights 3/4, 2/4, 1/4; g_j = (-1)^j 4 (32 - j) / 32, so that
    # V = 4 + 2 (-3/4 4 31/32 + 2/4 4 30/32 - 1/4 4 29/32) = 0.125 and -1 / sqrt(V / 32) = -16.
    result = diebold_mariano(np.array([-3.0, 1.0] * 16), lead=1)
    assert result.bandwidth == 3
    assert result.n == 32
    assert result.mean == -1
    assert result.statistic == pytest.approx(-16 * math.sqrt(31 / 32))
    assert result.p_value == pytest.approx(stats.t(df=31).cdf(-16 * math.sqrt(31 / 32)))


@pytest.mark.parametrize("lead", [1, 7, 24])
@pytest.mark.parametrize("n", [60, 500, 2016])
def test_p_values_agree_with_a_regression_on_a_constant_with_robust_errors(
    n: int, lead: int
) -> None:
    rng = np.random.default_rng(n + lead)
    d = autoregression(rng, 1, n, 0.6)[0] * np.exp(rng.normal(size=n)) - 0.2
    ours = diebold_mariano(d, lead)
    assert ours.p_value == pytest.approx(statsmodels_p_value(d, lead), rel=1e-9)
    assert diebold_mariano(-d, lead, "greater").p_value == pytest.approx(ours.p_value)
    assert diebold_mariano(d, lead, "greater").p_value == pytest.approx(1 - ours.p_value)


def test_without_autocorrelation_weights_the_test_is_the_t_test() -> None:
    d = np.random.default_rng(3).normal(-0.1, 1, 40)
    x = d.mean() / math.sqrt(long_run_variance(d, 0) / 40) * math.sqrt(39 / 40)
    assert x == pytest.approx(stats.ttest_1samp(d, 0).statistic)


def test_the_bandwidth_covers_the_overlap_of_forecasts_and_stays_below_n() -> None:
    assert newey_west_bandwidth(100, 1) == 4
    assert newey_west_bandwidth(2016, 1) == 7
    assert newey_west_bandwidth(100, 28) == 27
    assert newey_west_bandwidth(10, 28) == 9


@pytest.mark.parametrize(
    "d",
    [np.zeros(100), np.full(100, -0.3), np.full(100, -0.3) + 1e-15, np.full(MIN_PERIODS - 1, -1.0)],
)
def test_no_variance_means_a_p_value_of_one(d: npt.NDArray[np.float64]) -> None:
    result = diebold_mariano(d, 1)
    assert (result.p_value, result.statistic) == (1.0, 0.0)


def test_too_few_differences_prove_nothing() -> None:
    d = np.random.default_rng(0).normal(-5, 1, MIN_PERIODS)
    assert diebold_mariano(d, 1).p_value < 1e-6
    assert diebold_mariano(d[1:], 1).p_value == 1
    assert diebold_mariano(d, lead=MIN_PERIODS).p_value == 1
    assert diebold_mariano(d[:0], 1).p_value == 1


def test_a_differential_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="vector of finite numbers"):
        diebold_mariano(np.array([1.0, math.nan]), 1)


@pytest.mark.parametrize(("coefficient", "lead"), [(0.0, 1), (0.3, 1), (0.5, 4)])
def test_under_an_exact_null_the_test_rejects_about_as_often_as_it_says(
    coefficient: float, lead: int
) -> None:
    draws = autoregression(np.random.default_rng(11), 2000, 500, coefficient)
    rejected = np.mean([diebold_mariano(d, lead).p_value < 0.05 for d in draws])
    # 5 % plus three binomial standard errors (0.015) plus the small-sample excess of a Bartlett
    # window on autocorrelated data (a naive t test rejects 17 % at coefficient 0.5).
    assert 0.03 < rejected < 0.085


def test_a_true_edge_is_found() -> None:
    draws = autoregression(np.random.default_rng(12), 300, 500, 0.3) - 0.3
    # The mean of an AR(1) at 0.3 has standard error 1 / 0.7 / sqrt(500) = 0.064: 4.7 of them.
    assert np.mean([diebold_mariano(d, 1).p_value < 0.05 for d in draws]) > 0.99


def test_holm_adjusts_step_by_step_and_never_downwards() -> None:
    # Sorted: 0.01 x 4, 0.02 x 3 = 0.06, 0.022 x 2 = 0.044 -> 0.06, 0.5 x 1.
    adjusted = holm({"d": 0.5, "b": 0.02, "a": 0.01, "c": 0.022})
    assert list(adjusted) == ["d", "b", "a", "c"]
    assert adjusted == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.5})


def test_holm_stops_at_one_and_takes_an_empty_family() -> None:
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_the_differential_of_a_panel_averages_its_series_within_a_valid_period() -> None:
    one = backtest_frame([10.0, 10.0], {"a": [11.0, 14.0], "b": [12.0, 11.0]})
    two = backtest_frame([20.0, 20.0], {"a": [20.0, 22.0], "b": [24.0, 20.0]}).with_columns(
        pl.lit("other").alias("series")
    )
    shuffled = pl.concat([two, one]).sample(fraction=1.0, shuffle=True, seed=5)
    # Period 1: |a| 1 and 0, |b| 2 and 4: 0.5 - 3. Period 2: |a| 4 and 2, |b| 1 and 0: 3 - 0.5.
    d = mean_differential(shuffled, "a", "b", "absolute_error", [1])
    np.testing.assert_allclose(d, [-2.5, 2.5])
    # Squared: (1 + 0) / 2 - (4 + 16) / 2 and (16 + 4) / 2 - (1 + 0) / 2.
    d = mean_differential(shuffled, "a", "b", "squared_error", [1])
    np.testing.assert_allclose(d, [-9.5, 9.5])


def test_every_period_counts_all_leads_though_they_come_from_other_origins() -> None:
    near = backtest_frame([10.0, 10.0, 10.0], {"a": [11.0, 12.0, 13.0], "b": [10.0, 10.0, 10.0]})
    far = near.with_columns(
        pl.lit(3, dtype=pl.Int64).alias("step"),
        pl.col("origin") - 2 * HOUR,
        pl.col("point") + 100.0 * (pl.col("candidate") == "a"),
    )
    # |a| 1, 2, 3 at step 1 and 101, 102, 103 at step 3, |b| 0: two rows for each of three periods,
    # from five origins.
    both = pl.concat([near, far])
    assert both["origin"].n_unique() == 5
    d = mean_differential(both, "a", "b", "absolute_error", [1, 3])
    np.testing.assert_allclose(d, [51.0, 52.0, 53.0])
    # Leads that are not asked for do not count.
    d = mean_differential(both, "a", "b", "absolute_error", [1])
    np.testing.assert_allclose(d, [1.0, 2.0, 3.0])


def test_the_differential_is_in_time_order() -> None:
    frame = backtest_frame([0.0, 0.0, 0.0], {"a": [1.0, 2.0, 3.0], "b": [0.0, 0.0, 0.0]})
    d = mean_differential(frame.reverse(), "a", "b", "absolute_error", (1,))
    np.testing.assert_array_equal(d, [1.0, 2.0, 3.0])
    assert frame["origin"][1] - frame["origin"][0] == HOUR


def test_a_differential_with_a_candidate_that_is_absent_is_refused() -> None:
    frame = backtest_frame([0.0], {"a": [1.0]})
    with pytest.raises(ValueError, match=r"candidate 'b' has no row at leads \[1\]"):
        mean_differential(frame, "a", "b", "absolute_error", (1,))
