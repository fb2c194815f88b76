from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets_tests.serving.logs import KINDS, database, row
from serving.contract.prediction_log import ID, TABLE
from serving.log_database import LogAddressError, LogDatabase, LogUnreachableError


def stored(address: str) -> list[dict[str, object]]:
    """The rows of a log, in the order of their numbers."""
    import sqlalchemy as sa

    engine = sa.create_engine(address, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        query = sa.text(f"SELECT * FROM {TABLE} ORDER BY {ID}")
        return [dict(found) for found in connection.execute(query).mappings()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_is_sent_again_is_written_once(kind: str, tmp_path: Path) -> None:
    with database(kind, tmp_path) as address:
        log = LogDatabase(address)
        log.open()
        log.insert([row("a", series="포카리스웨트/m/20s"), row("b", point=0.3)])
        log.insert([row("b", point=9.9), row("c")])
        log.close()
        rows = stored(address)
    assert [(found["answer_id"], found["point"]) for found in rows] == [
        ("a", 0.1),
        ("b", 0.3),
        ("c", 0.1),
    ]
    assert rows[0]["series"] == "포카리스웨트/m/20s"


def test_numbers_of_rows_grow_even_after_rows_were_removed(tmp_path: Path) -> None:
    import sqlalchemy as sa

    log = LogDatabase(f"sqlite:///{tmp_path / 'log.db'}")
    log.open()
    log.insert([row("a"), row("b")])
    with sa.create_engine(f"sqlite:///{tmp_path / 'log.db'}").begin() as connection:
        connection.execute(sa.text(f"DELETE FROM {TABLE}"))
    log.insert([row("c")])
    assert [found[ID] for found in stored(f"sqlite:///{tmp_path / 'log.db'}")] == [3]


def test_a_server_that_is_down_can_be_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "log.db"
    folder.mkdir()  # where the file should be, so that it cannot be opened
    log = LogDatabase(f"sqlite:///{folder}")
    log.open()
    with pytest.raises(LogUnreachableError, match="unable to open database file"):
        log.insert([row("a")])
    folder.rmdir()
    log.insert([row("a")])
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
