"""Rolling sums, lags and smoothing over arrays with gaps; rows are periods (axis 0).

An array of several columns is treated column by column. Every value at row t depends on rows
0 .. t alone, added in the same order whatever follows, so that a table cut off at t and the whole
table agree to the last bit.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from mlops_assets.features.bars import FloatArray


def rolling_mean(values: FloatArray, window: int) -> FloatArray:
    """Mean of the last `window` rows that are not NaN; NaN with fewer than half of them."""
    known = ~np.isnan(values)
    total = np.cumsum(np.where(known, values, 0.0), axis=0)
    count = np.cumsum(known, axis=0)
    total, count = _difference(total, window), _difference(count.astype(np.float64), window)
    out = np.full(values.shape, np.nan)
    np.divide(total, count, out=out, where=count >= max(1.0, window / 2))
    return out


def rolling_sd(values: FloatArray, window: int) -> FloatArray:
    """Sample standard deviation of the last `window` rows that are not NaN, in their unit.

    NaN with fewer than half of them, or fewer than two. Squares are taken of deviations from the
    window's mean, so that a steady level gives no more than rounding leaves of it.
    """
    known = ~np.isnan(values)
    total, count = np.zeros(values.shape), np.zeros(values.shape)
    for lag in range(min(window, len(values))):
        total[lag:] += np.where(known, values, 0.0)[: len(values) - lag]
        count[lag:] += known[: len(values) - lag]
    mean = total / np.maximum(count, 1.0)
    squares = np.zeros(values.shape)
    for lag in range(min(window, len(values))):
        deviation = values[: len(values) - lag] - mean[lag:]
        squares[lag:] += np.nan_to_num(deviation) ** 2
    variance = np.full(values.shape, np.nan)
    np.divide(squares, count - 1, out=variance, where=count >= max(2.0, window / 2))
    sd: FloatArray = np.sqrt(variance)
    return sd


def exponential_level(values: FloatArray, alpha: float) -> FloatArray:
    """Level of simple exponential smoothing after each row, in the unit of `values`.

    `l_t = l_{t-1} + alpha (y_t - l_{t-1})`, started at the first known value; a gap keeps the
    level (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., section 8.1).
    """
    level = np.full(values.shape[1:], np.nan)
    out = np.empty(values.shape)
    for row, value in enumerate(values):
        moved = np.where(np.isnan(level), value, level + alpha * (value - level))
        level = np.where(np.isnan(value), level, moved)
        out[row] = level
    return out


def rolling_extreme(values: FloatArray, window: int, *, largest: bool) -> FloatArray:
    """Largest or smallest of the last `window` rows; NaN with fewer than half of them known."""
    series = pl.Series(values).fill_nan(None)
    enough = max(1, -(-window // 2))  # half of them, rounded up
    rolled = (
        series.rolling_max(window, min_samples=enough)
        if largest
        else series.rolling_min(window, min_samples=enough)
    )
    return rolled.fill_null(float("nan")).to_numpy()


def lagged(values: FloatArray, lag: int) -> FloatArray:
    """The value `lag` rows earlier; NaN before the start."""
    if lag == 0:
        return values.copy()
    out = np.full(values.shape, np.nan)
    out[lag:] = values[:-lag]
    return out


def _difference(cumulated: FloatArray, window: int) -> FloatArray:
    out = cumulated.copy()
    out[window:] -= cumulated[:-window]
    return out
