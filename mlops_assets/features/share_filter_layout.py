"""A panel of shares as days x segments x brands, and the days of its zone.

Here: the arrays that the share filter and the counts compute on, and the way back to the panel's
series. "Brand" is whatever a segment is divided into. Not here: any estimate (`counts`,
`share_filter_states`, `share_filter`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.problem import ProblemError
from mlops_assets.problem.sources import SEPARATOR

if TYPE_CHECKING:
    from mlops_assets.features.panel import Panel

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]
Labels = npt.NDArray[np.str_]

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class ShareLayout:
    """Shares of G segments, each divided into the same B brands, on T days without gaps.

    Attributes:
        values: (T, G, B), percent as they are published; NaN where unknown.
        days: (T,), datetime64[D], in the zone of the source.
        segments: (G,), names of the segments.
        brands: (B,), labels of what a segment is divided into.
        labels: key of a segment, such as gender -> (G,) its label in each segment.
        series: (S,), place of each series of the panel in the flattened (G, B).
    """

    values: FloatArray
    days: Days
    segments: Labels
    brands: Labels
    labels: dict[str, Labels]
    series: IntArray

    def fractions(self) -> FloatArray:
        """(T, G, B): shares that add up to 1; NaN in a segment whose day is not complete."""
        total = self.values.sum(axis=2, keepdims=True)
        out = np.full(self.values.shape, np.nan)
        np.divide(self.values, total, out=out, where=total > 0)
        return out

    def to_series(self, values: FloatArray) -> FloatArray:
        """(T, S) in the order of the panel's series, from (T, G, B)."""
        taken: FloatArray = values.reshape(len(values), -1)[:, self.series]
        return taken


def lay_out_shares(panel: Panel) -> ShareLayout:
    """Arrange a panel's series by segment and brand.

    Raises:
        ProblemError: the panel is not daily, or its segments are not divided into the same brands.
    """
    if panel.frequency != _DAY:
        raise ProblemError(
            f"the panel has a value every {panel.frequency}; shares are filtered by day of week "
            "and of year, one value a day; use a daily problem, or remove the feature group"
        )
    of_segment, brand = _divided(panel)
    brands, brand_code = np.unique(brand, return_inverse=True)
    place = panel.segment.astype(np.int64) * len(brands) + brand_code.astype(np.int64)
    wanted = len(panel.segments) * len(brands)
    if len(np.unique(place)) != wanted or len(place) != wanted:
        raise ProblemError(
            f"{len(place)} series for {len(panel.segments)} segments of {len(brands)} brands "
            f"({', '.join(brands)}); every segment needs every brand once; correct the source's "
            "`keys` and `sums_to.within`"
        )
    values = np.full((len(panel.values), wanted), np.nan)
    values[:, place] = panel.values
    first = np.array([int(np.argmax(panel.segment == g)) for g in range(len(panel.segments))])
    return ShareLayout(
        values=values.reshape(len(values), len(panel.segments), len(brands)),
        days=local_days(panel),
        segments=np.asarray(panel.segments, dtype=np.str_),
        brands=brands,
        labels={key: np.asarray(panel.labels[key], dtype=np.str_)[first] for key in of_segment},
        series=place,
    )


def local_days(panel: Panel) -> Days:
    """(T,): the day in the source's zone that ends at each valid time."""
    starts = pl.Series(panel.valid_time - np.timedelta64(panel.frequency))
    local = starts.dt.replace_time_zone("UTC").dt.convert_time_zone(panel.zone).dt.date()
    return local.cast(pl.Datetime("us")).to_numpy().astype("datetime64[D]")


def yearly_season(days: Days) -> FloatArray:
    """`c(day)`, -1 in late January to 1 in late July: `-cos(2 pi (day of year - 30) / 365.25)`."""
    of_year = (days - days.astype("datetime64[Y]")).astype(np.int64) + 1
    season: FloatArray = -np.cos(2 * np.pi * (of_year - 30) / 365.25)
    return season


def weekday(days: Days) -> IntArray:
    """0 on Monday to 6 on Sunday."""
    number: IntArray = (days.astype(np.int64) + 3) % 7  # 1970-01-01 is a Thursday
    return number


def _divided(panel: Panel) -> tuple[list[str], Labels]:
    """The keys whose labels a segment shares, and each series' label of the other keys."""
    of_segment: list[str] = []
    others: list[str] = []
    for key, of_series in panel.labels.items():
        pairs = set(zip(panel.segment.tolist(), of_series, strict=True))
        alike = len(pairs) == len(panel.segments)
        (of_segment if alike else others).append(key)
    if not others:
        raise ProblemError(
            f"none of the keys {list(panel.labels)} divides a segment into brands, and shares are "
            "of something; name in `sums_to.within` all keys but the one that is added up"
        )
    rows = zip(*(panel.labels[key] for key in others), strict=True)
    return of_segment, np.array([SEPARATOR.join(row) for row in rows], dtype=np.str_)
