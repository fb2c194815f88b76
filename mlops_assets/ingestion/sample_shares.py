"""Synthetic shares of searches: counts drawn within segments, divided and rounded.

Here: the process behind the shares. Not here: which of them a run may see (`sample`), and any
claim about the brands or people that the labels name; all levels are drawn.

A *part* is one set of the labels that are added up (a brand), a *segment* one set of those within
which they add up (a gender and an age group). On day `t`:

- The log odds of part `b` in segment `g` are
  `base[g, b] + common[t, b] + own[t, g, b] + season[b] c(t) + weekday[b, day of week]`, the share
  expected is their softmax over the parts, and `c(t) = -cos(2 pi (day of year - 30) / 365.25)` is
  -1 at the end of January and +1 at the end of July.
- `common` and `own` are AR(1) with coefficient 0.97 (half-life 23 days), so shares return to
  their base however long the sample runs. Together they move by `level_sd` a day.
- Searches: `volume` times the segment's size (0.28 to 2.9), times `2 ** c(t)` (July has four times
  as many as January), times noise, half of it shared by the day.
- Counts are multinomial: the standard deviation of a share `p` is `sqrt(p (1 - p) / searches)`.
  A share is `total * count / searches`, rounded to two decimals; a part that nobody searched for
  has 0.

The planted weak signal: levels that return to their base, the season and the weekday. A mean of
the last 28 days knows none of them, so it errs more than need be, the more the longer the lead.
All randomness is keyed by day (`keyed_noise`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.ingestion.keyed_noise import FloatArray, generator, normals
from mlops_assets.ingestion.local_days import days_opening, end_of_day
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import ShareSample, Total, ValueSource, labels_of
from mlops_assets.tables.schema import UTC_MICROSECONDS

DAY: Final = timedelta(days=1)
DECIMALS: Final = 2

_PERSISTENCE: Final = 0.97
_COMMON: Final = 0.8
_OWN: Final = 0.6
"""Parts of `level_sd` that all segments share and that are a segment's own; their squares add up
to 1."""

_BASE_REACH: Final = 0.9
_BASE_SD: Final = 0.25
"""Log odds of the parts lie evenly in +- the reach; segments differ from that by the sd."""

_SEASON_REACH: Final = 0.2
_WEEKDAY_SD: Final = 0.06
_SIZE_REACH: Final = 1.08
"""Log sizes of the segments lie evenly between this and 0.2 below its opposite."""

_VOLUME_NOISE_SD: Final = 0.15
_SCHEMA: Final = pl.Schema(
    {"series": pl.String(), "valid_time": UTC_MICROSECONDS, "value": pl.Float64()}
)


@dataclass(frozen=True)
class _Panel:
    """Where each series of a source is: its segment and its part, shape (series,)."""

    series: tuple[str, ...]
    segment: npt.NDArray[np.intp]
    part: npt.NDArray[np.intp]

    @property
    def segments(self) -> int:
        return int(self.segment.max()) + 1

    @property
    def parts(self) -> int:
        return int(self.part.max()) + 1


def shares(
    name: str, source: ValueSource, sample: ShareSample, *, start: datetime, end: datetime
) -> pl.DataFrame:
    """Shares of the days that open in `[start, end)`: series, valid time, value; by day.

    Raises:
        SourceError: the source is no panel of daily shares.
    """
    total = _total_of(name, source)
    panel = _panel(source, total)
    begin, _ = days_opening(sample.start, end, zone=source.zone)
    first, last = days_opening(start, end, zone=source.zone)
    if first >= last:
        return pl.DataFrame(schema=_SCHEMA)
    expected, searches = _process(sample, panel, begin=begin, end=last)
    skipped = (first - begin).days
    values = [
        _drawn(sample.seed, day, expected[row], searches[row], total=total.total)
        for row, day in enumerate(_days(first, last), start=skipped)
    ]
    return _long(panel, values, first=first, last=last, zone=source.zone)


def _total_of(name: str, source: ValueSource) -> Total:
    if source.sums_to is None:
        raise SourceError(
            f"{name}: sources.{name}.sample draws shares of a panel, and the source has no "
            "`sums_to`; remove `sample`, add `files` to the problem's YAML and set "
            "MLOPS_DATA=files, or add `keys` and `sums_to`"
        )
    if source.period != DAY:
        raise SourceError(
            f"{name}: shares of {source.period} cannot be sampled; their period must be a day; "
            "change `period` to 1d"
        )
    return source.sums_to


def _panel(source: ValueSource, total: Total) -> _Panel:
    """Number segments and parts in the order in which the series name them."""
    series = source.series_names("")
    labels = [labels_of(each, source.keys) for each in series]
    segments = [tuple(each[key] for key in total.within) for each in labels]
    parts = [tuple(each[key] for key in source.keys if key not in total.within) for each in labels]
    return _Panel(series, _numbered(segments), _numbered(parts))


def _numbered(names: list[tuple[str, ...]]) -> npt.NDArray[np.intp]:
    number: dict[tuple[str, ...], int] = {}
    return np.array([number.setdefault(each, len(number)) for each in names], dtype=np.intp)


def _process(
    sample: ShareSample, panel: _Panel, *, begin: date, end: date
) -> tuple[FloatArray, FloatArray]:
    """Expected shares, fractions of shape (days, segments, parts), and searches (days, segments).

    The process begins with the sample, so that a day does not depend on the window asked for.
    """
    groups, parts, days = panel.segments, panel.parts, (end - begin).days
    year, week = _season(begin, days), (begin.weekday() + np.arange(days)) % 7
    fixed = generator(sample.seed, "shares", 0)
    base = _evenly(fixed, parts, -_BASE_REACH, _BASE_REACH) + _BASE_SD * fixed.standard_normal(
        (groups, parts)
    )
    season = _evenly(fixed, parts, -_SEASON_REACH, _SEASON_REACH)
    weekday = _WEEKDAY_SD * fixed.standard_normal((7, parts))
    size = np.exp(_evenly(fixed, groups, 0.2 - _SIZE_REACH, _SIZE_REACH))
    common, own = (
        _deviations(sample.seed, stream, begin, days, count, sd=part * sample.level_sd)
        for stream, count, part in (("common", parts, _COMMON), ("own", groups * parts, _OWN))
    )
    by_part = common + season * year[:, None] + weekday[week]
    odds = np.exp(base + by_part[:, None, :] + own.reshape(days, groups, parts))
    noise = normals(sample.seed, "searches", begin.toordinal(), days, groups + 1)
    activity = _VOLUME_NOISE_SD * np.sqrt(0.5) * (noise[:, 1:] + noise[:, :1])
    searches = sample.volume * size * np.exp(np.log(2.0) * year[:, None] + activity)
    return odds / odds.sum(axis=2, keepdims=True), np.maximum(1.0, np.rint(searches))


def _season(begin: date, days: int) -> FloatArray:
    """`c(t)` of the module's docstring, shape (days,)."""
    day_of_year = [(begin + step * DAY).timetuple().tm_yday for step in range(days)]
    wave: FloatArray = -np.cos(2 * np.pi * (np.array(day_of_year) - 30) / 365.25)
    return wave


