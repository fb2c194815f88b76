"""New rows of the prediction log, added to the stored table once each.

Here: from where to read on, and the table that grows. Not here: the database (`reading`) and
Dagster's part (`assets`).

The table is Delta, by the month of the answer. How far the log was read is kept beside it, and is
written after the rows: a crash in between reads them again, and `answer_id` keeps them single.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from mlops_assets.monitoring.answers.reading import SCHEMA, LogReader
from mlops_assets.storage.tables import MergeCounts, TableStore
from serving.contract.prediction_log import ID

OVERLAP_ROWS: Final = 10_000
"""So many numbers below the last one are read again: with several services writing to one log, a
row can be committed after another with a higher number was read."""

PAGE_ROWS: Final = 100_000
"""Rows that are held in memory at a time."""

_PARTITION: Final = "month"
_STORED: Final = {**SCHEMA, _PARTITION: pl.String()}


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What one reading brought.

    `repeated` are rows that were in the table already; `newest_answered_at` is of the row with the
    highest number, None when none was read.
    """

    log_exists: bool
    inserted: int
    repeated: int
    newest_answered_at: datetime | None


def collect_answers(
    reader: LogReader, store: TableStore, table: str, *, page_rows: int = PAGE_ROWS
) -> Collected:
    """Add what the log holds beyond the last reading; a log that does not exist brings nothing.

    Args:
        reader: of the problem's rows.
        store: where the table is.
        table: a Delta table, grain (answer_id): `reading.SCHEMA` with `month`.
        page_rows: rows that are held in memory at a time.

    Raises:
        PredictionLogError: the log's database does not answer.
    """
    if store.exists(table):
        # An earlier release's table lacks columns.
        store.add_columns(table, pl.Schema(_STORED), partition_by=_PARTITION)
    else:
        _merge(store, table, pl.DataFrame(schema=SCHEMA))
    exists = reader.exists()
    inserted = repeated = 0
    newest: datetime | None = None
    for page in _pages(reader, _start(reader, store, table), page_rows) if exists else ():
        counts = _merge(store, table, page)
        store.write(_mark(table), page.select(ID, "answer_id").tail(1))
        inserted, repeated = inserted + counts.inserted, repeated + counts.unchanged
        newest = page["answered_at"][-1]
    return Collected(
        log_exists=exists, inserted=inserted, repeated=repeated, newest_answered_at=newest
    )


def _pages(reader: LogReader, after: int, page_rows: int) -> Iterator[pl.DataFrame]:
    """The rows numbered above `after`, none of the pages empty."""
    while not (page := reader.page(after=after, limit=page_rows)).is_empty():
        yield page
        after = page[ID][-1]


def _merge(store: TableStore, table: str, page: pl.DataFrame) -> MergeCounts:
    return store.merge(
        table,
        page.with_columns(pl.col("answered_at").dt.strftime("%Y-%m").alias(_PARTITION)),
        keys=("answer_id",),
        partition_by=_PARTITION,
        bookkeeping=(ID,),
    )


def _start(reader: LogReader, store: TableStore, table: str) -> int:
    """The number to read on from; 0 where the log is not the one that was read before."""
    if not store.exists(_mark(table)):
        return 0
    number, answer_id = store.read(_mark(table)).row(0)
    if reader.answer_at(number) != answer_id:
        return 0
    return max(int(number) - OVERLAP_ROWS, 0)


def _mark(table: str) -> str:
    return f"{table}_watermark"
