"""Calendar features at instants whose New York clock is known from the exchange's own pages."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.features.calendar import (
    Times,
    calendar_numbers,
    day_of_week,
    event_hours,
    local_days,
    month_of_year,
    new_york_business_hour,
    slot_of_week,
    slots,
    us_session,
    valid_time,
    yearly_season,
)
from mlops_assets.problem import EventCalendar

HOUR = timedelta(hours=1)


def opens(*texts: str) -> Times:
    return np.array(texts, dtype="datetime64[us]")


def hours_of(day: str) -> Times:
    return np.datetime64(day, "us") + np.arange(24) * np.timedelta64(1, "h")


def session_shares(day: str) -> dict[int, float]:
    """Bars of a UTC day that overlap New York's session: hour of the open -> share."""
    shares = us_session(hours_of(day), HOUR)["us_session"]
    return {hour: float(share) for hour, share in enumerate(shares) if share > 0}


def test_a_winter_session_runs_from_half_past_14_to_21_utc() -> None:
    assert session_shares("2024-03-08") == {14: 0.5, **dict.fromkeys(range(15, 21), 1.0)}


def test_after_the_clocks_change_in_march_the_session_is_an_hour_earlier_in_utc() -> None:
    # New York changed its clocks on Sunday 2024-03-10.
    assert session_shares("2024-03-11") == {13: 0.5, **dict.fromkeys(range(14, 20), 1.0)}


def test_after_the_clocks_change_in_november_it_is_an_hour_later_again() -> None:
    # And back on Sunday 2024-11-03.
    assert session_shares("2024-11-01") == {13: 0.5, **dict.fromkeys(range(14, 20), 1.0)}
    assert session_shares("2024-11-04") == {14: 0.5, **dict.fromkeys(range(15, 21), 1.0)}


def test_the_day_after_thanksgiving_closes_at_one_in_new_york() -> None:
    assert session_shares("2024-11-29") == {14: 0.5, 15: 1.0, 16: 1.0, 17: 1.0}


def test_the_valid_time_is_the_period_s_end_in_hours_since_1970() -> None:
    hours = valid_time(opens("1970-01-01T00", "1970-01-03T05:30"), HOUR)["valid_time_hours"]

    assert hours.tolist() == [1.0, 54.5]


def test_independence_day_is_a_holiday_without_session_and_the_weekend_is_neither() -> None:
    columns = us_session(opens("2024-07-04T15", "2024-07-05T15", "2024-07-06T15"), HOUR)

    assert columns["us_session"].tolist() == [0.0, 1.0, 0.0]
    assert columns["us_holiday"].tolist() == [1.0, 0.0, 0.0]


def test_a_holiday_lasts_from_midnight_to_midnight_in_new_york() -> None:
    # Christmas 2024: 05:00 UTC on the 25th to 05:00 UTC on the 26th.
    edges = opens("2024-12-25T04", "2024-12-25T05", "2024-12-26T04", "2024-12-26T05")

    assert us_session(edges, HOUR)["us_holiday"].tolist() == [0.0, 1.0, 1.0, 0.0]


def test_new_york_hours_follow_the_local_clock_on_trading_days_only() -> None:
    days = opens("2024-03-08T13", "2024-03-09T13", "2024-03-11T13", "2024-07-04T13")

    columns = new_york_business_hour(days, HOUR)

    assert list(columns) == [f"new_york_hour_{h:02d}" for h in range(24)]
    hot = [[h for h in range(24) if columns[f"new_york_hour_{h:02d}"][row]] for row in range(4)]
    assert hot == [[8], [], [9], []]


@pytest.mark.parametrize(
    ("instant", "slot"),
    [
        ("2024-03-04T00", 0),  # a Monday
        ("2024-03-08T23", 23),  # a Friday
        ("2024-03-09T05", 24 + 5),  # a Saturday
        ("2024-03-10T23", 48 + 23),  # a Sunday, and the day the clocks change
        ("1970-01-01T07", 7),  # a Thursday
    ],
)
def test_slots_are_hours_of_the_utc_weekday_saturday_and_sunday(instant: str, slot: int) -> None:
    assert slots(opens(instant)).tolist() == [slot]


