from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlops_assets.ingestion.sessions import bar_opens, instant64
from mlops_assets.ingestion.sources import SourceError

HOUR = timedelta(hours=1)


def opens(calendar: str, start: str, end: str) -> list[str]:
    found = bar_opens(
        calendar,
        bar=HOUR,
        start=datetime.fromisoformat(start).replace(tzinfo=UTC),
        end=datetime.fromisoformat(end).replace(tzinfo=UTC),
    )
    return [str(instant)[:16] for instant in found]


def test_a_market_that_never_closes_has_every_hour() -> None:
    assert opens("24/7", "2025-05-03T22:30", "2025-05-04T01:00") == [
        "2025-05-03T23:00",
        "2025-05-04T00:00",
    ]


def test_new_york_opens_at_half_past_and_moves_with_daylight_saving() -> None:
    # Friday 2025-03-07 is winter time (open 14:30 UTC), Monday 2025-03-10 summer time (13:30).
    winter = [f"2025-03-07T{hour}:30" for hour in range(14, 21)]
    summer = [f"2025-03-10T{hour}:30" for hour in range(13, 20)]

    assert opens("XNYS", "2025-03-07", "2025-03-11") == winter + summer


def test_a_holiday_has_no_bars() -> None:
    assert opens("XNYS", "2025-07-04", "2025-07-05") == []


def test_a_half_day_is_short() -> None:
    # The day after Thanksgiving 2024 closes at 13:00 in New York, 18:00 UTC.
    assert opens("XNYS", "2024-11-29", "2024-11-30") == [
        f"2024-11-29T{hour}:30" for hour in (14, 15, 16, 17)
    ]


def test_the_window_is_half_open() -> None:
    assert opens("XNYS", "2025-03-10T13:30", "2025-03-10T15:30") == [
        "2025-03-10T13:30",
        "2025-03-10T14:30",
    ]


def test_an_unknown_calendar_is_named() -> None:
    with pytest.raises(SourceError, match=r"calendar 'NYC' is unknown .* XNYS"):
        opens("NYC", "2025-03-10", "2025-03-11")


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        instant64(datetime(2025, 1, 1))  # noqa: DTZ001  (that it is naive is the point)


def test_an_instant_is_converted_to_utc() -> None:
    assert instant64(datetime.fromisoformat("2025-05-01T09:00+09:00")) == np.datetime64(
        "2025-05-01T00:00"
    )
