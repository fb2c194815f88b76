from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.serving.logs import (
    KINDS,
    database,
    in_order,
    log_table,
    row,
    table_of_an_earlier_release,
    write,
)
from mlops_assets_tests.serving.running import until
from serving.contract.prediction_log import COLUMNS, ID, LATER, TABLE
from serving.log_database import LogAddressError, LogDatabase, LogUnreachableError, Row


def stored(address: str, *, types: bool = False) -> list[dict[str, object]]:
    """The rows of a log, in the order of their numbers; if asked, with the types in an SQLite."""
    import sqlalchemy as sa

    engine = sa.create_engine(address, poolclass=sa.pool.NullPool)
    extra = [f"typeof({name}) AS type_of_{name}" for name in COLUMNS] if types else []
    with engine.connect() as connection:
        query = sa.text(f"SELECT {', '.join(['*', *extra])} FROM {TABLE} ORDER BY {ID}")
        return [dict(found) for found in connection.execute(query).mappings()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_is_sent_again_is_written_once(kind: str, tmp_path: Path) -> None:
    with database(kind, tmp_path) as address:
        log = LogDatabase(address)
        log.open()
        log.insert(in_order(row("a", series="포카리스웨트/m/20s"), row("b", point=0.3)))
        log.insert(in_order(row("b", point=9.9), row("c")))
        log.close()
        rows = stored(address)
    assert [(found["answer_id"], found["point"]) for found in rows] == [
        ("a", 0.1),
        ("b", 0.3),
        ("c", 0.1),
    ]
    assert rows[0]["series"] == "포카리스웨트/m/20s"


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_several_statements_is_written_whole(kind: str, tmp_path: Path) -> None:
    batch = [row(f"{number:04d}", point=number / 7, step=number) for number in range(601)]
    with database(kind, tmp_path) as address:
        write(address, *batch)
        rows = stored(address)
    assert [(found["answer_id"], found["point"], found["step"]) for found in rows] == [
        (one["answer_id"], one["point"], one["step"]) for one in batch
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_stored_as_an_ordinary_insert_would_store_them(
    kind: str, tmp_path: Path
) -> None:
    import sqlalchemy as sa

    origin = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    cases: list[dict[str, Any]] = [
        {"origin": origin, "valid_time": None, "stale": False, "point": 0.1 + 0.2},
        {"origin": None, "step": None, "series": None, "returned": None, "point": -1e-300},
    ]
    with database(kind, tmp_path) as address:
        write(address, *(row(f"ours {n}", **case) for n, case in enumerate(cases)))
        engine = sa.create_engine(address, poolclass=sa.pool.NullPool)
        table = sa.Table(TABLE, sa.MetaData(), *(c._copy() for c in log_table().columns))
        with engine.begin() as connection:
            connection.execute(
                sa.insert(table), [row(f"theirs {n}", **case) for n, case in enumerate(cases)]
            )
        rows = stored(address, types=kind == "sqlite")
    for found in rows:
        del found[ID], found["answer_id"]
    assert rows[:2] == rows[2:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_of_an_earlier_release_gets_the_columns_that_it_lacks(
    kind: str, tmp_path: Path
) -> None:
    import sqlalchemy as sa

    with database(kind, tmp_path) as address:
        engine = table_of_an_earlier_release(address)
        earlier = {name: value for name, value in row("a").items() if name not in LATER}
        with engine.begin() as connection:
            names, marks = ", ".join(earlier), ", ".join(f":{name}" for name in earlier)
            connection.execute(sa.text(f"INSERT INTO {TABLE} ({names}) VALUES ({marks})"), earlier)
        write(address, row("b", caller="ada", returned=False))
        write(address, row("c", caller="", returned=True))
        rows = stored(address)
    assert [(found["answer_id"], found["caller"], found["returned"]) for found in rows] == [
        ("a", None, None),
        ("b", "ada", False),
        ("c", "", True),
    ]


def write_at_once(address: str, name: str, gate: Barrier) -> None:
    """One process of several that find a log of an earlier release and fill it."""
    log = LogDatabase(address)
    log.open()
    gate.wait()
    for batch in range(4):
        rows = in_order(*(row(f"{name} {batch} {place}") for place in range(500)))
        until(partial(is_inserted, log, rows), what="the log takes the rows")
    log.close()


def is_inserted(log: LogDatabase, rows: Sequence[Row]) -> bool:
    """Try once to insert rows; False while the other process holds the database."""
    try:
        log.insert(rows)
    except LogUnreachableError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_that_change_and_fill_one_log_write_each_row_once(
    kind: str, tmp_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    gate = spawn.Barrier(2)
    with database(kind, tmp_path) as address:
        table_of_an_earlier_release(address)
        writers = [spawn.Process(target=write_at_once, args=(address, name, gate)) for name in "ab"]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        rows = stored(address)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert sorted(str(found["answer_id"]) for found in rows) == sorted(
        f"{name} {batch} {place}" for name in "ab" for batch in range(4) for place in range(500)
    )
    assert {found["returned"] for found in rows} == {True}


def test_numbers_of_rows_grow_even_after_rows_were_removed(tmp_path: Path) -> None:
    import sqlalchemy as sa

    log = LogDatabase(f"sqlite:///{tmp_path / 'log.db'}")
    log.open()
    log.insert(in_order(row("a"), row("b")))
    with sa.create_engine(f"sqlite:///{tmp_path / 'log.db'}").begin() as connection:
        connection.execute(sa.text(f"DELETE FROM {TABLE}"))
    log.insert(in_order(row("c")))
    assert [found[ID] for found in stored(f"sqlite:///{tmp_path / 'log.db'}")] == [3]


def test_a_server_that_is_down_can_be_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "log.db"
    folder.mkdir()  # where the file should be, so that it cannot be opened
    log = LogDatabase(f"sqlite:///{folder}")
    log.open()
    with pytest.raises(LogUnreachableError, match="unable to open database file"):
        log.insert(in_order(row("a")))
    folder.rmdir()
    log.insert(in_order(row("a")))
    assert len(stored(f"sqlite:///{folder}")) == 1


@pytest.mark.parametrize(
    "address",
    [
        "nothing",
        "oracle+nodriver://user:secret@127.0.0.1/log",
        "postgresql://user:pass@127.0.0.1:secret/log",
    ],
)
def test_an_address_without_a_usable_driver_is_refused_by_its_variable(address: str) -> None:
    with pytest.raises(LogAddressError, match="MLOPS_PREDICTION_LOG_URI cannot be used") as caught:
        LogDatabase(address).open()
    assert "secret" not in str(caught.value)
