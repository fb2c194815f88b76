"""Features known in advance: the clock of the period that is forecast.

Everything here is a function of the valid time alone (its bar runs from `valid_time - frequency`
to `valid_time`), so it can be joined to any origin without leaking. Trading sessions come from
exchange_calendars; announcement dates from the problem's YAML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.problem import EventCalendar

Times = npt.NDArray[np.datetime64]
IntArray = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[np.float64]]

SLOTS: Final = 72
"""Slots of the week: 24 hours x {Monday to Friday, Saturday, Sunday}, UTC."""


def slots(opens: Times) -> IntArray:
    """Slot of each open, 0 to 71: hour + 24 x {weekday 0, Saturday 1, Sunday 2}."""
    hours: IntArray = opens.astype("datetime64[h]").astype(np.int64)
    weekday = (hours // 24 + 3) % 7  # 1970-01-01 is a Thursday: Monday is 0
    slot: IntArray = hours % 24 + 24 * np.maximum(weekday - 4, 0)
    return slot


def slot_of_week(opens: Times, frequency: timedelta) -> Columns:
    """One column for each of the 72 slots, 1 where the bar opens in it."""
    slot = slots(opens)
    names = ("weekday", "saturday", "sunday")
    return {
        f"slot_{names[k // 24]}_{k % 24:02d}": (slot == k).astype(np.float64) for k in range(SLOTS)
    }


def new_york_business_hour(opens: Times, frequency: timedelta) -> Columns:
    """One column for each hour of the New York day, 1 in that hour of a trading day."""
    local = pl.Series(opens).dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    days = local.dt.date().cast(pl.Datetime("us")).to_numpy().astype("datetime64[D]")
    session_days, _, _ = _new_york_sessions()
    trading = np.isin(days, session_days)
    hour = local.dt.hour().to_numpy()
    return {f"new_york_hour_{h:02d}": ((hour == h) & trading).astype(np.float64) for h in range(24)}


def us_session(opens: Times, frequency: timedelta) -> Columns:
    """`us_session`: share of the bar inside New York's regular session, 0 to 1.

    `us_holiday`: 1 on a weekday in New York without a session.
    """
    days, start, end = _new_york_sessions()
    closes = opens + np.timedelta64(frequency)
    position = np.clip(np.searchsorted(end, opens, side="right"), 0, len(end) - 1)
    inside = np.minimum(closes, end[position]) - np.maximum(opens, start[position])
    share = np.maximum(inside / np.timedelta64(frequency), 0.0)
    local = pl.Series(opens).dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    day = local.dt.date().cast(pl.Datetime("us")).to_numpy().astype("datetime64[D]")
    holiday = (local.dt.weekday().to_numpy() <= 5) & ~np.isin(day, days)
    return {"us_session": share, "us_holiday": holiday.astype(np.float64)}


BUILDERS: Final[dict[str, Callable[[Times, timedelta], Columns]]] = {
    f.__name__: f for f in (slot_of_week, new_york_business_hour, us_session)
}
"""Kinds of calendar features that a problem's YAML may name (source `calendar`)."""


def event_hours(opens: Times, frequency: timedelta, events: Mapping[str, EventCalendar]) -> Columns:
    """`event_<name>`: 1 for the bar that contains an announcement of that calendar."""
    out = {}
    for name, calendar in events.items():
        instants = _event_instants(calendar)
        position = np.clip(np.searchsorted(instants, opens, side="left"), 0, len(instants) - 1)
        after = instants[position] - opens
        inside = (after >= np.timedelta64(0)) & (after < np.timedelta64(frequency))
        out[f"event_{name}"] = inside.astype(np.float64)
    return out


def _event_instants(calendar: EventCalendar) -> Times:
    zone = ZoneInfo(calendar.zone)
    instants = [
        datetime.fromisoformat(f"{day}T{calendar.time}").replace(tzinfo=zone).timestamp()
        for day in calendar.dates
    ]
    return np.sort(np.array([int(i * 1e6) for i in instants], dtype="datetime64[us]"))


def _new_york_sessions() -> tuple[Times, Times, Times]:
    """Days, opens and closes (UTC) of all New York sessions that the calendar knows."""
    import exchange_calendars

    schedule = exchange_calendars.get_calendar("XNYS").schedule
    days = schedule.index.to_numpy().astype("datetime64[D]")
    start = schedule["open"].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    end = schedule["close"].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return days, start, end
