from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mlops_assets.ingestion.live import deliver
from mlops_assets.ingestion.sources import Delivery, SourceError
from mlops_assets.problem import Source
from mlops_assets.settings import Settings
from mlops_assets_tests.ingestion.market import HOUR, MAY, at, exogenous
from mlops_assets_tests.ingestion.services import QUICK, Answer, Chart, Service, running

NOW = at(12.25)


def listing(url: str, **changes: object) -> Source:
    return exogenous(live={"kind": "yahoo", "symbol": "^VIX", "base_url": url}, **changes)


def fetch(
    service: Service, *, start: datetime = MAY, now: datetime = NOW, **changes: object
) -> Delivery:
    origin = listing(service.url, **changes)
    return deliver(
        "vix",
        origin,
        start=start,
        end=at(0, day=31),
        fetched_at=now,
        settings=Settings(),
        retries=QUICK,
    )


def test_bars_keep_their_own_clock_and_the_running_one_is_left_out() -> None:
    with running(Chart(NOW)) as service:
        found = fetch(service)

    assert found.rows["valid_time"].to_list() == [at(hour + 1.5) for hour in range(11)]
    assert found.rows["close"].to_list()[:2] == [100.0, 101.0]
    assert found.rows["volume"].to_list()[0] == 10.0
    assert set(found.rows["pull"]) == {"yahoo:^VIX"}
    assert found.notes == ()
    [call] = service.calls
    assert call.path == "/v8/finance/chart/^VIX"
    assert "User-Agent" in call.headers


def test_a_source_without_volume_gets_none() -> None:
    with running(Chart(NOW)) as service:
        found = fetch(service, has_volume=False)

    assert found.rows["volume"].null_count() == len(found.rows) == 11


def test_rows_without_a_price_are_dropped_and_counted() -> None:
    with running(Chart(NOW, without_price={at(2.5), at(7.5)})) as service:
        found = fetch(service)

    assert len(found.rows) == 9
    assert at(3.5) not in found.rows["valid_time"].to_list()
    assert found.notes == ("vix: 2 rows without a price were dropped",)


def test_the_price_of_the_moment_is_no_bar_even_when_an_hour_has_passed() -> None:
    chart = Chart(at(8.25), price_of_the_moment=at(9))
    with running(chart) as service:
        found = fetch(service, now=at(23))

    assert found.rows["valid_time"].max() == at(8.5)


def test_a_bar_counts_as_finished_five_seconds_after_its_close() -> None:
    with running(Chart(at(12.25))) as service:
        before = fetch(service, now=at(11.5) + timedelta(seconds=4))
        after = fetch(service, now=at(11.5) + timedelta(seconds=5))

    assert (before.rows["valid_time"].max(), after.rows["valid_time"].max()) == (at(10.5), at(11.5))


def test_months_beyond_the_reach_are_told_and_no_error() -> None:
    now = MAY + timedelta(days=731)
    with running(Chart(MAY + timedelta(days=2))) as service:
        origin = listing(service.url)
        found = deliver(
            "vix", origin, start=MAY, end=now, fetched_at=now, settings=Settings(), retries=QUICK
        )

    [note] = found.notes
    assert note.startswith("vix: Yahoo keeps 1h bars for 730 days, so bars from 2025-05-01 to 2025")
    assert "MLOPS_DATA=files" in note
    # 731 days after midnight of May 1, less 730 days, plus the margin of an hour.
    assert int(service.calls[0].params["period1"]) == (MAY + 25 * HOUR).timestamp()
    assert found.rows["valid_time"].min() == at(26.5)


def test_a_window_wholly_beyond_the_reach_asks_nothing() -> None:
    now = MAY + timedelta(days=1000)
    with running(Chart(NOW)) as service:
        origin = listing(service.url)
        found = deliver(
            "vix",
            origin,
            start=MAY,
            end=at(0, day=9),
            fetched_at=now,
            settings=Settings(),
            retries=QUICK,
        )

    assert found.rows.is_empty()
    assert "to 2025-05-09 cannot be had live" in found.notes[0]
    assert service.calls == []


def test_a_closed_market_delivers_no_rows() -> None:
    with running(Chart(MAY)) as service:
        assert fetch(service).rows.is_empty()


@pytest.mark.parametrize("status", [200, 404, 422])
def test_the_error_of_a_chart_is_raised_in_its_words(status: int) -> None:
    error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
    refusal = Answer(status, {"chart": {"result": None, "error": error}})
    with (
        running(lambda _: refusal) as service,
        pytest.raises(SourceError, match=r"chart.error 'Not Found': No data found.*check `symbol`"),
    ):
        fetch(service)

    assert len(service.calls) == 1


@pytest.mark.parametrize(
    "content",
    [
        {"chart": {"result": [], "error": None}},
        {"chart": {"result": [{"timestamp": [1], "indicators": {}}], "error": None}},
        {
            "chart": {
                "result": [{"timestamp": [1, 2], "indicators": {"quote": [{"open": [1.0]}]}}],
                "error": None,
            }
        },
        [],
    ],
)
def test_an_answer_in_another_shape_is_refused(content: object) -> None:
    with (
        running(lambda _: Answer(content=content)) as service,
        pytest.raises(SourceError, match="Yahoo's answer cannot be read"),
    ):
        fetch(service)


def test_a_bar_length_that_is_not_supported_is_refused() -> None:
    with pytest.raises(SourceError, match=r"bars of 0:05:00 are not supported; use 1h or 1d"):
        deliver(
            "vix",
            listing("http://127.0.0.1:9", period=timedelta(minutes=5)),
            start=MAY,
            end=NOW,
            fetched_at=NOW,
            settings=Settings(),
            retries=QUICK,
        )


def test_a_bar_that_is_here_before_its_publication_delay_is_known_at_the_fetch() -> None:
    with running(Chart(NOW)) as service:
        found = fetch(service, now=at(11.75), publication_delay=HOUR / 2)

    assert found.rows["known_at"].to_list()[-2:] == [at(11), at(11.75)]
