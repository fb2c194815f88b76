from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.ingestion.pull import PullReport, pull, read_quarantine, read_raw
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import Source
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.ingestion.market import MAY, at, delivered, file, sample, source

JUNE = datetime(2025, 6, 1, tzinfo=UTC)
NOW = datetime(2025, 7, 15, 12, tzinfo=UTC)
AUGUST = datetime(2025, 8, 1, tzinfo=UTC)
BTC = source(files=[file("btc.parquet")])


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path / "store"))


def write(store: TableStore, bars: pl.DataFrame) -> None:
    bars.write_parquet(Path(store.root).parent / "btc.parquet")


def run(
    store: TableStore,
    *,
    origin: Source = BTC,
    start: datetime = MAY,
    end: datetime = AUGUST,
    fetched_at: datetime = NOW,
) -> PullReport:
    settings = Settings(data="files", data_dir=Path(store.root).parent)
    return pull(
        store, "p", "btc", origin, start=start, end=end, fetched_at=fetched_at, settings=settings
    )


def test_a_pull_stores_the_bars_and_reports_them(store: TableStore) -> None:
    write(store, delivered([100.0, 101.0, 102.0]))

    report = run(store)

    assert (report.inserted, report.unchanged, report.quarantined) == (3, 0, 0)
    assert (report.first_valid_time, report.last_valid_time) == (at(1), at(3))
    assert report.newest_known_at == at(3)
    assert report.data_version == store.data_version("p/raw_btc")
    assert read_raw(store, "p", "btc")["close"].sort().to_list() == [100.0, 101.0, 102.0]


def test_the_same_pull_again_changes_nothing(store: TableStore) -> None:
    write(store, delivered([100.0, 101.0]))
    first = run(store)

    again = run(store, fetched_at=NOW + timedelta(hours=1))

    assert (again.inserted, again.unchanged, again.clean) == (0, 2, 2)
    assert again.data_version == first.data_version


def test_a_file_corrected_in_place_adds_a_version_known_from_the_pull_on(
    store: TableStore,
) -> None:
    write(store, delivered([100.0, 101.0]))
    run(store)
    write(store, delivered([100.0, 111.0]))
    later = NOW + timedelta(hours=1)

    report = run(store, fetched_at=later)

    versions = read_raw(store, "p", "btc").filter(pl.col("valid_time") == at(2)).sort("known_at")
    assert versions.select("close", "known_at", "assumed").rows() == [
        (101.0, at(2), True),
        (111.0, later, False),
    ]
    assert (report.inserted, report.unchanged) == (1, 1)
    assert run(store, fetched_at=later + timedelta(hours=1)).inserted == 0


def test_a_faulty_bar_is_kept_apart_until_the_file_is_corrected(store: TableStore) -> None:
    write(store, delivered([100.0, float("nan"), 102.0]))
    report = run(store)
    set_aside = read_quarantine(store, "p", "btc")
    write(store, delivered([100.0, 101.0, 102.0]))

    corrected = run(store)

    assert (report.inserted, report.quarantined) == (2, 1)
    assert set_aside.select("valid_time", "reason").rows() == [(at(2), "prices_present")]
    assert (corrected.inserted, corrected.quarantined) == (1, 0)
    assert read_quarantine(store, "p", "btc").is_empty()


def test_a_pull_of_one_month_leaves_the_others_alone(store: TableStore) -> None:
    bad_may, bad_june = delivered([-1.0, 100.0]), delivered([-1.0, 100.0], start=JUNE)
    write(store, pl.concat([bad_may, bad_june]))
    run(store)
    write(store, pl.concat([bad_may, delivered([99.0, 100.0], start=JUNE)]))

    report = run(store, start=JUNE, end=JUNE + timedelta(days=30))

    assert (report.inserted, report.unchanged) == (1, 1)
    assert read_quarantine(store, "p", "btc")["month"].to_list() == ["2025-05"]


def test_a_bar_stamped_in_the_far_future_is_set_aside_and_not_lost(store: TableStore) -> None:
    write(store, pl.concat([delivered([100.0]), delivered([1.5], start=NOW + timedelta(days=900))]))

    report = run(store)

    assert (report.inserted, report.quarantined) == (1, 1)
    assert read_quarantine(store, "p", "btc")["reason"].to_list() == ["not_later_than_fetch"]
    assert run(store).quarantined == 1
    assert len(read_quarantine(store, "p", "btc")) == 1


def test_bars_before_the_source_starts_are_not_stored(store: TableStore) -> None:
    write(store, delivered([100.0, 101.0, 102.0]))

    report = run(store, origin=source(files=[file("btc.parquet")], start=at(1)))

    assert report.first_valid_time == at(2)


def test_a_window_without_bars_leaves_an_empty_table(store: TableStore) -> None:
    write(store, delivered([100.0]))

    report = run(store, start=JUNE)

    assert (report.clean, report.first_valid_time) == (0, None)
    assert read_raw(store, "p", "btc").is_empty()


def test_a_sample_grows_by_the_hours_that_passed(store: TableStore) -> None:
    origin = source(sample=sample())
    window = {"start": MAY, "end": JUNE, "settings": Settings(data="sample")}

    first = pull(store, "p", "btc", origin, fetched_at=at(48), **window)  # type: ignore[arg-type]
    second = pull(store, "p", "btc", origin, fetched_at=at(50.5), **window)  # type: ignore[arg-type]

    assert (first.inserted, first.unchanged) == (48, 0)
    assert (second.inserted, second.unchanged) == (2, 48)


def test_a_source_without_live_entry_says_what_to_add(store: TableStore) -> None:
    settings = Settings(data="live")
    with pytest.raises(SourceError, match=r"sources\.btc\.live is missing; add `live: \{kind"):
        pull(store, "p", "btc", BTC, start=MAY, end=JUNE, fetched_at=NOW, settings=settings)
