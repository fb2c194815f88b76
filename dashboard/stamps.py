"""Instants and where they lie on a chart.

Here: the one rule of the time axis, pure. Not here: figures (`market_chart`, `share_chart`).

A value belongs to the period that ends at its valid time, and a candle is drawn where its period
begins, as exchanges do. So everything that is valid at `v` is drawn at `v - period`: a forecast
lies on the bar whose close it forecasts, and a copy of the last close one bar to the right of it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

DAY_SECONDS: Final = 86_400.0


def instant(text: str) -> datetime:
    """An instant of the API, as an aware UTC time.

    Raises:
        ValueError: it is no ISO 8601 instant with a zone.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text}: an instant needs a zone; the API gives UTC")
    return found.astimezone(UTC)


def written(moment: datetime) -> str:
    """An instant as the API reads it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def on_chart(valid_time: str, period: timedelta) -> str:
    """Where a value that is valid at an instant is drawn: the beginning of its period.

    The chart's axis has no zone and is UTC. A period of a day or more is drawn at midnight of the
    day it is, in the source's own zone: the middle of a day has one date in UTC and in any zone
    less than half a day away.
    """
    end = instant(valid_time)
    if period >= timedelta(days=1):
        return day_of(valid_time, period).isoformat()
    return f"{end - period:%Y-%m-%dT%H:%M:%S}"


def day_of(valid_time: str, period: timedelta) -> date:
    """The day that a period of a day which ends at an instant is."""
    return (instant(valid_time) - period / 2).date()


def minute(text: str) -> str:
    """An instant to be read by people, UTC."""
    return f"{instant(text):%Y-%m-%d %H:%M}"
