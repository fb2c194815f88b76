"""Which stretches of time are compared: today's pair, and the same pair moved into the past.

Here: half-open spans, and cutting a column's values by them. Not here: what the values are
(`columns`), and what is made of past pairs (`threshold`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

FloatArray = npt.NDArray[np.float64]

LEAST_REFERENCE: Final = 4
"""A reference holds at least so many times the length of the current stretch."""

OVERLAP: Final = 2
"""Past windows start half their length apart, so that two share a period."""

LEAST_SHARE: Final = 1 / 3
"""A past reference holds at least so much of today's length: a short one looks unlike any week."""

MOST_PAIRS: Final = 180
"""Past pairs that are looked at, the newest."""

MOST_ROWS: Final = 20_000
"""Rows of a stretch that are compared; more are drawn from, with a fixed seed."""

LEAST_ROWS: Final = 10
"""Fewer known values in a stretch say nothing about its distribution."""

_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Span:
    """A stretch of time, `[start, end)`."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    def earlier(self, by: timedelta) -> Span:
        """The same stretch, moved into the past."""
        return Span(self.start - by, self.end - by)


@dataclass(frozen=True)
class Pair:
    """A stretch of the past, and the newest one that is compared with it."""

    reference: Span
    current: Span

    @property
    def length(self) -> timedelta:
        """Length of the current stretch."""
        return self.current.length

    def known_from(self, first: datetime) -> Pair:
        """The same with a reference that starts no earlier than what is known."""
        return Pair(Span(max(self.reference.start, first), self.reference.end), self.current)

    @property
    def is_long_enough(self) -> bool:
        """Whether the reference is long against the current stretch."""
        return self.reference.length >= LEAST_REFERENCE * self.length


def newest_pair(
    newest: datetime, *, length: timedelta, training_start: datetime, refit_at: datetime
) -> Pair:
    """Today's pair: the newest stretch against the champion's training window.

    The two share no row: where a champion was just refitted on the newest stretch, the reference
    ends before it.

    Args:
        newest: the newest origin; it belongs to the current stretch.
        length: of the current stretch.
        training_start: first origin that the champion's fit may have seen.
        refit_at: end of its training window, exclusive.
    """
    end = newest + _INSTANT
    current = Span(end - length, end)
    return Pair(Span(training_start, min(refit_at, current.start)), current)


def past_pairs(today: Pair, first: datetime) -> list[Pair]:
    """Today's pair moved into the past, newest first: current stretches that end before today's.

    Length of the reference and its distance from the current stretch stay as they are today; where
    the history begins later than a moved reference would, the reference is shorter.

    Args:
        today: as `newest_pair` gives it.
        first: the first instant of the history.
    """
    least = LEAST_SHARE * today.known_from(first).reference.length
    pairs = []
    for number in range(MOST_PAIRS):
        by = today.length + number * today.length / OVERLAP
        moved = Pair(today.reference.earlier(by), today.current.earlier(by)).known_from(first)
        if not moved.is_long_enough or moved.reference.length < least:
            break
        pairs.append(moved)
    return pairs


@dataclass(frozen=True)
class History:
    """The known values of one column in the order of time, of all series together.

    Attributes:
        times: (rows,), UTC.
        values: (rows,), finite.
    """

    times: npt.NDArray[np.datetime64]
    values: FloatArray

    @classmethod
    def of(cls, table: pl.DataFrame, column: str) -> History:
        """The finite values of a column of `table`, which has `origin`."""
        known = table.select("origin", value=pl.col(column).cast(pl.Float64))
        known = known.filter(pl.col("value").is_finite()).sort("origin")
        return cls(known["origin"].to_numpy(), known["value"].to_numpy())

    @property
    def first(self) -> datetime | None:
        """Instant of the first value; None when there is none."""
        if not len(self.times):
            return None
        instant: datetime = self.times[0].astype("datetime64[us]").item()
        return instant.replace(tzinfo=UTC)

    def within(self, span: Span) -> FloatArray:
        """The values in a span; of more than `MOST_ROWS` a sample, the same at every call."""
        start, end = np.searchsorted(self.times, [_naive(span.start), _naive(span.end)])
        values = self.values[start:end]
        if len(values) <= MOST_ROWS:
            return values
        drawn = np.random.default_rng(0).choice(len(values), MOST_ROWS, replace=False)
        return values[np.sort(drawn)]

    def sides(self, pair: Pair) -> tuple[FloatArray, FloatArray] | None:
        """Values of reference and current stretch; None where either says too little."""
        reference, current = self.within(pair.reference), self.within(pair.current)
        if min(len(reference), len(current)) < LEAST_ROWS:
            return None
        return reference, current


def _naive(instant: datetime) -> np.datetime64:
    """An aware UTC instant as numpy has it, without a zone."""
    return np.datetime64(instant.replace(tzinfo=None), "us")
