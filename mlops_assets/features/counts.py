"""How many observations stand behind a segment's shares of a day, and are to be expected.

A share of a count is a rounded quotient k / N of whole numbers, so that N can be read off the
shares of a segment: 33.33, 33.33, 33.34 come of 3, 6, 9, ... The noise of shares is that of N.

Here: recovering N, and forecasting its logarithm. Not here: shares (`share_filter`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from mlops_assets.features.share_filter_layout import (
    Days,
    FloatArray,
    lay_out_shares,
    yearly_season,
)
from mlops_assets.features.stepwise import step_column

if TYPE_CHECKING:
    from mlops_assets.features.panel import Panel

Columns = dict[str, FloatArray]

DECIMALS: Final = 2
"""Shares are published with so many decimals."""

LARGEST_COUNT: Final = 3000
"""Above it two decimals say nothing: almost every whole number reproduces the shares."""

_USUAL_DAYS: Final = 14
"""Days before a day whose median count is what is usual for it."""

_LEAST_OF_USUAL: Final = 0.6
"""A smallest count below this part of the usual one is a divisor of the true one, or chance."""

_MOST_FROM_USUAL: Final = 2.5
"""A count further than this factor from the usual one is not believed."""

_SLOPE_PRIOR: Final = 5.0
"""Strength of the prior that counts have no season, in sums of squares of `c(t)`.

Half a year holds about 40. It is the variance of log counts about their mean (0.06), twentyfold
for their autocorrelation, over the prior variance of the slope (0.5 squared).
"""


def recover_counts(
    percent: FloatArray, *, decimals: int = DECIMALS, largest: int = LARGEST_COUNT
) -> FloatArray:
    """The whole number behind each segment's rounded shares, from that day and the days before.

    The smallest whole number that reproduces all shares; if it is below 0.6 times the median of
    the 14 days before, the valid one nearest to that median; if that is more than a factor of 2.5
    away, the median.

    Args:
        percent: (T, G, B), shares in percent as they are published.
        decimals: how many of them are published.
        largest: counts are looked for up to here.

    Returns:
        (T, G); NaN where a share is unknown, and where no whole number reproduces the shares
        (values that are no shares of counts, or of counts beyond `largest`) without a usual count.
    """
    days, segments, _ = percent.shape
    valid = _valid_counts(percent.reshape(days * segments, -1), decimals, largest)
    starts = np.searchsorted(valid[:, 0], np.arange(days * segments + 1))
    known = ~np.isnan(percent.sum(axis=2))
    out = np.full((days, segments), np.nan)
    for t in range(days):
        for g in np.flatnonzero(known[t]):
            row = t * segments + int(g)
            before = out[max(0, t - _USUAL_DAYS) : t, g]
            out[t, g] = _chosen(valid[starts[row] : starts[row + 1], 1], before)
    return out


def segment_count(panel: Panel, source: str, *, rate: float) -> Columns:
    """`log_count@01` ..: log of the count expected behind a segment's shares, each step ahead.

    Exponentially weighted mean of log counts, plus what the season adds until then. NaN before a
    segment's first count.

    Args:
        panel: shares in percent.
        source: name of the target; the columns do not depend on it.
        rate: weight of the newest day, 0 to 1.
    """
    layout = lay_out_shares(panel)
    expected = expected_log_counts(
        recover_counts(layout.values), layout.days, rate=rate, horizon=panel.horizon
    )
    of_series = layout.series // len(layout.brands)
    return {
        step_column("log_count", h): expected[:, h - 1, of_series]
        for h in range(1, panel.horizon + 1)
    }


def expected_log_counts(counts: FloatArray, days: Days, *, rate: float, horizon: int) -> FloatArray:
    """Log counts ahead: `level(t) + slope(t) (c(t + h) - c(t))`.

    Args:
        counts: (T, G); NaN where unknown.
        days: (T,).
        rate: weight of the newest day in the level.
        horizon: steps ahead, days.

    Returns:
        (T, horizon, G).
    """
    logs = np.log(counts)
    season = yearly_season(days)
    level = _weighted_level(logs, rate)
    slope = _seasonal_slope(logs, season)
    ahead = yearly_season(days[:, None] + np.arange(1, horizon + 1)) - season[:, None]
    expected: FloatArray = level[:, None, :] + slope[:, None, :] * ahead[:, :, None]
    return expected


def _valid_counts(percent: FloatArray, decimals: int, largest: int) -> FloatArray:
    """Pairs (row, count), sorted: the counts up to `largest` that reproduce a row's shares."""
    numbers = np.arange(1, largest + 1, dtype=np.float64)
    tolerance = (0.5 * 10.0**-decimals + 1e-9) / 100 * numbers
    pairs = []
    for start in range(0, len(percent), 32):
        fractions = percent[start : start + 32] / 100
        parts = fractions[:, :1] * numbers
        row, place = np.nonzero(np.abs(parts - np.rint(parts)) <= tolerance)
        whole = np.rint(fractions[row, 0] * numbers[place])
        for brand in range(1, percent.shape[1]):
            parts = fractions[row, brand] * numbers[place]
            near = np.abs(parts - np.rint(parts)) <= tolerance[place]
            row, place = row[near], place[near]
            whole = whole[near] + np.rint(parts[near])
        fits = whole == numbers[place]
        pairs.append(np.column_stack([row[fits] + start, numbers[place[fits]]]))
    return np.concatenate(pairs)


def _chosen(valid: FloatArray, before: FloatArray) -> float:
    """One of the valid counts (ascending), by the counts of the days before."""
    before = before[~np.isnan(before)]
    if not len(before):
        return float(valid[0]) if len(valid) else float("nan")
    usual = float(np.median(before))
    if not len(valid):
        return usual
    smallest = float(valid[0])
    nearest = float(valid[np.argmin(np.abs(valid - usual))])
    found = smallest if smallest >= _LEAST_OF_USUAL * usual else nearest
    away = max(found / usual, usual / found)
    return found if away <= _MOST_FROM_USUAL else usual


def _weighted_level(logs: FloatArray, rate: float) -> FloatArray:
    """(T, G): exponentially weighted mean up to each day; an unknown day changes nothing."""
    out = np.full(logs.shape, np.nan)
    level = np.full(logs.shape[1], np.nan)
    for t, row in enumerate(logs):
        moved = np.where(np.isnan(level), row, level + rate * (row - level))
        level = np.where(np.isnan(row), level, moved)
        out[t] = level
    return out


def _seasonal_slope(logs: FloatArray, season: FloatArray) -> FloatArray:
    """(T, G): slope of log counts on `c(t)` over the days up to each.

    Each segment's own slope is drawn to the one of all segments, and that one to zero.
    """
    known = ~np.isnan(logs)
    x, y = np.where(known, season[:, None], 0.0), np.where(known, logs, 0.0)
    days = np.maximum(np.cumsum(known, axis=0), 1)
    mean_x, mean_y = np.cumsum(x, axis=0) / days, np.cumsum(y, axis=0) / days
    squares = np.maximum(np.cumsum(x * x, axis=0) - days * mean_x**2, 0.0)
    products = np.cumsum(x * y, axis=0) - days * mean_x * mean_y
    pooled = products.mean(axis=1) / (squares.mean(axis=1) + _SLOPE_PRIOR)
    slope: FloatArray = (products + _SLOPE_PRIOR * pooled[:, None]) / (squares + _SLOPE_PRIOR)
    return slope
