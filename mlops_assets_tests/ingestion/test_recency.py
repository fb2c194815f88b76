from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.ingestion.recency import judge
from mlops_assets.settings import DataMode
from mlops_assets.tables.candles import RAW_CANDLES
from mlops_assets_tests.ingestion import panels
from mlops_assets_tests.ingestion.market import at, exogenous, raw, source

STORED = raw((at(9), 100.0), (at(10), 101.0))


@pytest.mark.parametrize(
    ("hours", "due"), [(10, 0), (10.99, 0), (11, 0), (13, 0), (13.99, 0), (14, 4), (34, 24)]
)
def test_up_to_three_bars_may_be_missing(hours: float, due: int) -> None:
    finding = judge(STORED, name="btc", source=source(), now=at(hours), mode="sample")

    # At 14:00 the bars closing at 11, 12, 13 and 14 are due: one too many.
    assert finding.count == due


def test_a_publication_delay_gives_the_source_that_much_longer() -> None:
    late = source(publication_delay=timedelta(minutes=30))

    assert judge(STORED, name="btc", source=late, now=at(14.25), mode="live").passed
    assert not judge(STORED, name="btc", source=late, now=at(14.5), mode="live").passed


@pytest.mark.parametrize(
    ("mode", "severity"), [("sample", "ERROR"), ("live", "ERROR"), ("files", "WARN")]
)
def test_a_target_that_fell_behind_stops_except_in_files(mode: DataMode, severity: str) -> None:
    finding = judge(STORED, name="btc", source=source(), now=at(20), mode=mode)

    assert not finding.passed
    assert finding.severity == severity
    assert "closes 2025-05-01T10:00Z; 10 newer bars are due by its calendar" in finding.message


def test_an_exogenous_source_that_fell_behind_is_a_warning() -> None:
    finding = judge(STORED, name="x", source=exogenous(), now=at(20), mode="live")

    assert finding.severity == "WARN"


def test_a_closed_market_owes_nothing() -> None:
    # The last bar of Friday 2025-05-02 opens 19:30 UTC; New York opens again on Monday at 13:30.
    friday_close = datetime(2025, 5, 2, 20, 30, tzinfo=UTC)
    stored = raw((friday_close, 500.0))
    market = exogenous(calendar="XNYS")

    sunday = judge(stored, name="ndx", source=market, now=at(12, day=4), mode="live")
    monday = judge(stored, name="ndx", source=market, now=at(17.5, day=5), mode="live")

    assert sunday.passed
    assert monday.count == 4


def test_rows_known_later_than_the_clock_do_not_count() -> None:
    finding = judge(STORED, name="btc", source=source(), now=at(9.5), mode="sample")

    assert finding.passed
    assert "closes 2025-05-01T09:00Z" in finding.message


def test_a_source_that_never_delivered_is_behind() -> None:
    finding = judge(RAW_CANDLES.empty(), name="btc", source=source(), now=at(9), mode="sample")

    assert not finding.passed
    assert "no bar is known at 2025-05-01T09:00Z" in finding.message


def test_days_are_counted_on_their_own_clock() -> None:
    stored = panels.raw({10: panels.shares()})
    noon = panels.end_of(13) + timedelta(hours=12)  # the days 11, 12 and 13 are due in Korea

    finding = judge(stored, name="search", source=panels.panel(), now=noon, mode="live")
    a_day_later = judge(
        stored, name="search", source=panels.panel(), now=noon + panels.DAY, mode="live"
    )

    assert finding.passed
    assert finding.message.endswith(
        "is of a period ending 2024-09-10T15:00Z; 3 newer values are due"
    )
    assert a_day_later.count == 4
