from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.replay.isolation import ReplayError
from mlops_assets.replay.span import Span

WEEK = timedelta(days=7)


def day(number: int, month: int = 2) -> datetime:
    return datetime(2024, month, number, tzinfo=UTC)


def test_the_last_origin_is_included_where_it_is_on_the_grid() -> None:
    assert Span(day(1), day(15), WEEK).origins == [day(1), day(8), day(15)]
    assert Span(day(1), day(14), WEEK).origins == [day(1), day(8)]
    assert len(Span(day(1), datetime(2025, 6, 12, tzinfo=UTC), WEEK)) == 72


def test_it_closes_when_the_next_origin_would_be() -> None:
    assert Span(day(1), day(15), WEEK).closing == day(22)
    assert Span(day(1), day(20), WEEK).closing == day(22)


@pytest.mark.parametrize(
    ("start", "end", "every", "message"),
    [
        (day(8), day(1), WEEK, "before its start"),
        (day(1), day(8), timedelta(0), "such as 7d"),
        (day(1), day(8, 3), timedelta(minutes=1), "at most 5000"),
    ],
)
def test_a_span_without_usable_origins_is_refused(
    start: datetime, end: datetime, every: timedelta, message: str
) -> None:
    with pytest.raises(ReplayError, match=message):
        Span(start, end, every)


def test_a_replay_is_named_after_what_decides_its_numbers() -> None:
    span = Span(day(1), day(15), WEEK)

    assert span.replay_id("coin", "abcdef0123") == "coin-20240201-20240215-7d-abcdef01"
    hourly = Span(day(1), day(2), timedelta(hours=1))
    assert hourly.replay_id("coin", "abcdef0123") == "coin-20240201-20240202-3600s-abcdef01"
