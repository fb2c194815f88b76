from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.orchestration.clock import Clock, ClockError, parse_instant, real_now

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(max_examples=50, deadline=None)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), ZONES)  # noqa: DTZ001 zoned below
def test_an_instant_of_any_zone_is_read_as_the_same_instant_in_utc(
    naive: datetime, zone: timezone
) -> None:
    instant = naive.replace(tzinfo=zone)

    read = parse_instant(instant.isoformat())

    assert read == instant
    assert read.tzinfo is UTC


def test_minutes_are_enough() -> None:
    assert parse_instant("2025-06-19T09:00+09:00") == datetime(2025, 6, 19, tzinfo=UTC)
    assert parse_instant("2025-06-19T00:00Z") == datetime(2025, 6, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["yesterday", "", "2025-13-01T00:00Z", "19.06.2025", "2025-06-19T25Z"]
)
def test_what_is_no_instant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ClockError) as caught:
        parse_instant(text)

    assert str(caught.value) == f"{text!r} is no ISO 8601 instant; write it as 2025-06-19T00:00Z"


@pytest.mark.parametrize("text", ["2025-06-19T00:00", "2025-06-19"])
def test_an_instant_without_zone_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ClockError) as caught:
        parse_instant(text)

    assert str(caught.value).startswith(f"{text!r} has no time zone; add one, such as ")


def test_a_fixed_clock_stands_and_names_the_fault_of_its_instant() -> None:
    clock = Clock(fixed_at="2025-06-19T02:00+02:00")

    assert clock.now() == clock.now() == datetime(2025, 6, 19, tzinfo=UTC)
    with pytest.raises(ClockError, match="'noon' is no ISO 8601 instant"):
        Clock(fixed_at="noon").now()


def test_a_clock_that_is_not_fixed_tells_the_real_time_in_utc() -> None:
    before = real_now()
    now = Clock().now()

    assert before <= now <= real_now()
    assert now.utcoffset() == timedelta(0)
