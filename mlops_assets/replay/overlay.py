"""What a replay sees of the stored tables: production's raw rows of the past, and its own tables.

Here: one store over two roots. Raw tables are read in place from production, each at the one commit
that the replay began with, and only the rows known by its clock. All else is the replay's own. Not
here: which tables those are and where (`isolation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from mlops_assets.storage.tables import TableStore

if TYPE_CHECKING:
    import deltalake


class ReadOnlyTableError(PermissionError):
    """A replay would change a table of production."""


def commits_of(production: TableStore, tables: Sequence[str]) -> dict[str, int]:
    """The newest commit of each Delta table; tables that were never written are left out."""
    import deltalake

    return {
        table: deltalake.DeltaTable(production.files.address(table)).version()
        for table in tables
        if production.exists(table)
    }


class OverlaidStore(TableStore):
    """The tables below a replay's root, and below them production's raw tables, read only."""

    def __init__(
        self, root: str, *, production: str, commits: Mapping[str, int], known_by: datetime
    ) -> None:
        """Lay a replay's root over production's.

        Args:
            root: folder of the replay's tables.
            production: folder or `s3://` address of production's.
            commits: raw table -> the commit that is read, whatever production appends meanwhile.
            known_by: rows known later are invisible.
        """
        super().__init__(root)
        self._production = TableStore(production)
        self._commits = dict(commits)
        self._known_by = known_by

    def read_delta(
        self, table: str, *, partitions: Sequence[str] | None = None, partition_by: str = "month"
    ) -> pl.DataFrame:
        """The rows of a Delta table, in no particular order; of raw ones those known by now.

        Raises:
            TableMissingError: it has never been written.
        """
        rows = super().read_delta(table, partitions=partitions, partition_by=partition_by)
        if table in self._commits:
            return rows.filter(pl.col("known_at") <= self._known_by)
        return rows

    def write(self, table: str, frame: pl.DataFrame) -> None:
        """Create or replace a Parquet table of the replay.

        Raises:
            ReadOnlyTableError: it is one of production's.
        """
        self._refuse_production(table)
        super().write(table, frame)

    def _append(self, table: str, frame: pl.DataFrame, partition_by: str) -> None:
        self._refuse_production(table)
        super()._append(table, frame, partition_by)

    def _delta(self, table: str) -> deltalake.DeltaTable:
        import deltalake

        if table not in self._commits:
            return super()._delta(table)
        address = self._production.files.address(table)
        return deltalake.DeltaTable(address, version=self._commits[table])

    def _is_delta(self, table: str) -> bool:
        return table in self._commits or super()._is_delta(table)

    def _refuse_production(self, table: str) -> None:
        if table in self._commits:
            raise ReadOnlyTableError(
                f"{table} belongs to production ({self._production.root}); a replay calls no "
                "source and only reads raw tables; leave raw assets out of its selection"
            )
