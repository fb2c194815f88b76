from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.ingestion.live import deliver
from mlops_assets.ingestion.quality import Rule, split
from mlops_assets.ingestion.sources import Delivery, SourceError
from mlops_assets.problem import Source
from mlops_assets.settings import Settings
from mlops_assets_tests.ingestion.market import HOUR, MAY, at, source
from mlops_assets_tests.ingestion.services import QUICK, Answer, Exchange, Service, running

NOW = at(12.5)
FOR_EVER = datetime.max.replace(tzinfo=UTC)


def market(url: str, **changes: object) -> Source:
    live = {"kind": "binance", "symbol": "BTCUSDT", "base_url": url}
    return source(live=live, plausible=(1.0, 100_000.0), **changes)


def fetch(
    service: Service,
    *,
    start: datetime = MAY,
    end: datetime = FOR_EVER,
    now: datetime = NOW,
) -> Delivery:
    origin = market(service.url)
    return deliver(
        "btc", origin, start=start, end=end, fetched_at=now, settings=Settings(), retries=QUICK
    )


def closes(delivery: Delivery) -> list[datetime]:
    return delivery.rows["valid_time"].to_list()


def test_finished_bars_are_known_at_their_close_and_numbers_are_read_from_text() -> None:
    with running(Exchange(NOW)) as service:
        found = fetch(service)

    assert closes(found) == [at(hour) for hour in range(1, 13)]
    assert found.rows.row(0, named=True) == {
        "series": "btc",
        "valid_time": at(1),
        "known_at": at(1),
        "fetched_at": NOW,
        "assumed": True,
        "open": 100.0,
        "high": 100.5,
        "low": 99.5,
        "close": 100.0,
        "volume": 10.0,
        "pull": "binance:BTCUSDT",
    }
    assert found.notes == ()
    assert len(service.calls) == 1


def test_a_long_history_comes_in_pages_of_a_thousand() -> None:
    now = MAY + 2500 * HOUR + HOUR / 2
    with running(Exchange(now)) as service:
        found = fetch(service, now=now)

    assert len(found.rows) == 2500
    assert found.rows["close"].to_list() == [100.0 + hour for hour in range(2500)]
    assert [int(call.params["limit"]) for call in service.calls] == [1000] * 3
    assert found.notes == ()


def test_a_closed_window_asks_for_no_more_than_its_bars() -> None:
    with running(Exchange(NOW)) as service:
        found = fetch(service, start=at(2), end=at(5))

    assert closes(found) == [at(3), at(4), at(5)]
    [call] = service.calls
    assert int(call.params["endTime"]) == at(5).timestamp() * 1000 - 1


def test_the_running_bar_is_left_out_until_it_has_closed_by_more_than_the_clock_skew() -> None:
    def last_close(now: datetime) -> datetime:
        with running(Exchange(at(12.5))) as service:
            return closes(fetch(service, now=now))[-1]

    assert last_close(at(12) - timedelta(seconds=1)) == at(11)
    assert last_close(at(12) + timedelta(seconds=4)) == at(11)
    assert last_close(at(12) + timedelta(seconds=5)) == at(12)


def test_a_clock_that_lags_by_more_than_the_allowance_shows_as_bars_from_the_future() -> None:
    with running(Exchange(at(12.5))) as service:
        found = fetch(service, now=at(9.5))

    parts = split(found.rows, market(service.url))
    assert parts.clean["valid_time"].max() == at(9)
    assert parts.quarantined["valid_time"].to_list() == [at(11), at(12), at(13)]
    assert set(parts.quarantined["reason"]) == {str(Rule.NOT_LATER_THAN_FETCH)}


def test_a_truncated_page_is_completed_and_told() -> None:
    with running(Exchange(NOW, ends_early=5)) as service:
        found = fetch(service)

    assert closes(found) == [at(hour) for hour in range(1, 13)]
    assert [int(call.params["startTime"]) // 3_600_000 % 24 for call in service.calls] == [0, 5]
    [note] = found.notes
    assert note.startswith("btc: a page ended after 5 of 1000 rows, at the bar opening 2025-05-01")


def test_bars_that_the_exchange_does_not_have_stay_missing() -> None:
    with running(Exchange(NOW, missing={at(3), at(11)})) as service:
        found = fetch(service)

    assert closes(found) == [at(h) for h in (1, 2, 3, 5, 6, 7, 8, 9, 10, 11)]
    assert found.notes == ()


def test_a_null_close_is_passed_on_to_the_rule_that_sets_it_aside() -> None:
    with running(Exchange(NOW, changed={at(3): None})) as service:
        found = fetch(service)

    parts = split(found.rows, market(service.url))
    assert parts.quarantined.select("valid_time", "reason").rows() == [
        (at(4), str(Rule.PRICES_PRESENT))
    ]
    assert len(parts.clean) == 11


def test_no_bars_are_an_empty_delivery() -> None:
    with running(lambda _: Answer(content=[])) as service:
        assert fetch(service).rows.is_empty()


def test_a_service_that_repeats_a_page_for_ever_is_refused() -> None:
    early = Exchange(at(5.5))
    with running(early) as service:
        fetch(service, now=at(5.5))
        page = early(service.calls[0])
        service.usual = lambda _: page
        with pytest.raises(SourceError, match=r"newest answered opens 2025-05-01T05:00Z; pages"):
            fetch(service)


@pytest.mark.parametrize("content", [{"code": 1}, [[1, "2"]], [[0, "x", "1", "1", "1", "1", 1]], 7])
def test_an_answer_in_another_shape_is_refused(content: object) -> None:
    with (
        running(lambda _: Answer(content=content)) as service,
        pytest.raises(SourceError, match="answered klines that cannot be read"),
    ):
        fetch(service)


def test_an_unknown_symbol_is_told_in_the_words_of_the_exchange() -> None:
    error = {"code": -1121, "msg": "Invalid symbol."}
    with (
        running(lambda _: Answer(400, error)) as service,
        pytest.raises(SourceError, match=re.compile(r"400 .*Invalid symbol.*`symbol`", re.DOTALL)),
    ):
        fetch(service)


def test_a_bar_length_that_the_exchange_does_not_have_is_refused() -> None:
    odd = market("http://127.0.0.1:9", period=timedelta(minutes=7))
    with pytest.raises(SourceError, match=r"no bars of 0:07:00; it has 1m, 5m"):
        deliver("btc", odd, start=MAY, end=NOW, fetched_at=NOW, settings=Settings(), retries=QUICK)
