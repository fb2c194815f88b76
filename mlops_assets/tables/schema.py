"""What a stored table looks like: its columns with type, unit and credible range.

Here: the description and the two judgements it allows (does a frame fit, which rows do not).
Not here: any particular table (its own module) and how Dagster shows it (`storage.io_manager`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import pandera.polars as pa

UTC_MICROSECONDS = pl.Datetime("us", "UTC")
"""Every stored instant: aware, UTC, microseconds."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a stored table.

    `low` and `high` bound what any source could credibly deliver, both ends allowed.
    """

    name: str
    dtype: pl.DataType | type[pl.DataType]
    description: str
    unit: str = ""
    nullable: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """A stored table: its columns in order, and the columns that identify a row."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in stored order."""
        return tuple(column.name for column in self.columns)

    @property
    def dtypes(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """The type of each column, in stored order."""
        return {column.name: column.dtype for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return pl.DataFrame(schema=self.dtypes)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The table's columns of `frame`, in stored order and with the stored types."""
        return frame.select(pl.col(name).cast(dtype) for name, dtype in self.dtypes.items())

    def pandera(self) -> pa.DataFrameSchema:
        """The same description as a pandera schema (strict: no further columns)."""
        import pandera.polars as pa  # 0.8 s, and only checks need it

        columns = {
            column.name: pa.Column(
                column.dtype, nullable=column.nullable, checks=_range_checks(column)
            )
            for column in self.columns
        }
        return pa.DataFrameSchema(columns, name=self.name, strict=True)

    def violations(self, frame: pl.DataFrame) -> list[str]:
        """Where `frame` departs from this schema, one sentence each; empty when it fits."""
        from pandera.errors import SchemaErrors

        try:
            self.pandera().validate(frame, lazy=True)
        except SchemaErrors as error:
            return [_describe(self, case) for case in error.failure_cases.iter_rows(named=True)]
        return []


def with_columns_after(
    schema: TableSchema, *, name: str, grain: str, columns: Sequence[Column], key: tuple[str, ...]
) -> TableSchema:
    """A schema that has the columns of `schema` and then `columns`."""
    return TableSchema(name=name, grain=grain, columns=(*schema.columns, *columns), key=key)


def _range_checks(column: Column) -> list[pa.Check]:
    import pandera.polars as pa

    checks = []
    if column.low is not None:
        checks.append(pa.Check.ge(column.low))
    if column.high is not None:
        checks.append(pa.Check.le(column.high))
    return checks


def _describe(schema: TableSchema, case: dict[str, object]) -> str:
    """One line of pandera's failure cases: value and rule."""
    column = case.get("column") or schema.name
    return f"{column}: {case.get('failure_case')!r} breaks {case.get('check')}"
