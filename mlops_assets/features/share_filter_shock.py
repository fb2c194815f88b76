"""Surprises of a brand that come again after a fixed number of days.

A brand's pooled surprise of a day (how much more of it there was, relative to the forecast of the
day before) tells part of the surprise `shock_lag` days later, as campaigns repeat. How much is
learnt from the days so far.

Here: the surprise, its return, and the correction of forecasts. Not here: the forecasts that are
corrected (`share_filter`).
"""

from __future__ import annotations

import numpy as np

from mlops_assets.features.share_filter_layout import FloatArray
from mlops_assets.features.share_filter_parameters import ShareFilterParameters


def pooled_surprise(
    shares: FloatArray, forecast: FloatArray, counts: FloatArray, loadings: FloatArray
) -> FloatArray:
    """(B,): relative error of a day's forecasts, pooled over segments; NaN without any.

    `sum_g lam N (y - F) / sum_g lam^2 N F`, the weighted least squares estimate of s in
    `y = F (1 + lam s)` with weights `N / F`.

    Args:
        shares: (G, B), fractions y; NaN where unknown.
        forecast: (G, B), F, made the day before; NaN where none was made.
        counts: (G,), N, without NaN.
        loadings: (G,), lam.
    """
    known = ~np.isnan((shares + forecast).sum(axis=1))
    if not known.any():
        return np.full(shares.shape[1], np.nan)
    weight = (loadings * counts)[known, None]
    error = (weight * (shares - forecast)[known]).sum(axis=0)
    size = (weight * loadings[known, None] * forecast[known]).sum(axis=0)
    surprise: FloatArray = error / size
    return surprise


def add_returning_surprises(
    forecasts: FloatArray,
    shares: FloatArray,
    counts: FloatArray,
    loadings: FloatArray,
    parameters: ShareFilterParameters,
) -> FloatArray:
    """Forecasts with what returns of the surprise `shock_lag` days before the day they are for.

    For the steps up to `shock_lag`: F is multiplied by `exp(beta_b s lam)` and normalised, beta_b
    a ridge regression through the origin of a brand's surprise on the one `shock_lag` days before.

    Args:
        forecasts: (T, H, G, B), fractions; NaN before the first.
        shares: (T, G, B), fractions.
        counts: (T, G), without NaN.
        loadings: (G,).
        parameters: the shock's lag, clip and ridge.
    """
    lag = parameters.shock_lag
    out = forecasts.copy()
    surprises = np.zeros((len(shares), shares.shape[2]))
    products, squares = np.zeros(shares.shape[2]), np.zeros(shares.shape[2])
    for t in range(1, len(shares)):
        found = pooled_surprise(shares[t], forecasts[t - 1, 0], counts[t], loadings)
        cut = np.clip(np.nan_to_num(found), -parameters.shock_clip, parameters.shock_clip)
        surprises[t] = cut
        if t >= lag:
            products += cut * surprises[t - lag]
            squares += surprises[t - lag] ** 2
        returns = products / (squares + parameters.shock_ridge)
        for step in range(1, min(lag, forecasts.shape[1]) + 1):
            if t + step >= lag:
                shift = returns * surprises[t + step - lag]
                raised = forecasts[t, step - 1] * np.exp(loadings[:, None] * shift)
                out[t, step - 1] = raised / raised.sum(axis=1, keepdims=True)
    return out
