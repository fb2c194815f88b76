"""Prediction bands: a trailing conformal quantile of past scaled errors times the forecast scale.

The quantile moves with every origin. It is computed here for backtest, live forecasts and
publication, and travels to serving as an input, so that no path can use another.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from mlops_assets.problem import Band
from mlops_assets.training.forecaster import FloatArray


class TooFewScoresError(ValueError):
    """A band was asked for where too few forecasts have come true."""


def quantiles(location: FloatArray, scale: FloatArray, band_quantile: FloatArray) -> FloatArray:
    """The model's output: `location -+ scale * band_quantile` around `location`.

    Args:
        location: (rows,), on the model's scale.
        scale: (rows,), the volatility forecast.
        band_quantile: (rows,), the trailing conformal quantile.

    Returns:
        (rows, 3): p05, p50, p95 for a nominal coverage of 90 %.
    """
    half = scale * band_quantile
    return np.column_stack([location - half, location, location + half])


def scores(realised: FloatArray, location: FloatArray, scale: FloatArray) -> FloatArray:
    """Scaled absolute errors `|realised - location| / scale`, (rows,)."""
    return np.abs(realised - location) / scale


def trailing_quantile(history: pl.DataFrame, origins: pl.DataFrame, band: Band) -> pl.DataFrame:
    """The conformal quantile that was known at each origin.

    Of the newest n = `band.window` scores known at the origin, the `coverage * (1 + 1/n)` quantile
    (split conformal prediction: Lei et al. 2018, section 2.2), linearly interpolated; while fewer
    are known, the same quantile of those.

    Args:
        history: columns series, step, target_known_at, score; one row per forecast come true.
        origins: columns series, step, origin.
        band: coverage and window.

    Returns:
        `origins` with the column `band_quantile`.

    Raises:
        TooFewScoresError: fewer than `band.least` scores were known at an origin.
    """
    level = min(1.0, band.coverage * (1 + 1 / band.window))
    rolled = history.sort("target_known_at").with_columns(
        band_quantile=pl.col("score")
        .rolling_quantile(
            level, interpolation="linear", window_size=band.window, min_samples=band.least
        )
        .over("series", "step")
    )
    known = rolled.select("series", "step", "band_quantile", scored_at="target_known_at")
    joined = origins.sort("origin").join_asof(
        known,
        left_on="origin",
        right_on="scored_at",
        by=["series", "step"],
        check_sortedness=False,  # both sides are sorted above; polars cannot check within groups
    )
    missing = joined.filter(pl.col("band_quantile").is_null())
    if len(missing):
        first = missing.row(0, named=True)
        raise TooFewScoresError(
            f"series {first['series']!r} at origin {first['origin']:%Y-%m-%dT%H:%M}Z: fewer than "
            f"{band.least} forecasts have come true; a band needs that many (band.least); "
            "lengthen band.calibration or start the evaluation later"
        )
    return joined.drop("scored_at")