def _evenly(fixed: np.random.Generator, count: int, low: float, high: float) -> FloatArray:
    """Numbers from `low` to `high` at equal distances, in drawn order."""
    return fixed.permutation(np.linspace(low, high, count))


def _deviations(
    seed: int, stream: str, begin: date, days: int, count: int, *, sd: float
) -> FloatArray:
    """AR(1) paths that start at 0, with innovations of `sd`; shape (days, count)."""
    from scipy.signal import lfilter

    shocks = normals(seed, stream, begin.toordinal(), days, count)
    paths: FloatArray = lfilter([sd], [1.0, -_PERSISTENCE], shocks, axis=0)
    return paths


def _drawn(
    seed: int, day: date, expected: FloatArray, searches: FloatArray, *, total: float
) -> FloatArray:
    """The rounded shares of one day, shape (segments, parts)."""
    number = searches.astype(np.int64)
    counts = generator(seed, "counts", day.toordinal()).multinomial(number, expected)
    rounded: FloatArray = np.round(total * counts / number[:, None], DECIMALS)
    return rounded


def _days(first: date, last: date) -> list[date]:
    return [first + step * DAY for step in range((last - first).days)]


def _long(
    panel: _Panel, values: list[FloatArray], *, first: date, last: date, zone: str
) -> pl.DataFrame:
    """One row for each day and series."""
    days = _days(first, last)
    columns = {
        "series": list(itertools.chain.from_iterable([panel.series] * len(days))),
        "day": np.repeat(np.array(days, dtype="datetime64[D]"), len(panel.series)),
        "value": np.concatenate([day[panel.segment, panel.part] for day in values]),
    }
    frame = pl.DataFrame(columns)
    return frame.select("series", end_of_day(pl.col("day"), zone=zone).alias("valid_time"), "value")
