"""Databases of a test's own, for what must hold on each of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from serving.contract.prediction_log import COLUMNS, LATER, TABLE, Kind
from serving.log_database import LogDatabase, Row, _table

if TYPE_CHECKING:
    import sqlalchemy as sa

SERVERS = {
    "postgresql": ("psycopg2", "postgresql+psycopg2://postgres@127.0.0.1:5432", "postgres"),
    "mysql": ("pymysql", "mysql+pymysql://root@127.0.0.1:3306", "test"),
    "mariadb": ("pymysql", "mariadb+pymysql://root@127.0.0.1:3306", "test"),
}
"""Kind -> driver, address and a database that exists."""

KINDS = ("sqlite", *SERVERS)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty database, dropped afterwards; skips where there is no server."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'log.db'}"
        return
    with server_database(kind, "prediction_log") as address:
        yield address


@contextmanager
def server_database(kind: str, prefix: str) -> Iterator[str]:
    """The address of an empty database of a server, dropped afterwards; skips without a server."""
    import sqlalchemy as sa

    driver, server, existing = SERVERS[kind]
    pytest.importorskip(driver, reason=f"{driver} is not installed")
    engine = sa.create_engine(f"{server}/{existing}", isolation_level="AUTOCOMMIT")
    name = f"{prefix}_{uuid.uuid4().hex[:12]}"
    try:
        connection = engine.connect()
    except sa.exc.OperationalError:
        pytest.skip(f"no {kind} server answers at {server}")
    with connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        try:
            yield f"{server}/{name}"
        finally:
            # PostgreSQL refuses while somebody is still connected, unless it is forced.
            force = " WITH (FORCE)" if kind == "postgresql" else ""
            connection.execute(sa.text(f"DROP DATABASE {name}{force}"))
    engine.dispose()


def row(answer_id: str, **changes: object) -> dict[str, Any]:
    """A row with plain values by column, some of them changed."""
    plain = {
        Kind.TEXT: "text",
        Kind.INSTANT: datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC),
        Kind.NUMBER: 0.1,
        Kind.WHOLE: 1,
        Kind.FLAG: True,
    }
    values: dict[str, Any] = {name: plain[kind] for name, kind in COLUMNS.items()}
    return values | {"answer_id": answer_id} | changes


def in_order(*rows: Mapping[str, object]) -> list[Row]:
    """Rows as the log's database takes them."""
    return [tuple(row[name] for name in COLUMNS) for row in rows]


def write(address: str, *rows: Mapping[str, object]) -> None:
    """Write rows as the service does."""
    log = LogDatabase(address)
    log.open()
    log.insert(in_order(*rows))
    log.close()


def log_table() -> sa.Table:
    """The log's table, described anew for a test of its own."""
    import sqlalchemy as sa

    return _table(sa.MetaData())


def table_of_an_earlier_release(address: str) -> sa.Engine:
    """Make the log's table as it was before the columns `LATER`; gives an engine of it."""
    import sqlalchemy as sa

    kept = [column for column in log_table().columns if column.name not in LATER]
    earlier = sa.Table(TABLE, sa.MetaData(), *(column._copy() for column in kept))
    engine = sa.create_engine(address, poolclass=sa.pool.NullPool)
    earlier.create(engine)
    return engine
