"""Databases of a test's own, for what must hold on each of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.contract.prediction_log import COLUMNS, Kind
from serving.log_database import Row

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
    import sqlalchemy as sa

    driver, server, existing = SERVERS[kind]
    pytest.importorskip(driver, reason=f"{driver} is not installed")
    engine = sa.create_engine(f"{server}/{existing}", isolation_level="AUTOCOMMIT")
    name = f"prediction_log_{uuid.uuid4().hex[:12]}"
    try:
        connection = engine.connect()
    except sa.exc.OperationalError:
        pytest.skip(f"no {kind} server answers at {server}")
    with connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        try:
            yield f"{server}/{name}"
        finally:
            connection.execute(sa.text(f"DROP DATABASE {name}"))
    engine.dispose()


def row(answer_id: str, **changes: object) -> Row:
    """A row with plain values, some of them changed."""
    from datetime import UTC, datetime

    plain = {
        Kind.TEXT: "text",
        Kind.INSTANT: datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC),
        Kind.NUMBER: 0.1,
        Kind.WHOLE: 1,
        Kind.FLAG: True,
    }
    values: Row = {name: plain[kind] for name, kind in COLUMNS.items()}
    return values | {"answer_id": answer_id} | changes
