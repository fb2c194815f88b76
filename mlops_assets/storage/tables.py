"""Named tables below one root: Parquet for what is rebuilt, Delta for what only grows.

Here: writing and reading tables and single files. Not here: their schemas (`tables`), which rows
are a new version (`ingestion.versions`), and Dagster's view of them (`storage.io_manager`).

A name such as `bitcoin_close/raw_btc` is `<root>/bitcoin_close/raw_btc.parquet` (Parquet) or the
folder `<root>/bitcoin_close/raw_btc` (Delta).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from mlops_assets.storage.files import FileStore

if TYPE_CHECKING:
    import deltalake

VERSION_DIGITS: Final = 12
"""Hex digits of a content hash that are kept as data version."""


class TableMissingError(LookupError):
    """A table that is read has never been written."""


class KeyConflictError(ValueError):
    """A key that is stored was offered again with other values."""


@dataclass(frozen=True)
class MergeCounts:
    """What a merge did: rows that were new, and rows that were there already."""

    inserted: int
    unchanged: int


class TableStore:
    """The tables and files below `root`, a folder or an `s3://` address."""

    def __init__(self, root: str) -> None:
        self.files = FileStore(root)

    @property
    def root(self) -> str:
        """The folder or address, without a final slash."""
        return self.files.root

    def write(self, table: str, frame: pl.DataFrame) -> None:
        """Create or replace a Parquet table in one step."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        self.files.write(_parquet(table), buffer.getvalue())

    def read(self, table: str) -> pl.DataFrame:
        """The rows of a Parquet table.

        Raises:
            TableMissingError: it has never been written.
        """
        if not self.files.exists(_parquet(table)):
            raise self._missing(table)
        return pl.read_parquet(io.BytesIO(self.files.read(_parquet(table))))

    def exists(self, table: str) -> bool:
        """Whether the table has been written, as Parquet or as Delta."""
        return self.files.exists(_parquet(table)) or self._is_delta(table)

    def merge(
        self,
        table: str,
        frame: pl.DataFrame,
        *,
        keys: Sequence[str],
        partition_by: str,
        bookkeeping: Sequence[str] = (),
    ) -> MergeCounts:
        """Append the rows whose key is not stored yet; nothing stored is ever changed.

        Only the partitions that `frame` touches are read. Delta commits the new files in one step,
        so a crash leaves the table as it was. Offering the same rows again changes nothing.

        Args:
            table: name of a Delta table; created when missing.
            frame: rows to add, unique in `keys`.
            keys: columns that identify a row.
            partition_by: the column by which files are divided.
            bookkeeping: columns about the delivery (such as its time), not compared.

        Raises:
            KeyConflictError: a key is offered twice, or stored already with other values.
        """
        _refuse_repeated_keys(table, frame, keys)
        stored = self.stored_rows(table, frame, partition_by=partition_by)
        known = frame.join(stored, on=list(keys), how="semi")
        compared = [column for column in frame.columns if column not in bookkeeping]
        changed = known.join(stored, on=compared, how="anti", nulls_equal=True)
        if not changed.is_empty():
            raise KeyConflictError(
                f"{table}: {len(changed)} rows have a stored key and other values (first: "
                f"{changed.select(keys).row(0)}); a stored row is never overwritten; "
                "give the new version a key of its own"
            )
        new = frame.join(known, on=list(keys), how="anti", maintain_order="left")
        if not new.is_empty() or not self._is_delta(table):
            self._append(table, new, partition_by)
        return MergeCounts(inserted=len(new), unchanged=len(known))

    def stored_rows(self, table: str, frame: pl.DataFrame, *, partition_by: str) -> pl.DataFrame:
        """The rows of a Delta table in the partitions that `frame` touches; none when missing."""
        if not self._is_delta(table):
            return frame.clear()
        touched = frame[partition_by].unique().sort().to_list()
        return self.read_delta(table, partitions=touched, partition_by=partition_by)

    def read_delta(
        self, table: str, *, partitions: Sequence[str] | None = None, partition_by: str = "month"
    ) -> pl.DataFrame:
        """The rows of a Delta table, in no particular order.

        Args:
            table: name of the table.
            partitions: read only these values of `partition_by`; all when None.
            partition_by: the column by which files are divided.

        Raises:
            TableMissingError: it has never been written.
        """
        rows = self.scan_delta(table)
        if partitions is not None:
            rows = rows.filter(pl.col(partition_by).is_in(list(partitions)))
        return rows.collect()

    def scan_delta(self, table: str) -> pl.LazyFrame:
        """The rows of a Delta table, to be narrowed before they are read.

        Raises:
            TableMissingError: it has never been written.
        """
        if not self._is_delta(table):
            raise self._missing(table)
        return pl.scan_delta(self._delta(table))

    def add_columns(self, table: str, schema: pl.Schema, *, partition_by: str) -> None:
        """Give a Delta table the columns of `schema` that it lacks; null in the stored rows.

        Raises:
            TableMissingError: it has never been written.
        """
        stored = self.scan_delta(table).collect_schema()
        if schema.keys() - stored.keys():
            import deltalake

            deltalake.write_deltalake(
                self.files.address(table),
                pl.DataFrame(schema=schema),
                partition_by=[partition_by],
                mode="append",
                schema_mode="merge",
            )

    def data_version(self, table: str) -> str:
        """What the table holds now, in one word.

        Parquet: the start of its content's SHA-256, so equal rows give equal versions in any store.
        Delta: start of the table's id and commit number, which name the rows within one store.

        Raises:
            TableMissingError: it has never been written.
        """
        if self.files.exists(_parquet(table)):
            content = self.files.read(_parquet(table))
            return hashlib.sha256(content).hexdigest()[:VERSION_DIGITS]
        if not self._is_delta(table):
            raise self._missing(table)
        stored = self._delta(table)
        return f"{str(stored.metadata().id)[:8]}-{stored.version()}"

    def write_file(self, path: str, content: bytes) -> None:
        """Create or replace a file below the root in one step."""
        self.files.write(path, content)

    def read_file(self, path: str) -> bytes:
        """The content of a file below the root; StoredFileMissingError when there is none."""
        return self.files.read(path)

    def _append(self, table: str, frame: pl.DataFrame, partition_by: str) -> None:
        import deltalake

        deltalake.write_deltalake(
            self.files.address(table), frame, partition_by=[partition_by], mode="append"
        )

    def _delta(self, table: str) -> deltalake.DeltaTable:
        import deltalake

        return deltalake.DeltaTable(self.files.address(table))

    def _is_delta(self, table: str) -> bool:
        import deltalake

        return deltalake.DeltaTable.is_deltatable(self.files.address(table))

    def _missing(self, table: str) -> TableMissingError:
        return TableMissingError(
            f"{table!r} is not in {self.root}; a table must be written before it is read; "
            "materialise its asset first"
        )


def _parquet(table: str) -> str:
    return f"{table}.parquet"


def _refuse_repeated_keys(table: str, frame: pl.DataFrame, keys: Sequence[str]) -> None:
    repeated = frame.filter(pl.struct(keys).is_duplicated())
    if not repeated.is_empty():
        raise KeyConflictError(
            f"{table}: {len(repeated)} rows share a key (first: {repeated.select(keys).row(0)}); "
            "a key identifies one row; remove the duplicates before the merge"
        )
