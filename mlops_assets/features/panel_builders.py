"""Builders of observed features of a panel: one function a kind, chosen by `kind` in the YAML.

A builder takes the panel and its parameters and returns columns of shape (T, S): the value in row
t uses rows 0 .. t only. Windows and lags count periods. A feature that depends on the step has one
column for each step 1 .. H (`stepwise`). Builders of candles are in `builders`, calendar features
in `calendar`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from mlops_assets.features.bars import FloatArray
from mlops_assets.features.counts import segment_count
from mlops_assets.features.panel import Panel
from mlops_assets.features.rolling import exponential_level, lagged
from mlops_assets.features.rolling import rolling_mean as mean_of_window
from mlops_assets.features.rolling import rolling_sd as sd_of_window
from mlops_assets.features.share_filter import share_filter
from mlops_assets.features.stepwise import step_column
from mlops_assets.problem import ProblemError

Columns = dict[str, FloatArray]
PanelBuilder = Callable[..., Columns]


def lagged_value(panel: Panel, source: str, *, lags: Sequence[int]) -> Columns:
    """Value of k periods ago (0 is the newest), in the source's unit."""
    return {f"{source}_lag_{k}": lagged(panel.values, k) for k in lags}


def rolling_mean(panel: Panel, source: str, *, windows: Sequence[int]) -> Columns:
    """Mean over k periods, of which at least half are known, in the source's unit."""
    return {f"{source}_mean_{k}": mean_of_window(panel.values, k) for k in windows}


def rolling_sd(panel: Panel, source: str, *, windows: Sequence[int]) -> Columns:
    """Sample standard deviation over k periods, in the source's unit."""
    return {f"{source}_sd_{k}": sd_of_window(panel.values, k) for k in windows}


def exponential_mean(panel: Panel, source: str, *, alphas: Sequence[float]) -> Columns:
    """Level of simple exponential smoothing for each weight alpha, in the source's unit.

    Raises:
        ProblemError: an alpha is no whole number of percent, 1 to 100.
    """
    return {
        f"{source}_ewm_{_percent(alpha):02d}": exponential_level(panel.values, alpha)
        for alpha in alphas
    }


def seasonal_value(panel: Panel, source: str, *, season: int) -> Columns:
    """For each step, the newest known value one or more whole seasons before that period."""
    return {
        step_column(f"{source}_season_{season}", step): lagged(
            panel.values, _phase_lag(step, season)
        )
        for step in range(1, panel.horizon + 1)
    }


def seasonal_mean(panel: Panel, source: str, *, season: int, count: int) -> Columns:
    """For each step, the mean of the last `count` values of that period's phase of the season.

    Of the `count` periods at least half must be known.
    """
    means = [
        _mean_of_lags(panel.values, [_phase_lag(step, season) + season * k for k in range(count)])
        for step in range(1, min(season, panel.horizon) + 1)
    ]
    return {
        step_column(f"{source}_season_{season}_mean_{count}", step): means[(step - 1) % season]
        for step in range(1, panel.horizon + 1)
    }


def segment_one_hot(panel: Panel, source: str) -> Columns:
    """`{key}_{position}`: 1 for the series that carry this label of a key, else 0.

    Positions count the labels of a key from 0 in the order of the YAML file.
    """
    out = {}
    for key, labels in panel.labels.items():
        of_series = np.array(labels)
        for position, label in enumerate(dict.fromkeys(labels)):
            row = (of_series == label).astype(np.float64)
            out[f"{key}_{position:02d}"] = np.tile(row, (len(panel.values), 1))
    return out


def as_of_value(panel: Panel, source: str) -> Columns:
    """An exogenous source's value as of each period, in its unit; NaN when too old."""
    value, _ = panel.exogenous[source]
    return {f"{source}_value": _for_every_series(panel, value)}


def as_of_channel_tier(panel: Panel, source: str) -> Columns:
    """Tier of the largest channel as of each period, 0 to 4 (`ingestion.channel_tier`)."""
    value, _ = panel.exogenous[source]
    return {f"{source}_channel_tier": _for_every_series(panel, value)}


def as_of_age(panel: Panel, source: str) -> Columns:
    """Age of an exogenous source's newest value at each period's publication, hours."""
    _, age = panel.exogenous[source]
    return {f"{source}_age_hours": _for_every_series(panel, age)}


PANEL_BUILDERS: Final[dict[str, PanelBuilder]] = {
    f.__name__: f
    for f in (
        lagged_value,
        rolling_mean,
        rolling_sd,
        exponential_mean,
        seasonal_value,
        seasonal_mean,
        segment_one_hot,
        segment_count,
        share_filter,
        as_of_value,
        as_of_channel_tier,
        as_of_age,
    )
}
"""Kinds of observed features that the YAML of a problem of values may name."""


def _percent(alpha: float) -> int:
    percent = round(100 * alpha)
    if not 1 <= percent <= 100 or abs(100 * alpha - percent) > 1e-9:
        raise ProblemError(
            f"exponential_mean: alpha {alpha} must be a whole number of percent from 0.01 to 1, "
            "since its column is named by it; round it"
        )
    return percent


def _phase_lag(step: int, season: int) -> int:
    """Lag, from the newest period, of the newest one in the phase of the period `step` ahead."""
    return (season - step % season) % season


def _mean_of_lags(values: FloatArray, lags: Sequence[int]) -> FloatArray:
    """Mean of the values at some lags; NaN when fewer than half of them are known."""
    total, count = np.zeros(values.shape), np.zeros(values.shape)
    for lag in lags:
        value = lagged(values, lag)
        total += np.nan_to_num(value)
        count += ~np.isnan(value)
    out = np.full(values.shape, np.nan)
    np.divide(total, count, out=out, where=count >= max(1.0, len(lags) / 2))
    return out


def _for_every_series(panel: Panel, column: FloatArray) -> FloatArray:
    return np.repeat(column[:, np.newaxis], len(panel.series), axis=1)
