"""The band of a problem by its method: which inputs it needs, its scores, its calibration.

Here: the choice between the conformal and the angular band, so that backtest, live forecasts and
publication ask for one thing. Not here: their formulas (`intervals`, `angular_band`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from mlops_assets.problem import ForecastProblem, ValueSource, labels_of
from mlops_assets.training.angular_band import angular_offsets
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.intervals import scores, trailing_quantile
from serving.contract.snapshot import BAND_LOWER, BAND_QUANTILE, BAND_UPPER


def calibration_columns(problem: ForecastProblem) -> tuple[str, ...]:
    """The inputs of a model that move with every origin, in the order of the model's input."""
    return (BAND_LOWER, BAND_UPPER) if problem.band.method == "angular" else (BAND_QUANTILE,)


def with_spread(rows: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """Design rows with `noise`, `spread`, `part`: what the angular band models errors from.

    `noise = 1 / (4 N)` with N the count behind the segment's shares, `spread = m (1 - m) / 4` with
    m the series' usual share, `part` the label whose spread it is. Null for the conformal band.
    """
    band = problem.band
    if band.count_feature is None or band.level_feature is None:
        nothing = pl.lit(None, dtype=pl.Float64)
        return rows.with_columns(noise=nothing, spread=nothing, part=pl.lit(None, dtype=pl.String))
    usual = pl.col(band.level_feature).clip(0, 100) / 100
    parts = {series: _part(series, problem) for series in problem.series}
    return rows.with_columns(
        noise=(-pl.col(band.count_feature)).exp() / 4,
        spread=usual * (1 - usual) / 4,
        part=pl.col("series").replace_strict(parts, return_dtype=pl.String),
    )


def with_scores(rows: pl.DataFrame, point: FloatArray, problem: ForecastProblem) -> pl.DataFrame:
    """Rows come true with `score`, by which the band of later forecasts is calibrated.

    Conformal: |realised - location| / scale. Angular: the signed difference of
    `asin(sqrt(share / 100))` between actual and point forecast.

    Args:
        rows: has realised, actual, location, scale.
        point: (rows,), point forecasts in target units.
        problem: names the band's method.
    """
    if problem.band.method == "angular":
        score = _angle(rows["actual"].to_numpy()) - _angle(point)
    else:
        realised, location, scale = (rows[c].to_numpy() for c in ("realised", "location", "scale"))
        score = scores(realised, location, scale)
    return rows.with_columns(score=pl.Series(score))


def calibrated(
    history: pl.DataFrame, wanted: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """`wanted` with the calibration columns, from what had come true by each origin.

    Args:
        history: one row per forecast of one recipe that has come true: series, step, valid_time,
            target_known_at, score, and for the angular band noise, spread, part.
        wanted: design rows; for the angular band with noise, spread, part.
        problem: names the band.

    Raises:
        TooFewScoresError: fewer scores than `band.least` were known at an origin.
    """
    if problem.band.method == "angular":
        return angular_offsets(history, wanted, problem.band)
    return trailing_quantile(history, wanted, problem.band)


def _angle(percent: FloatArray) -> FloatArray:
    return np.arcsin(np.sqrt(np.clip(percent, 0.0, 100.0) / 100.0))


def _part(series: str, problem: ForecastProblem) -> str:
    """The labels of a series that do not belong to its segment, such as its brand."""
    source = problem.target_source
    assert isinstance(source, ValueSource)
    within = source.sums_to.within if source.sums_to else ()
    labels = labels_of(series, problem.series_keys)
    return "/".join(label for key, label in labels.items() if key not in within)
