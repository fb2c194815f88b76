"""Synthetic counts of a video channel and two of its videos.

Here: the process behind the counts. Not here: which of them a run may see (`sample`).

Every midnight, UTC, has a snapshot of one channel and two videos. Subscribers, views, likes and
comments gain a drawn number a day, never negative, whose mean is a constant share of what they
began with; so they grow along a line and stay credible however long the sample runs. Subscribers
are rounded down to three digits, as the service shows them. The second video hides its likes:
they are null, never 0. All randomness is keyed by day (`keyed_noise`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.ingestion.keyed_noise import FloatArray, normals
from mlops_assets.ingestion.local_days import days_opening
from mlops_assets.problem import ChannelSample
from mlops_assets.tables.channels import CHANNEL_PREFIX, CHANNELS_LAYOUT, VIDEO_PREFIX

CHANNEL: Final = f"{CHANNEL_PREFIX}sample"
VIDEOS: Final = (f"{VIDEO_PREFIX}sample_1", f"{VIDEO_PREFIX}sample_2")

_DAILY_GAIN: Final = 0.0008
_GAIN_SPREAD: Final = 0.6
"""Mean gain of a day, as a share of the first count, and the sd of its logarithm."""

_FIRST: Final[Mapping[str, Mapping[str, float]]] = {
    CHANNEL: {"subscribers": 1.0, "views": 190.0, "videos": 0.015},
    VIDEOS[0]: {"views": 0.24, "likes": 0.0034, "comments": 0.0004},
    VIDEOS[1]: {"views": 0.9, "likes": 0.01, "comments": 0.001},
}
"""What each count begins with, as a multiple of the channel's first number of subscribers."""

_HIDDEN: Final = (VIDEOS[1], "likes")
_COLUMNS: Final = ("series", "valid_time", *CHANNELS_LAYOUT.value_names)
_SCHEMA: Final = pl.Schema({name: CHANNELS_LAYOUT.fetched.dtypes[name] for name in _COLUMNS})


def snapshots(sample: ChannelSample, *, start: datetime, end: datetime) -> pl.DataFrame:
    """Snapshots at the midnights in `[start, end)`.

    Returns:
        Series, valid time and the five counts, floats; null where the series has no such count or
        hides it.
    """
    begin, _ = days_opening(sample.start, end, zone="UTC")
    first, last = days_opening(start, end, zone="UTC")
    if first >= last:
        return pl.DataFrame(schema=_SCHEMA)
    growth = _growth(sample.seed, begin=begin.toordinal(), days=(last - begin).days)
    shown = growth[(first - begin).days :]
    midnights = [first + timedelta(days=step) for step in range((last - first).days)]
    rows = [
        {
            "series": series,
            "valid_time": datetime.combine(day, time.min, UTC),
            **_counts(series, grown, sample.subscribers),
        }
        for day, of_day in zip(midnights, shown, strict=True)
        for series, grown in zip(_FIRST, of_day, strict=True)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _growth(seed: int, *, begin: int, days: int) -> FloatArray:
    """Each series' counts over its first ones, shape (days, series); 1 on the first day."""
    gains = _DAILY_GAIN * np.exp(
        _GAIN_SPREAD * normals(seed, "channels", begin, days, len(_FIRST)) - _GAIN_SPREAD**2 / 2
    )
    gains[0] = 0.0
    grown: FloatArray = 1.0 + np.cumsum(gains, axis=0)
    return grown


def _counts(series: str, growth: float, subscribers: int) -> dict[str, float]:
    """The counts that a series shows."""
    first = _FIRST[series]
    counts = {
        count: float(int(growth * multiple * subscribers)) for count, multiple in first.items()
    }
    if "subscribers" in counts:
        counts["subscribers"] = _three_digits(counts["subscribers"])
    return {count: value for count, value in counts.items() if (series, count) != _HIDDEN}


def _three_digits(count: float) -> float:
    unit = 10 ** max(0, len(str(int(count))) - 3)
    return float(count // unit * unit)
