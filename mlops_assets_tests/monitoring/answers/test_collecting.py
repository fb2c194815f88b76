from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets.monitoring.answers.collecting import Collected, collect_answers
from mlops_assets.monitoring.answers.reading import SCHEMA, LogReader, PredictionLogError
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.serving.logs import KINDS, database, row, table_of_an_earlier_release, write
from serving.contract.prediction_log import LATER
from serving.contract.prediction_log import TABLE as LOG

TABLE = "water/prediction_log"
NOON = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC)


def answered(answer_id: str, **changes: object) -> dict[str, Any]:
    """A row of the problem `water` in the sample data."""
    return row(answer_id, problem="water", model_name="sample.water", **changes)


def log(address: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as the service does."""
    write(address, *rows)


def log_as_earlier(address: str, values: Mapping[str, object]) -> None:
    """Write a row into a log that lacks the columns `LATER`."""
    import sqlalchemy as sa

    earlier = {name: value for name, value in values.items() if name not in LATER}
    marks = ", ".join(f":{name}" for name in earlier)
    insert = sa.text(f"INSERT INTO {LOG} ({', '.join(earlier)}) VALUES ({marks})")
    with table_of_an_earlier_release(address).begin() as connection:
        connection.execute(insert, earlier)


def collect(address: str, store: TableStore, *, page_rows: int = 100) -> Collected:
    """Collect the answers of `water`."""
    reader = LogReader(
        address=address, problem="water", model_name="sample.water", busy_seconds=0.05
    )
    return collect_answers(reader, store, TABLE, page_rows=page_rows)


def collected_ids(store: TableStore) -> list[str]:
    """The answers in the table, by their numbers."""
    return store.read_delta(TABLE).sort("id")["answer_id"].to_list()


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path / "storage"))


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'log.db'}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_comes_back_as_it_was_written(kind: str, tmp_path: Path, store: TableStore) -> None:
    with database(kind, tmp_path) as address:
        log(address, [answered("a", series=None, step=None, stale=False, point=1e-300)])
        collected = collect(address, store)
    (found,) = store.read_delta(TABLE).drop("id", "month").rows(named=True)
    expected = answered("a", series=None, step=None, stale=False, point=1e-300)
    assert found == expected
    assert found["answered_at"].utcoffset() == timedelta(0)
    assert store.read_delta(TABLE).drop("month").schema == SCHEMA
    assert collected.newest_answered_at == NOON


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_of_an_earlier_release_is_read_without_the_columns_it_lacks(
    kind: str, tmp_path: Path, store: TableStore
) -> None:
    with database(kind, tmp_path) as address:
        log_as_earlier(address, answered("a"))
        collect(address, store)
    (found,) = store.read_delta(TABLE).rows(named=True)
    assert (found["answer_id"], found["caller"], found["returned"]) == ("a", None, None)


def test_a_table_of_an_earlier_release_takes_rows_of_this_one(
    address: str, store: TableStore
) -> None:
    log_as_earlier(address, answered("a"))
    collect(address, store)
    kept = store.read_delta(TABLE).drop(list(LATER))
    other = TableStore(f"{store.root}-earlier")
    other.merge(TABLE, kept, keys=("answer_id",), partition_by="month")
    log(address, [answered("b", caller="ada", returned=False)])
    assert collect(address, other).inserted == 1
    rows = other.read_delta(TABLE).sort("id").select("answer_id", "caller", "returned").rows()
    assert rows == [("a", None, None), ("b", "ada", False)]


def test_each_reading_brings_what_is_new_and_nothing_twice(address: str, store: TableStore) -> None:
    log(address, [answered("a"), answered("b")])
    first = collect(address, store)
    log(address, [answered("c")])
    second = collect(address, store)
    third = collect(address, store)
    assert (first.inserted, second.inserted, third.inserted) == (2, 1, 0)
    assert collected_ids(store) == ["a", "b", "c"]


def test_a_log_longer_than_a_page_is_read_to_its_end(address: str, store: TableStore) -> None:
    log(address, [answered(f"{number}") for number in range(7)])
    assert collect(address, store, page_rows=3).inserted == 7
    assert collected_ids(store) == ["0", "1", "2", "3", "4", "5", "6"]


def test_other_problems_and_other_data_modes_are_left_out(address: str, store: TableStore) -> None:
    other = row("b", problem="juice", model_name="sample.juice")
    live = row("c", problem="water", model_name="live.water")
    log(address, [answered("a"), other, live])
    collect(address, store)
    assert collected_ids(store) == ["a"]


def test_a_row_that_was_committed_late_below_a_number_already_read_is_found(
    address: str, tmp_path: Path, store: TableStore
) -> None:
    log(address, [answered("first"), answered("late"), answered("last")])
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT * FROM prediction_log WHERE id = 2")
        connection.execute("DELETE FROM prediction_log WHERE id = 2")
        connection.commit()
        collect(address, store)
        connection.execute("INSERT INTO prediction_log SELECT * FROM kept")
        connection.commit()
    assert collect(address, store).inserted == 1
    assert collected_ids(store) == ["first", "late", "last"]


def test_a_log_that_was_begun_again_is_read_from_its_start(
    address: str, tmp_path: Path, store: TableStore
) -> None:
    log(address, [answered(f"old {number}") for number in range(3)])
    collect(address, store)
    (tmp_path / "log.db").unlink()
    log(address, [answered(f"new {number}") for number in range(4)])
    assert collect(address, store).inserted == 4
    assert len(collected_ids(store)) == 7


def test_answers_of_two_months_lie_in_two_partitions(address: str, store: TableStore) -> None:
    tokyo = timezone(timedelta(hours=9))
    log(address, [answered("a"), answered("b", answered_at=datetime(2026, 3, 31, 23, tzinfo=UTC))])
    log(address, [answered("c", answered_at=datetime(2026, 4, 1, 9, tzinfo=tokyo).astimezone(UTC))])
    collect(address, store)
    months = store.read_delta(TABLE).sort("id")["month"].to_list()
    assert months == ["2026-03", "2026-03", "2026-04"]


def test_a_log_that_does_not_exist_brings_no_row_and_is_not_created(
    address: str, tmp_path: Path, store: TableStore
) -> None:
    assert collect(address, store) == Collected(
        log_exists=False, inserted=0, repeated=0, newest_answered_at=None
    )
    assert store.read_delta(TABLE).is_empty()
    assert not (tmp_path / "log.db").exists()


def test_a_database_without_the_table_brings_no_row(
    address: str, tmp_path: Path, store: TableStore
) -> None:
    sqlite3.connect(tmp_path / "log.db").close()
    assert not collect(address, store).log_exists


def test_a_locked_log_is_an_error_that_says_what_to_do(
    address: str, tmp_path: Path, store: TableStore
) -> None:
    log(address, [answered("a")])
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        # Without a write-ahead log, a writer locks readers out.
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(PredictionLogError, match=r"log\.db cannot be read.*database is locked"):
            collect(address, store)
    assert collect(address, store).inserted == 1


@pytest.mark.parametrize(
    "address",
    [
        "secret",
        "nodialect://user:secret@127.0.0.1/log",
        "postgresql://user:pass@127.0.0.1:secret/log",
    ],
)
def test_the_error_of_an_unusable_address_shows_no_password(
    store: TableStore, address: str
) -> None:
    with pytest.raises(PredictionLogError, match="MLOPS_PREDICTION_LOG_URI") as caught:
        collect(address, store)
    assert "secret" not in str(caught.value)


def test_collected_columns_are_typed_even_without_rows(address: str, store: TableStore) -> None:
    collect(address, store)
    assert store.read_delta(TABLE).schema["answered_at"] == pl.Datetime("us", "UTC")
