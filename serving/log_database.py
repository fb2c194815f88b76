"""The database of the prediction log: its table, and how rows get in exactly once.

Here: types, indices and the insert of each dialect. Not here: when rows are written and what
happens while they cannot be (`prediction_log`), the columns' meaning (`contract.prediction_log`).
SQLAlchemy is imported when the log is opened, which happens in the writer's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from serving.contract.prediction_log import COLUMNS, ID, NULLABLE, TABLE, Kind

if TYPE_CHECKING:
    import sqlalchemy as sa

Row = dict[str, Any]
"""Column name -> value, for every column of `COLUMNS`."""

_BUSY_SECONDS: Final = 1.0
"""SQLite waits so long for a lock before an attempt counts as failed."""
_LENGTHS: Final = {"answer_id": 32, "problem": 60}
"""MySQL indexes text of a known length only."""


class LogAddressError(ValueError):
    """The address of the log cannot be used; the message names variable, rule and remedy."""


class LogUnreachableError(Exception):
    """The log does not take rows at the moment; trying again may help."""


class LogDatabase:
    """A table of answered forecasts at an SQLAlchemy address."""

    def __init__(self, address: str) -> None:
        """Remember the address; nothing is imported or opened before `open`."""
        self._address = address
        self._engine: sa.Engine | None = None
        self._table: sa.Table | None = None
        self._table_exists = False

    def open(self) -> None:
        """Load the driver of the address; a connection is made with the first rows.

        Raises:
            LogAddressError: the address is none, or its driver is not installed.
        """
        import sqlalchemy as sa

        try:
            url = sa.make_url(self._address)
            if url.get_backend_name() == "sqlite":
                self._engine = _sqlite_engine(url)
            else:
                self._engine = sa.create_engine(url, pool_pre_ping=True)
            _insert_for(self._engine.dialect.name)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise _unusable(f"{type(error).__name__}: {error}") from error
        except ValueError:
            # It quotes what it took for the port, which may be a part of the password.
            raise _unusable("its port is no number") from None
        self._table = _table(sa.MetaData())

    def insert(self, rows: Sequence[Row]) -> None:
        """Write rows, all or none; a row whose `answer_id` is there already is left as it is.

        Raises:
            LogUnreachableError: the database is locked, down or refuses; nothing was written, or
                all was and the answer got lost: send the same rows again.
        """
        from sqlalchemy.exc import SQLAlchemyError

        engine, table = self._engine, self._table
        assert engine is not None
        assert table is not None
        try:
            if not self._table_exists:
                _make_folder(engine)
                table.metadata.create_all(engine)
                self._table_exists = True
            with engine.begin() as connection:
                connection.execute(_insert_for(engine.dialect.name)(table), list(rows))
        except (SQLAlchemyError, OSError) as error:
            # The table, or the whole file, may have been removed: look again next time.
            self._table_exists = False
            raise LogUnreachableError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Give connections back."""
        if self._engine is not None:
            self._engine.dispose()


def _unusable(why: str) -> LogAddressError:
    """The error, without the address: that may hold a password."""
    return LogAddressError(
        f"MLOPS_PREDICTION_LOG_URI cannot be used ({why}); it must be an SQLAlchemy address of "
        "SQLite, PostgreSQL or MySQL whose driver is installed; correct it, or remove it to use "
        "SQLite"
    )


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    """An engine that opens the file for each batch, so that a file that was removed is noticed."""
    import sqlalchemy as sa

    engine = sa.create_engine(
        url, poolclass=sa.pool.NullPool, connect_args={"timeout": _BUSY_SECONDS}
    )

    @sa.event.listens_for(engine, "connect")
    def _readers_do_not_block(connection: Any, _: object) -> None:  # noqa: ANN401 - any driver's
        connection.execute("PRAGMA journal_mode=WAL")

    return engine


def _make_folder(engine: sa.Engine) -> None:
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)


def _table(metadata: sa.MetaData) -> sa.Table:
    import sqlalchemy as sa

    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Table(
        TABLE,
        metadata,
        sa.Column(ID, key, primary_key=True, autoincrement=True),
        *(
            sa.Column(
                name, _type(name, kind), nullable=name in NULLABLE, unique=name == "answer_id"
            )
            for name, kind in COLUMNS.items()
        ),
        sa.Index(f"{TABLE}_by_problem", "problem", ID),
        sqlite_autoincrement=True,
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )


def _type(name: str, kind: Kind) -> sa.types.TypeEngine[Any]:
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    match kind:
        case Kind.TEXT:
            return sa.String(_LENGTHS[name]) if name in _LENGTHS else sa.Text()
        case Kind.INSTANT:
            # MySQL drops fractions of a second unless asked to keep them.
            exact = mysql.DATETIME(fsp=6)
            return sa.DateTime(timezone=True).with_variant(exact, "mysql", "mariadb")
        case Kind.NUMBER:
            return sa.Double()
        case Kind.WHOLE:
            return sa.Integer()
        case Kind.FLAG:
            return sa.Boolean()


def _insert_for(dialect: str) -> Any:  # noqa: ANN401 - each dialect has its own kind of insert
    """Table -> an insert that leaves rows with a known `answer_id` alone.

    Raises:
        ArgumentError: there is no such insert for the dialect.
    """
    from sqlalchemy.dialects import mysql, postgresql, sqlite
    from sqlalchemy.exc import ArgumentError

    if dialect == "sqlite":
        return lambda table: sqlite.insert(table).on_conflict_do_nothing(
            index_elements=["answer_id"]
        )
    if dialect == "postgresql":
        return lambda table: postgresql.insert(table).on_conflict_do_nothing(
            index_elements=["answer_id"]
        )
    if dialect in {"mysql", "mariadb"}:
        # INSERT IGNORE would also let through rows that the server had to cut.
        return lambda table: mysql.insert(table).on_duplicate_key_update(
            answer_id=table.c.answer_id
        )
    raise ArgumentError(f"dialect {dialect} is not supported")
