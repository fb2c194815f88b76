from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from mlops_assets.ingestion.local_days import days_opening, end_of_day

SEOUL = "Asia/Seoul"


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        # Midnight in Seoul is 15:00 UTC of the day before.
        ("2024-01-01T15:00Z", "2024-01-03T15:00Z", (date(2024, 1, 2), date(2024, 1, 4))),
        ("2024-01-01T15:01Z", "2024-01-03T15:01Z", (date(2024, 1, 3), date(2024, 1, 5))),
        ("2024-01-01T00:00Z", "2024-01-01T15:00Z", (date(2024, 1, 2), date(2024, 1, 2))),
    ],
)
def test_days_belong_to_the_window_in_which_they_open(
    start: str, end: str, days: tuple[date, date]
) -> None:
    found = days_opening(datetime.fromisoformat(start), datetime.fromisoformat(end), zone=SEOUL)

    assert found == days


def test_a_day_ends_at_the_midnight_of_its_zone() -> None:
    frame = pl.DataFrame({"day": [date(2024, 2, 29)]})

    [ended] = frame.select(end_of_day(pl.col("day"), zone=SEOUL)).to_series()

    assert ended == datetime(2024, 2, 29, 15, tzinfo=UTC)
