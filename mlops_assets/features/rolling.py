"""Rolling sums and lags over arrays with gaps.

Every value at row t depends on rows 0 .. t alone, added in the same order whatever follows, so
that a table cut off at t and the whole table agree to the last bit.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from mlops_assets.features.bars import FloatArray


def rolling_mean(values: FloatArray, window: int) -> FloatArray:
    """Mean of the last `window` rows that are not NaN; NaN with fewer than half of them."""
    known = ~np.isnan(values)
    total = np.cumsum(np.where(known, values, 0.0))
    count = np.cumsum(known)
    total, count = _difference(total, window), _difference(count.astype(np.float64), window)
    out = np.full(values.shape, np.nan)
    np.divide(total, count, out=out, where=count >= max(1.0, window / 2))
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
