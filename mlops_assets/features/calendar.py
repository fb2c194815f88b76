"""Features known in advance: the clock of the period that is forecast.

Everything here is a function of the valid time alone (its period runs from
`valid_time - frequency` to `valid_time`), so it can be joined to any origin without leaking. Days
are those in which a period begins, in the target's zone. Trading sessions come from
exchange_calendars; announcement dates from the problem's YAML. How far ahead a period is, the kind
`lead`, is a number of the row and not of the clock: `design` adds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.problem import EventCalendar, FeatureGroup, ForecastProblem

Times = npt.NDArray[np.datetime64]
IntArray = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[np.float64]]

LEAD: Final = "lead"
"""Kind of the calendar feature `lead_steps`."""

LEAD_COLUMN: Final = "lead_steps"
"""Steps from the newest known period to the one that is forecast, 1 for the next."""

COLDEST_DAY: Final = 30
"""Day of the year at which `season_cosine` is lowest: January 30th."""

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


def valid_time(opens: Times, frequency: timedelta) -> Columns:
    """`valid_time_hours`: the end of the period, in hours since 1970-01-01 UTC."""
    since = opens + np.timedelta64(frequency) - np.datetime64(0, "us")
    return {"valid_time_hours": since / np.timedelta64(1, "h")}


def day_of_week(days: Times) -> Columns:
    """`weekday_0` (Monday) to `weekday_6`: 1 on that day of the week."""
    weekday = _weekday(days)
    return {f"weekday_{k}": (weekday == k).astype(np.float64) for k in range(7)}


def month_of_year(days: Times) -> Columns:
    """`month_01` to `month_12`: 1 in that month."""
    month = _month(days)
    return {f"month_{k:02d}": (month == k).astype(np.float64) for k in range(1, 13)}


def calendar_numbers(days: Times) -> Columns:
    """Month 1 to 12, day of the month from 1, weekday 0 (Monday) to 6, day of the year from 1."""
    day_of_month = (days - days.astype("datetime64[M]")).astype(np.int64) + 1
    columns = {
        "calendar_month": _month(days),
        "calendar_day": day_of_month,
        "calendar_weekday": _weekday(days),
        "calendar_day_of_year": _day_of_year(days),
    }
    return {name: column.astype(np.float64) for name, column in columns.items()}


def yearly_season(days: Times) -> Columns:
    """`season_cosine`: -1 on January 30th and 1 half a year later; `season_sine`, a quarter on.

    `-cos(a)` and `sin(a)` of the angle `a = 2 pi (day of the year - COLDEST_DAY) / 365.25`.
    """
    angle = 2 * np.pi * (_day_of_year(days) - COLDEST_DAY) / 365.25
    return {"season_cosine": -np.cos(angle), "season_sine": np.sin(angle)}


BUILDERS: Final[dict[str, Callable[[Times, timedelta], Columns]]] = {
    f.__name__: f for f in (slot_of_week, new_york_business_hour, us_session, valid_time)
}
"""Kinds of calendar features made from the instants at which periods open, UTC."""

DAY_BUILDERS: Final[dict[str, Callable[[Times], Columns]]] = {
    f.__name__: f for f in (day_of_week, month_of_year, calendar_numbers, yearly_season)
}
"""Kinds of calendar features made from the days in which periods open."""

KINDS: Final = (*BUILDERS, *DAY_BUILDERS, LEAD)
"""Kinds of calendar features that a problem's YAML may name (source `calendar`)."""


def clock_columns(opens: Times, problem: ForecastProblem) -> Columns:
    """All features of a problem that the period's clock decides: calendar and events.

    Args:
        opens: starts of the periods, UTC, datetime64[us].
        problem: names the groups, the length of a period and the zone of its days.
    """
    columns: Columns = {}
    for group in problem.features:
        columns |= columns_of_group(opens, group, problem)
    return columns


def columns_of_group(opens: Times, group: FeatureGroup, problem: ForecastProblem) -> Columns:
    """The columns of one feature group; none for observed features and for `LEAD`."""
    if group.source == "events":
        return event_hours(opens, problem.frequency, problem.events)
    if group.source != "calendar" or group.kind == LEAD:
        return {}
    if group.kind in DAY_BUILDERS:
        return DAY_BUILDERS[group.kind](local_days(opens, problem.zone))
    return BUILDERS[group.kind](opens, problem.frequency)


def local_days(instants: Times, zone: str) -> Times:
    """The date, datetime64[D], that each instant (UTC) has in a zone."""
    local = pl.Series(instants).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    days: Times = local.dt.date().to_numpy().astype("datetime64[D]")
    return days


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


def _weekday(days: Times) -> IntArray:
    weekday: IntArray = (days.astype(np.int64) + 3) % 7  # 1970-01-01 is a Thursday: Monday is 0
    return weekday


def _month(days: Times) -> IntArray:
    month: IntArray = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return month


def _day_of_year(days: Times) -> IntArray:
    number: IntArray = (days - days.astype("datetime64[Y]")).astype(np.int64) + 1
    return number


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
