"""Rows of the service's prediction log, read from its database.

Here: which rows, in which types, and what a database that does not answer means. Not here: where
they are kept (`collecting`) and the columns' meaning (`serving.contract.prediction_log`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from serving.contract.prediction_log import COLUMNS, ID, TABLE, Kind

if TYPE_CHECKING:
    import sqlalchemy as sa

_DTYPES: Final[dict[Kind, pl.DataType | type[pl.DataType]]] = {
    Kind.TEXT: pl.String,
    Kind.INSTANT: pl.Datetime("us", "UTC"),
    Kind.NUMBER: pl.Float64,
    Kind.WHOLE: pl.Int64,
    Kind.FLAG: pl.Boolean,
}

SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    ID: pl.Int64,
    **{name: _DTYPES[kind] for name, kind in COLUMNS.items()},
}
"""Rows as they are read: the log's number of the row, then the contract's columns; those of
`contract.prediction_log.LATER` are null in rows that an earlier release wrote."""


class PredictionLogError(RuntimeError):
    """The prediction log cannot be read; the message names address, rule and remedy."""


@dataclass(frozen=True, kw_only=True)
class LogReader:
    """The rows of one problem in the log at an SQLAlchemy address.

    `model_name` is the name in the registry, which tells data modes apart that share a database.
    `busy_seconds` is how long a locked SQLite file is waited for.
    """

    address: str
    problem: str
    model_name: str
    busy_seconds: float = 10.0

    def exists(self) -> bool:
        """Whether anything was ever logged there.

        Raises:
            PredictionLogError: the database does not answer.
        """
        import sqlalchemy as sa

        with self._connected() as connection:
            return connection is not None and sa.inspect(connection).has_table(TABLE)

    def page(self, *, after: int, limit: int) -> pl.DataFrame:
        """Rows numbered above `after`, at most `limit`, ascending; schema `SCHEMA`.

        A column that the log lacks, since an earlier release made it, is null.

        Raises:
            PredictionLogError: the database does not answer.
        """
        import sqlalchemy as sa

        table = _table()
        with self._connected() as connection:
            if connection is None:
                return _frame([])
            stored = {column["name"] for column in sa.inspect(connection).get_columns(TABLE)}
            query = (
                sa.select(*(c if c.name in stored else _null(c) for c in table.columns))
                .where(
                    table.c.problem == self.problem,
                    table.c.model_name == self.model_name,
                    table.c[ID] > after,
                )
                .order_by(table.c[ID])
                .limit(limit)
            )
            return _frame(connection.execute(query).all())

    def answer_at(self, number: int) -> str | None:
        """The `answer_id` of the row with this number; None when there is none.

        Raises:
            PredictionLogError: the database does not answer.
        """
        import sqlalchemy as sa

        table = _table()
        query = sa.select(table.c.answer_id).where(table.c[ID] == number)
        with self._connected() as connection:
            found = None if connection is None else connection.execute(query).scalar()
        return None if found is None else str(found)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection | None]:
        """A connection, or None where the file of an SQLite log does not exist."""
        import sqlalchemy as sa

        url = _url(self.address)
        try:
            sqlite = url.get_backend_name() == "sqlite"
            if sqlite and not Path(url.database or "").exists():
                yield None
                return
            engine = sa.create_engine(
                url,
                poolclass=sa.pool.NullPool,
                connect_args={"timeout": self.busy_seconds} if sqlite else {},
            )
            with engine.connect() as connection:
                yield connection
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise PredictionLogError(_message(url, error)) from error


def _url(address: str) -> sa.URL:
    import sqlalchemy as sa

    try:
        return sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError):
        # Neither the address nor its error is repeated: both may hold a password.
        raise PredictionLogError(
            "MLOPS_PREDICTION_LOG_URI is not an address; it must be an SQLAlchemy address such as "
            "postgresql+psycopg2://user:password@host:5432/database; correct it, or remove it to "
            "use SQLite"
        ) from None


def _message(url: sa.URL, error: Exception) -> str:
    """What is wrong, without the password that an address may hold."""
    shown = url.render_as_string(hide_password=True)
    cause = str(getattr(error, "orig", None) or error)
    return (
        f"the prediction log at {shown} cannot be read ({type(error).__name__}: {cause}); its "
        "database must be up and unlocked; run again then, or correct MLOPS_PREDICTION_LOG_URI"
    )


def _table() -> sa.TableClause:
    import sqlalchemy as sa

    kinds: dict[Kind, type[sa.types.TypeEngine[Any]]] = {
        Kind.TEXT: sa.Text,
        Kind.INSTANT: sa.DateTime,
        Kind.NUMBER: sa.Double,
        Kind.WHOLE: sa.Integer,
        Kind.FLAG: sa.Boolean,
    }
    columns = [sa.column(name, kinds[kind]) for name, kind in COLUMNS.items()]
    return sa.table(TABLE, sa.column(ID, sa.BigInteger), *columns)


def _null(column: sa.ColumnClause[Any]) -> sa.ColumnElement[Any]:
    import sqlalchemy as sa

    return sa.null().label(column.name)


def _frame(rows: Sequence[sa.Row[Any]]) -> pl.DataFrame:
    values = [[_utc(value) for value in row] for row in rows]
    return pl.DataFrame(values, schema=SCHEMA, orient="row")


def _utc(value: object) -> object:
    """An instant with its zone: databases without zones hold UTC, others give their own."""
    if not isinstance(value, datetime):
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
