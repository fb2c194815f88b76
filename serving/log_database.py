"""The database of the prediction log: its table, and how rows get in exactly once.

Here: types, indices, the insert of each dialect, and columns that an earlier release's log lacks.
Not here: when rows are written and what happens while they cannot be (`prediction_log`), the
columns' meaning (`contract.prediction_log`). SQLAlchemy is imported when the log is opened, which
happens in the writer's thread.

**Rows go in as pages of tuples**, one statement a page. Values are converted by SQLAlchemy's own
types, so each dialect stores what an ordinary insert would store, and each distinct value of a
column once a page, since the rows of an answer share most of theirs. A driver works on one long
statement without Python's global lock; a statement for each row would take and give the lock each
time, while requests wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from serving.contract.prediction_log import COLUMNS, ID, NULLABLE, TABLE, Kind

if TYPE_CHECKING:
    import sqlalchemy as sa

Row = tuple[object, ...]
"""Values in the order of `COLUMNS`."""

_Convert = Callable[[Any], Any]

_PAGE_ROWS: Final = (256, 64, 16, 4, 1)
"""Rows of one statement. A few sizes, since a driver prepares each text once and keeps it; 256 x 24
values are below every database's limit (SQLite: 32,766)."""
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
        self._insert: _Insert | None = None
        self._table: sa.Table | None = None
        self._table_fits = False
        self._file: tuple[int, int] | None = None

    def open(self) -> None:
        """Load the driver of the address; a connection is made with the first rows.

        Raises:
            LogAddressError: the address is none, or its driver is not installed.
        """
        import sqlalchemy as sa

        table = _table(sa.MetaData())
        try:
            url = sa.make_url(self._address)
            if url.get_backend_name() == "sqlite":
                self._engine = _sqlite_engine(url)
            else:
                self._engine = sa.create_engine(url, pool_pre_ping=True, paramstyle="format")
            self._insert = _Insert(table, self._engine.dialect)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise _unusable(f"{type(error).__name__}: {error}") from error
        except ValueError:
            # It quotes what it took for the port, which may be a part of the password.
            raise _unusable("its port is no number") from None
        self._table = table

    def insert(self, rows: Sequence[Row]) -> None:
        """Write rows, all or none; a row whose `answer_id` is there already is left as it is.

        Raises:
            LogUnreachableError: the database is locked, down or refuses; nothing was written, or
                all was and the answer got lost: send the same rows again.
        """
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        engine, table, statement = self._engine, self._table, self._insert
        assert engine is not None
        assert table is not None
        assert statement is not None
        try:
            self._leave_a_removed_file(engine)
            if not self._table_fits:
                _make_folder(engine)
                _make_table(engine, table)
                self._table_fits = True
                self._file = _file_of(engine)
            with engine.begin() as connection:
                for text, values in statement.pages(rows):
                    connection.exec_driver_sql(text, values)
        except (SQLAlchemyError, OSError) as error:
            # The table, or the whole file, may have been removed: look again next time.
            self._table_fits = False
            # The driver's error: SQLAlchemy's repeats the statement, which is long.
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            raise LogUnreachableError(f"{type(cause).__name__}: {cause}") from cause

    def _leave_a_removed_file(self, engine: sa.Engine) -> None:
        """Close SQLite's file when another, or none, is in its place; rows would go nowhere."""
        if self._table_fits and _file_of(engine) != self._file:
            engine.dispose()
            self._table_fits = False

    def close(self) -> None:
        """Give connections back."""
        if self._engine is not None:
            self._engine.dispose()


class _Insert:
    """The insert of a dialect, compiled once, for any number of rows."""

    def __init__(self, table: sa.Table, dialect: sa.Dialect) -> None:
        # "Inline", since nobody asks for the numbers that the rows get.
        insert = _insert_for(dialect.name)(table).inline()
        compiled = insert.compile(dialect=dialect, column_keys=list(COLUMNS))
        mark = "%s" if dialect.paramstyle == "format" else "?"
        group = f"({', '.join([mark] * len(COLUMNS))})"
        self._head, found, self._tail = str(compiled).partition(group)
        assert found, f"pages repeat the list of {len(COLUMNS)} values, absent in: {compiled}"
        self._group = group
        self._converts: tuple[_Convert | None, ...] = tuple(
            None
            if kind is Kind.NUMBER  # floats are stored as they are by every database
            else table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
            for name, kind in COLUMNS.items()
        )

    def pages(self, rows: Sequence[Row]) -> Iterator[tuple[str, tuple[object, ...]]]:
        """Statements of the sizes in `_PAGE_ROWS`, each with its values in a line."""
        start = 0
        for size in _PAGE_ROWS:
            text = f"{self._head}{', '.join([self._group] * size)}{self._tail}"
            while len(rows) - start >= size:
                yield text, self._stored(rows[start : start + size])
                start += size

    def _stored(self, page: Sequence[Row]) -> tuple[object, ...]:
        """The values of a page, row by row, as the driver takes them."""
        width = len(self._converts)
        values = [value for row in page for value in row]
        for position, convert in enumerate(self._converts):
            if convert is not None:
                column = values[position::width]
                stored = {value: convert(value) for value in set(column)}
                values[position::width] = [stored[value] for value in column]
        return tuple(values)


def _unusable(why: str) -> LogAddressError:
    """The error, without the address: that may hold a password."""
    return LogAddressError(
        f"MLOPS_PREDICTION_LOG_URI cannot be used ({why}); it must be an SQLAlchemy address of "
        "SQLite, PostgreSQL or MySQL whose driver is installed; correct it, or remove it to use "
        "SQLite"
    )


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    """An engine with one connection that stays open, and whose commits wait for no disk.

    Opening and closing the file for each batch would write its journal back and wait for the disk
    each time. A machine that goes dark loses the newest batches, as it loses those in the queue; a
    process that dies loses none that was committed.
    """
    import sqlalchemy as sa

    engine = sa.create_engine(
        url,
        poolclass=sa.pool.QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def _readers_do_not_block(connection: Any, _: object) -> None:  # noqa: ANN401 - any driver's
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _file_of(engine: sa.Engine) -> tuple[int, int] | None:
    """Which file SQLite's path leads to, as device and number; None for no file, or a server."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    try:
        found = Path(engine.url.database).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _make_folder(engine: sa.Engine) -> None:
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)


def _make_table(engine: sa.Engine, table: sa.Table) -> None:
    """Create the table or add what it lacks; another process may do the same at the same time."""
    import sqlalchemy as sa

    try:
        table.metadata.create_all(engine)
    except sa.exc.DBAPIError:
        if not sa.inspect(engine).has_table(TABLE):
            raise
    stored = _stored_columns(engine)
    for column in table.columns:
        if column.name in stored:
            continue
        told = sa.schema.CreateColumn(column).compile(dialect=engine.dialect)
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(f"ALTER TABLE {TABLE} ADD COLUMN {told}")
        except sa.exc.DBAPIError:
            if column.name not in _stored_columns(engine):
                raise


def _stored_columns(engine: sa.Engine) -> set[str]:
    import sqlalchemy as sa

    return {column["name"] for column in sa.inspect(engine).get_columns(TABLE)}


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
