"""Pulls of live sources through every trouble that their services may have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
import stamina

from mlops_assets.ingestion.pull import PullReport, pull, read_quarantine, read_raw
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import Source
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.layouts import layout_of
from mlops_assets_tests.ingestion.market import MAY, at, source
from mlops_assets_tests.ingestion.searches import (
    JANUARY,
    KEYS,
    KEYWORDS,
    DataLab,
    channel_source,
    in_part,
    kst,
    share_source,
    video_site,
)
from mlops_assets_tests.ingestion.services import Answer, Call, Exchange, Service, running

FOR_EVER = datetime.max.replace(tzinfo=UTC)
LIVE = KEYS.model_copy(update={"data": "live"})
NOW = kst(10, hour=9)


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """As patient as in production, without waiting."""
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path))


def shares(service: Service) -> Source:
    live = {"kind": "naver", "keyword_groups": KEYWORDS, "base_url": service.url}
    return share_source(live=live)


def pulled(
    store: TableStore,
    origin: Source,
    *,
    now: datetime,
    start: datetime = JANUARY,
    settings: Settings = LIVE,
) -> PullReport:
    return pull(
        store,
        "problem",
        "live",
        origin,
        start=start,
        end=FOR_EVER,
        fetched_at=now,
        settings=settings,
    )


def table(store: TableStore, origin: Source) -> pl.DataFrame:
    rows = read_raw(store, "problem", "live", layout=layout_of(origin.kind))
    return rows.sort("series", "valid_time", "known_at")


def test_shares_are_complete_after_429_500_and_an_answer_without_one_of_the_brands(
    store: TableStore,
) -> None:
    lab = DataLab(NOW)
    part: list[Answer] = []

    def once_in_part(call: Call) -> Answer:
        if part:
            return lab(call)
        part.append(in_part(call, lab))
        return part[0]

    troubles = (Answer(429, "slow down", {"Retry-After": "2"}), Answer(500, "oops"))
    with running(once_in_part, *troubles) as service:
        report = pulled(store, shares(service), now=NOW)
        rows = table(store, shares(service))

    assert len(service.calls) == 12 + 3
    assert (report.inserted, report.quarantined, report.notes) == (36 * 9, 0, ())
    assert set(rows["valid_time"]) == {kst(day) for day in range(2, 11)}
    sums = rows.with_columns(pl.col("series").str.replace(r"^[^/]+/", "")).group_by(
        "series", "valid_time"
    )
    assert sums.agg(pl.col("value").sum())["value"].is_between(99.97, 100.03).all()


def test_a_later_pull_of_shares_sees_what_the_service_restated(store: TableStore) -> None:
    lab = DataLab(NOW)
    with running(lab) as service:
        pulled(store, shares(service), now=NOW)
        lab.silent = {(date(2024, 1, 5), "포카리스웨트")}
        lab.now = kst(11, hour=9)
        report = pulled(store, shares(service), now=lab.now)
        rows = table(store, shares(service))

    # Day 10 is new in 36 series; day 5 has other shares in all of them.
    assert report.inserted == 36 + 36
    versions = rows.filter(series="게토레이/male/10대", valid_time=kst(6))
    assert versions.select("value", "known_at").rows() == [(16.67, kst(6)), (33.33, lab.now)]


def test_a_failed_segment_leaves_the_table_as_it_was(store: TableStore) -> None:
    lab = DataLab(NOW)
    with running(lab) as service:
        pulled(store, shares(service), now=NOW)
        before = table(store, shares(service))
        lab.now = kst(11, hour=9)
        service.usual = lambda c: Answer(403, "") if c.body["ages"] == ["11"] else lab(c)
        with pytest.raises(SourceError, match=r"segment male 60대 이상: .*every segment or none"):
            pulled(store, shares(service), now=lab.now)
        after = table(store, shares(service))

    assert after.equals(before)


def test_bars_are_complete_after_a_ban_429_500_a_truncated_page_and_a_null_close(
    store: TableStore,
) -> None:
    now = at(48.25)
    exchange = Exchange(now, changed={at(5): None}, ends_early=7)
    with running(exchange, Answer(418, "banned")) as service:
        live = {"kind": "binance", "symbol": "BTCUSDT", "base_url": service.url}
        origin = source(live=live, plausible=(1.0, 1000.0))
        with pytest.raises(SourceError, match="answered 418"):
            pulled(store, origin, now=now, start=MAY)
        service.first = [Answer(429, "", {"Retry-After": "3"}), Answer(500, "oops")]
        through = pulled(store, origin, now=now, start=MAY)
        missing = [at(h) for h in range(1, 49) if h != 6]
        assert table(store, origin)["valid_time"].to_list() == missing
        exchange.changed = {}
        cleared = pulled(store, origin, now=now, start=MAY)
        rows = table(store, origin)

    assert (through.inserted, through.quarantined) == (47, 1)
    assert "ended after 7 of 1000 rows" in through.notes[0]
    assert (cleared.inserted, cleared.quarantined) == (1, 0)
    assert rows["valid_time"].to_list() == [at(h) for h in range(1, 49)]
    assert read_quarantine(store, "problem", "live").is_empty()


def test_a_snapshot_of_channels_is_kept_with_its_hidden_counts(store: TableStore) -> None:
    with running(video_site, Answer(500, "oops")) as service:
        live = {"kind": "youtube", "queries": ["이온음료"], "base_url": service.url}
        origin = channel_source(live=live)
        pulled(store, origin, now=NOW)
        later = kst(11, hour=9)
        pulled(store, origin, now=later)
        rows = table(store, origin)

    channels = rows.filter(pl.col("series") == "channel/c2")
    assert channels.select("valid_time", "subscribers", "views").rows() == [
        (NOW, None, 1.0),
        (later, None, 1.0),
    ]
    assert len(rows) == 8


@pytest.mark.parametrize("missing", ["naver_client_id", "naver_client_secret"])
def test_a_pull_without_a_key_names_the_setting(store: TableStore, missing: str) -> None:
    settings = LIVE.model_copy(update={missing: None})
    with (
        running(DataLab(NOW)) as service,
        pytest.raises(ValueError, match=f"MLOPS_{missing.upper()} is not set"),
    ):
        pulled(store, shares(service), now=NOW, settings=settings)
