"""Days of a zone: which of them open in a window, and when they end.

Here: the way from instants to dates and back, for sources whose periods are days of their own
zone. Not here: sessions of a trading calendar (`sessions`). Such zones do not change their clocks
(`problem.ValueSource` refuses those that do).
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from mlops_assets.tables.schema import UTC_MICROSECONDS


def days_opening(start: datetime, end: datetime, *, zone: str) -> tuple[date, date]:
    """The days whose first instant lies in `[start, end)`, as `[first, last)`."""
    return _day_from(start, zone), _day_from(end, zone)


def end_of_day(day: pl.Expr, *, zone: str) -> pl.Expr:
    """The instant, UTC, at which a day (a column of dates) ends in its zone."""
    midnight = day.dt.offset_by("1d").cast(pl.Datetime("us")).dt.replace_time_zone(zone)
    return midnight.dt.convert_time_zone("UTC").cast(UTC_MICROSECONDS)


def _day_from(instant: datetime, zone: str) -> date:
    """The first day that opens at `instant` or later."""
    local = instant.astimezone(ZoneInfo(zone))
    return local.date() + timedelta(days=0 if local.time() == time.min else 1)
