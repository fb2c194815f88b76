from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from mlops_assets.ingestion import sample as generator
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import Source
from mlops_assets.settings import Settings
from mlops_assets.tables.layouts import layout_of
from mlops_assets_tests.ingestion.market import MAY, at, sample, source
from mlops_assets_tests.ingestion.searches import JANUARY, channel_source, kst, share_source

SHARES = {"start": JANUARY}
CHANNELS = {"start": JANUARY, "subscribers": 27_500}
FOR_EVER = datetime.max.replace(tzinfo=UTC)


def fetch(origin: Source, *, start: datetime, fetched_at: datetime) -> pl.DataFrame:
    return generator.fetch(
        "some", origin, start=start, end=FOR_EVER, fetched_at=fetched_at, settings=Settings()
    )


@pytest.mark.parametrize(
    "origin",
    [
        source(sample=sample(), start=JANUARY),
        share_source(sample=SHARES),
        channel_source(sample=CHANNELS),
    ],
)
def test_rows_of_every_kind_have_the_columns_of_their_table(origin: Source) -> None:
    rows = fetch(origin, start=JANUARY, fetched_at=MAY + timedelta(days=2))

    assert rows.schema == layout_of(origin.kind).fetched.empty().schema
    assert set(rows["pull"]) == {"sample"}
    assert rows["assumed"].all()
    assert (rows["known_at"] == rows["valid_time"]).all()


@pytest.mark.parametrize("origin", [source(), share_source(), channel_source()])
def test_a_source_without_a_sample_names_the_setting(origin: Source) -> None:
    with pytest.raises(SourceError, match=r"sources\.some\.sample is missing.*MLOPS_DATA=files"):
        fetch(origin, start=JANUARY, fetched_at=MAY)


def test_a_bar_appears_when_it_is_published_and_not_before() -> None:
    origin = source(sample=sample(), publication_delay=timedelta(minutes=10))

    just_before = fetch(origin, start=MAY, fetched_at=at(5, day=2) + timedelta(minutes=9))
    published = fetch(origin, start=MAY, fetched_at=at(5, day=2) + timedelta(minutes=10))

    assert just_before["valid_time"].max() == at(4, day=2)
    assert published["valid_time"].max() == at(5, day=2)
    assert published["known_at"].max() == at(5, day=2) + timedelta(minutes=10)


def test_a_day_of_shares_appears_when_it_has_ended_in_korea_and_been_published() -> None:
    origin = share_source(sample=SHARES, publication_delay=timedelta(hours=2))

    just_before = fetch(origin, start=JANUARY, fetched_at=kst(5, hour=1.99))
    published = fetch(origin, start=JANUARY, fetched_at=kst(5, hour=2))

    assert just_before["valid_time"].max() == kst(4)
    assert published["valid_time"].max() == kst(5)
    assert published["known_at"].max() == kst(5, hour=2)


def test_a_snapshot_of_channels_appears_at_midnight_utc() -> None:
    origin = channel_source(sample=CHANNELS)

    found = fetch(origin, start=JANUARY, fetched_at=kst(5, hour=9))
    before = fetch(origin, start=JANUARY, fetched_at=kst(5, hour=8.99))

    assert found["valid_time"].max() == datetime(2024, 1, 5, tzinfo=UTC)
    assert before["valid_time"].max() == datetime(2024, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize("origin", [share_source(sample=SHARES), channel_source(sample=CHANNELS)])
def test_nothing_exists_before_the_sample_begins(origin: Source) -> None:
    early = fetch(origin, start=JANUARY - timedelta(days=9), fetched_at=kst(9))

    assert early.equals(fetch(origin, start=JANUARY, fetched_at=kst(9)))
    assert fetch(origin, start=JANUARY - timedelta(days=9), fetched_at=JANUARY).is_empty()


@pytest.mark.parametrize("origin", [share_source(sample=SHARES), channel_source(sample=CHANNELS)])
def test_a_window_without_midnight_is_empty(origin: Source) -> None:
    found = generator.fetch(
        "some",
        origin,
        start=kst(1, hour=1),
        end=kst(1, hour=5),
        fetched_at=MAY,
        settings=Settings(),
    )

    assert found.is_empty()
    assert found.schema == layout_of(origin.kind).fetched.empty().schema
