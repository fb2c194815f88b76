"""When a market is open: sessions of a trading calendar and the bars inside them.

Here: instants only. Not here: what happens in a bar (`sample`) or whether one is missing
(`periods`). Source of the sessions: the package exchange_calendars.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from mlops_assets.ingestion.sources import SourceError

Instants = npt.NDArray[np.datetime64]
"""UTC instants as datetime64[us], without zone."""

ALWAYS_OPEN: Final = "24/7"
_MARGIN: Final = timedelta(days=14)
"""Longer than any closure, so that a calendar over the margin always has a session."""


def instant64(instant: datetime) -> np.datetime64:
    """An aware instant as datetime64[us] in UTC."""
    offset = instant.utcoffset()
    if offset is None:
        raise ValueError(f"{instant} has no time zone; pass an aware instant")
    return np.datetime64((instant - offset).replace(tzinfo=None), "us")


def bar_opens(calendar: str, *, bar: timedelta, start: datetime, end: datetime) -> Instants:
    """The opens in `[start, end)` of a calendar's bars, ascending.

    Bars follow each other from the open of a session (from midnight UTC when the market never
    closes) as long as the session lasts; the last may reach past its close, as it does at the
    sources themselves.

    Raises:
        SourceError: there is no such calendar.
    """
    first, last = instant64(start), instant64(end)
    step = np.timedelta64(bar, "us")
    if calendar == ALWAYS_OPEN:
        midnight = first.astype("datetime64[D]").astype("datetime64[us]")
        opens = np.arange(midnight, last, step)
    else:
        session_opens, session_closes = _sessions(calendar, start.date(), end.date())
        pairs = zip(session_opens, session_closes, strict=True)
        parts = [np.arange(opened, closed, step) for opened, closed in pairs]
        opens = np.concatenate(parts)
    return opens[(opens >= first) & (opens < last)]


@lru_cache(maxsize=32)
def _sessions(calendar: str, start: date, end: date) -> tuple[Instants, Instants]:
    """Opens and closes of the sessions from before `start` to after `end`."""
    import exchange_calendars  # imports pandas
    from exchange_calendars.errors import InvalidCalendarName

    try:
        found = exchange_calendars.get_calendar(
            calendar,
            start=np.datetime64(start) - np.timedelta64(_MARGIN),
            end=np.datetime64(end) + np.timedelta64(_MARGIN),
        )
    except InvalidCalendarName as error:
        raise SourceError(
            f"calendar {calendar!r} is unknown to exchange_calendars; correct `calendar` in the "
            "problem's YAML, for example to XNYS, CMES or 24/7"
        ) from error
    opens = found.opens.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    closes = found.closes.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return opens, closes