@settings(max_examples=40, deadline=None)
@given(st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)))  # noqa: DTZ001 naive UTC
def test_each_bar_is_in_exactly_one_slot_of_the_week(instant: datetime) -> None:
    columns = slot_of_week(np.array([instant], dtype="datetime64[us]"), HOUR)

    kind = {5: "saturday", 6: "sunday"}.get(instant.weekday(), "weekday")
    hot = [name for name, column in columns.items() if column[0]]
    assert hot == [f"slot_{kind}_{instant.hour:02d}"]


FOMC = EventCalendar(
    zone="America/New_York", time="14:00", dates=(date(2024, 1, 31), date(2024, 6, 12))
)
CPI = EventCalendar(zone="America/New_York", time="08:30", dates=(date(2024, 6, 12),))


def event_bars(name: str, calendar: EventCalendar, day: str) -> list[int]:
    column = event_hours(hours_of(day), HOUR, {name: calendar})[f"event_{name}"]
    return np.flatnonzero(column).tolist()


def test_an_fomc_statement_is_in_the_bar_that_opens_at_two_in_new_york() -> None:
    assert event_bars("fomc", FOMC, "2024-01-31") == [19]  # standard time
    assert event_bars("fomc", FOMC, "2024-06-12") == [18]  # daylight saving time


def test_an_announcement_inside_a_bar_marks_the_bar_that_holds_it() -> None:
    assert event_bars("cpi", CPI, "2024-06-12") == [12]  # 12:30 UTC


def test_days_without_an_announcement_before_between_and_after_the_dates_are_zero() -> None:
    for day in ("2023-12-13", "2024-03-20", "2025-01-29"):
        assert event_bars("fomc", FOMC, day) == []


def test_calendars_give_a_column_each() -> None:
    columns = event_hours(hours_of("2024-06-12"), HOUR, {"fomc": FOMC, "cpi": CPI})

    assert {name: int(column.sum()) for name, column in columns.items()} == {
        "event_fomc": 1,
        "event_cpi": 1,
    }


def days(*texts: str) -> Times:
    return np.array(texts, dtype="datetime64[D]")


def hot(columns: dict[str, np.ndarray]) -> list[list[str]]:
    """Names of the columns that are 1, by row."""
    rows = range(len(next(iter(columns.values()))))
    return [[name for name, column in columns.items() if column[row]] for row in rows]


def test_a_day_begins_at_three_in_the_afternoon_utc_in_korea() -> None:
    instants = opens("2024-03-01T14:59", "2024-03-01T15:00", "2024-12-31T15:00")

    assert local_days(instants, "Asia/Seoul").astype(str).tolist() == [
        "2024-03-01",
        "2024-03-02",
        "2025-01-01",
    ]
    assert local_days(instants, "UTC").astype(str).tolist() == [
        "2024-03-01",
        "2024-03-01",
        "2024-12-31",
    ]


def test_weekdays_count_from_monday() -> None:
    # 2024-03-04 is a Monday; 1969-12-28, before the epoch, is a Sunday.
    columns = day_of_week(days("2024-03-04", "2024-03-09", "1969-12-28"))

    assert list(columns) == [f"weekday_{k}" for k in range(7)]
    assert hot(columns) == [["weekday_0"], ["weekday_5"], ["weekday_6"]]


def test_months_count_from_january_with_two_digits() -> None:
    columns = month_of_year(days("2024-01-31", "2024-02-29", "2024-12-01"))

    assert len(columns) == 12
    assert hot(columns) == [["month_01"], ["month_02"], ["month_12"]]


def test_calendar_numbers_are_month_day_weekday_and_day_of_the_year() -> None:
    columns = calendar_numbers(days("2024-12-31", "2023-12-31", "2024-03-01"))

    assert {name: column.tolist() for name, column in columns.items()} == {
        "calendar_month": [12, 12, 3],
        "calendar_day": [31, 31, 1],
        "calendar_weekday": [1, 6, 4],
        "calendar_day_of_year": [366, 365, 61],
    }


def test_the_yearly_season_is_lowest_on_the_thirtieth_of_january_and_highest_in_july() -> None:
    # Half of 365.25 days after day 30 is day 212.6: July 30th or 31st.
    columns = yearly_season(days("2024-01-30", "2024-07-30", "2024-04-30"))

    assert columns["season_cosine"][0] == -1.0
    assert columns["season_cosine"][1] == pytest.approx(1.0, abs=1e-3)
    assert columns["season_cosine"][2] == pytest.approx(0.0, abs=0.01)  # day 121: 91 days on
    assert columns["season_sine"] == pytest.approx([0.0, 0.0, 1.0], abs=0.02)
