from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.replay.overlay import OverlaidStore, ReadOnlyTableError, commits_of
from mlops_assets.storage.tables import TableMissingError, TableStore
from mlops_assets.tables.raw import KEY, PARTITION
from mlops_assets_tests.end_to_end.planted import DAY, HOUR, START, market, raw

TABLE = "coin_close/raw_coin"
NOON = START + 12 * HOUR


def append(store: TableStore, rows: pl.DataFrame) -> None:
    store.merge(TABLE, rows, keys=KEY, partition_by=PARTITION, bookkeeping=["fetched_at"])


@pytest.fixture
def production(tmp_path: Path) -> TableStore:
    """A day of bars, each known at its close."""
    store = TableStore(str(tmp_path / "production"))
    append(store, raw(market(1), "coin"))
    return store


@pytest.fixture
def overlaid(production: TableStore, tmp_path: Path) -> OverlaidStore:
    return OverlaidStore(
        str(tmp_path / "replay"),
        production=production.root,
        commits=commits_of(production, [TABLE]),
        known_by=NOON,
    )


def test_rows_that_were_known_later_are_invisible(overlaid: OverlaidStore) -> None:
    rows = overlaid.read_delta(TABLE)

    assert sorted(rows["valid_time"]) == [START + k * HOUR for k in range(1, 13)]


def test_a_correction_of_an_earlier_bar_is_invisible_until_it_was_known(
    production: TableStore, tmp_path: Path
) -> None:
    corrected = raw(market(1, seed=9).head(1), "coin", known_at=NOON + timedelta(minutes=1))
    append(production, corrected)
    commits = commits_of(production, [TABLE])

    seen = {
        minute: OverlaidStore(
            str(tmp_path / "replay"),
            production=production.root,
            commits=commits,
            known_by=NOON + timedelta(minutes=minute),
        ).read_delta(TABLE)
        for minute in (0, 1)
    }

    assert (seen[0]["valid_time"] == START + HOUR).sum() == 1
    assert (seen[1]["valid_time"] == START + HOUR).sum() == 2


def test_what_production_appends_meanwhile_changes_nothing(
    production: TableStore, overlaid: OverlaidStore
) -> None:
    before, version = overlaid.read_delta(TABLE), overlaid.data_version(TABLE)
    history = raw(market(1, start=START - DAY), "coin")  # loaded late, so known in the past

    append(production, history)

    assert len(production.read_delta(TABLE)) == 48
    assert overlaid.read_delta(TABLE).sort("valid_time").equals(before.sort("valid_time"))
    assert overlaid.data_version(TABLE) == version != production.data_version(TABLE)


def test_a_raw_table_of_production_is_never_written(overlaid: OverlaidStore) -> None:
    with pytest.raises(ReadOnlyTableError, match=r"raw_coin belongs to production.*calls no"):
        append(overlaid, raw(market(1, start=START + DAY), "coin"))
    with pytest.raises(ReadOnlyTableError):
        overlaid.write(TABLE, pl.DataFrame({"a": [1]}))


def test_all_other_tables_are_the_replays_own(
    production: TableStore, overlaid: OverlaidStore
) -> None:
    production.write("coin_close/features", pl.DataFrame({"a": [1]}))
    with pytest.raises(TableMissingError):
        overlaid.read("coin_close/features")

    overlaid.write("coin_close/features", pl.DataFrame({"a": [2]}))

    assert production.read("coin_close/features")["a"].to_list() == [1]
    assert overlaid.read("coin_close/features")["a"].to_list() == [2]


def test_a_source_that_was_never_fetched_has_no_table(production: TableStore) -> None:
    assert commits_of(production, [TABLE, "coin_close/raw_index"]) == {TABLE: 0}
