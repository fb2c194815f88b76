"""Several live fetches of one source, against a service: what is asked, and known since when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import stamina

from mlops_assets.ingestion.arrivals import COVERAGE, add_span, resume_at, with_known_at
from mlops_assets.ingestion.pull import PullReport, pull, raw_table, read_raw
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.ingestion import panels
from mlops_assets_tests.ingestion.market import HOUR, MAY, at, source
from mlops_assets_tests.ingestion.services import Answer, Exchange, Service, running

JULY = datetime(2025, 7, 1, tzinfo=UTC)
FIRST = at(48.5)


class Market:
    """A source that asks a fake exchange, and its store."""

    def __init__(self, service: Service, exchange: Exchange, root: Path) -> None:
        self.service, self.exchange = service, exchange
        self.store = TableStore(str(root))
        live = {"kind": "binance", "symbol": "BTCUSDT", "base_url": service.url}
        self.source = source(live=live)

    def pull(self, now: datetime, *, start: datetime = MAY, end: datetime = JULY) -> PullReport:
        self.exchange.now = max(now, self.exchange.now)
        return pull(
            self.store,
            "p",
            "btc",
            self.source,
            start=start,
            end=end,
            fetched_at=now,
            settings=Settings(data="live"),
        )

    def known(self, valid_time: datetime) -> list[tuple[float, datetime, bool]]:
        """The stored versions of a bar: close, known at, assumed."""
        rows = read_raw(self.store, "p", "btc").filter(pl.col("valid_time") == valid_time)
        return rows.sort("known_at").select("close", "known_at", "assumed").rows()

    def asked_from(self) -> datetime:
        start = int(self.service.calls[-1].params["startTime"])
        return datetime.fromtimestamp(start / 1000, UTC)


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    exchange = Exchange(FIRST)
    with running(exchange) as service, stamina.set_testing(True, attempts=5, cap=True):
        yield Market(service, exchange, tmp_path)


def test_the_first_fetch_is_history_known_at_its_close(market: Market) -> None:
    report = market.pull(FIRST)

    assert (report.inserted, report.unchanged) == (48, 0)
    assert market.known(at(48)) == [(147.0, at(48), True)]
    assert market.asked_from() == MAY


def test_the_next_fetch_asks_for_the_overlap_only_and_new_bars_are_known_at_it(
    market: Market,
) -> None:
    market.pull(FIRST)
    now = at(50, day=1) + timedelta(seconds=40)

    report = market.pull(now)

    assert market.asked_from() == at(47.5 - 24)
    assert (report.inserted, report.unchanged) == (2, 24)
    assert market.known(at(49)) == [(148.0, now, False)]
    assert market.known(at(50)) == [(149.0, now, False)]
    assert market.known(at(48)) == [(147.0, at(48), True)]
    assert report.newest_known_at == now


def test_asking_again_at_once_adds_nothing(market: Market) -> None:
    market.pull(FIRST)
    market.pull(at(50.5))

    again = market.pull(at(50.75))

    assert again.inserted == 0
    assert market.known(at(50)) == [(149.0, at(50.5), False)]


def test_a_corrected_bar_is_a_version_known_from_the_fetch_on(market: Market) -> None:
    market.pull(FIRST)
    market.pull(at(50.5))
    market.exchange.changed = {at(47): 147.25, at(49): 149.25}

    market.pull(at(51.5))

    assert market.known(at(48)) == [(147.0, at(48), True), (147.25, at(51.5), False)]
    assert market.known(at(50)) == [(149.0, at(50.5), False), (149.25, at(51.5), False)]


def test_a_correction_taken_back_is_a_third_version(market: Market) -> None:
    market.pull(FIRST)
    market.exchange.changed = {at(47): 147.25}
    market.pull(at(49.5))
    market.exchange.changed = {}

    market.pull(at(50.5))

    assert [close for close, _, _ in market.known(at(48))] == [147.0, 147.25, 147.0]


def test_a_bar_that_the_source_had_left_out_is_known_when_it_appears(market: Market) -> None:
    market.exchange.missing = {at(45)}
    market.pull(FIRST)
    assert market.known(at(46)) == []
    market.exchange.missing = set()

    market.pull(at(49.5))

    assert market.known(at(46)) == [(145.0, at(49.5), False)]


def test_what_was_missed_while_nothing_ran_is_history_but_for_the_newest_bars(
    market: Market,
) -> None:
    market.pull(FIRST)
    now = at(100.5)

    report = market.pull(now)

    assert report.inserted == 52
    assert market.known(at(97)) == [(196.0, at(97), True)]
    # Three hours before 100:30 is 97:30: the bars closing at 98, 99 and 100 were on time.
    assert [market.known(at(h))[0][1:] for h in (98, 99, 100)] == [(now, False)] * 3


def test_an_earlier_start_is_fetched_from_there_and_backdated(market: Market) -> None:
    market.pull(FIRST, start=at(0, day=2))
    assert len(read_raw(market.store, "p", "btc")) == 24

    report = market.pull(at(49.5))

    assert market.asked_from() == MAY
    assert report.inserted == 25
    assert market.known(at(3)) == [(102.0, at(3), True)]
    assert market.known(at(49)) == [(148.0, at(49.5), False)]


def test_a_complete_month_is_asked_only_for_its_overlap(market: Market) -> None:
    june = datetime(2025, 6, 1, tzinfo=UTC)
    market.pull(june + 100 * HOUR)

    market.pull(june + 101 * HOUR, end=june)

    assert market.asked_from() == june - 24 * HOUR
    assert int(market.service.calls[-1].params["endTime"]) == june.timestamp() * 1000 - 1


def test_a_failed_fetch_leaves_the_next_one_everything_to_do(market: Market) -> None:
    market.pull(FIRST)
    market.service.first = [Answer(418, "banned")]
    with pytest.raises(SourceError, match="banned this address"):
        market.pull(at(49.5))

    assert market.pull(at(50.5)).inserted == 2


def test_a_deleted_table_is_fetched_whole(market: Market) -> None:
    market.pull(FIRST)
    market.store.files.delete_folder(raw_table("p", "btc"))

    assert market.pull(at(49.5)).inserted == 49


def test_notes_of_the_service_are_in_the_report(market: Market) -> None:
    market.exchange.ends_early = 5

    assert "a page ended after 5 of 1000 rows" in market.pull(FIRST).notes[0]


def spans(*hours: tuple[int, int]) -> pl.DataFrame:
    rows = [(at(first), at(last), at(last)) for first, last in hours]
    return pl.DataFrame(rows, schema=COVERAGE, orient="row")


@pytest.mark.parametrize(
    ("covered", "start", "resumed"),
    [
        ([], 0, 0),
        ([(0, 100)], 0, 76),
        ([(0, 100)], 90, 90),
        ([(0, 50), (50, 100)], 0, 76),
        ([(0, 50), (60, 100)], 0, 26),
        ([(10, 100)], 0, 0),
        ([(0, 500)], 0, 176),
    ],
)
def test_a_fetch_resumes_a_day_before_the_end_of_what_follows_without_gap(
    covered: list[tuple[int, int]], start: int, resumed: int
) -> None:
    assert resume_at(spans(*covered), start=at(start), end=at(200), source=source()) == at(resumed)


def test_spans_that_touch_become_one_and_others_stay_apart() -> None:
    found = add_span(
        spans((0, 10), (20, 30)), start=at(10), end=at(15), fetched_at=at(40), source=source()
    )

    assert found.rows() == [(at(0), at(15), at(40)), (at(20), at(30), at(30))]


def test_a_span_ends_before_the_bar_that_is_running() -> None:
    found = add_span(spans(), start=at(0), end=at(99), fetched_at=at(40.5), source=source())

    assert found["end"].to_list() == [at(39.5)]


def test_daily_values_are_asked_for_again_over_24_days() -> None:
    covered = pl.DataFrame(
        [[panels.START], [panels.end_of(29)], [panels.end_of(30)]], schema=COVERAGE
    )

    resumed = resume_at(covered, start=panels.START, end=panels.end_of(30), source=panels.panel())

    assert resumed == panels.end_of(5)


def test_each_series_of_a_panel_has_an_arrival_of_its_own() -> None:
    one, other, now = "게토레이/male/10대", "링티/male/10대", panels.end_of(2) + HOUR
    covered = pl.DataFrame(
        [[panels.START], [panels.end_of(1)], [panels.end_of(1)]], schema=COVERAGE
    )
    stored = panels.raw({1: {one: 40.0}})
    fetched = panels.raw({1: {one: 41.0, other: 59.0}, 2: {one: 40.0}})

    rows = with_known_at(fetched, stored, covered, fetched_at=now, source=panels.panel())

    assert rows.select("series", "known_at", "assumed").rows() == [
        (one, panels.end_of(1), True),  # stored already: `versions` sees that it changed
        (other, now, False),  # an earlier fetch asked for its day and did not get it
        (one, now, False),  # ended since the previous fetch
    ]


def test_a_span_of_snapshots_reaches_to_the_fetch_itself() -> None:
    found = add_span(
        spans(), start=at(0), end=at(99), fetched_at=at(40.5), source=panels.channels()
    )

    assert found["end"].to_list() == [at(40.5)]
