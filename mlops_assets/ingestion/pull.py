"""One pull of one source: fetch, set faulty rows aside, append what is new.

Here: the sequence, and where its two tables are. Not here: the steps themselves (`sources`,
`quality`, `versions`, `storage.tables`) and Dagster's part (`assets`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from mlops_assets.ingestion.quality import split
from mlops_assets.ingestion.sources import fetch_for, opens_within
from mlops_assets.ingestion.versions import new_versions
from mlops_assets.problem import Source
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.candles import KEY, PARTITION, QUARANTINE, RAW_CANDLES

_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class PullReport:
    """What a pull did; the times are of its clean rows, None when there was none."""

    inserted: int
    unchanged: int
    quarantined: int
    first_valid_time: datetime | None
    last_valid_time: datetime | None
    newest_known_at: datetime | None
    data_version: str

    @property
    def clean(self) -> int:
        """Rows of the pull that are in the raw table now."""
        return self.inserted + self.unchanged


def raw_table(problem: str, source: str) -> str:
    """Name of a source's raw table (Delta, schema `RAW_CANDLES`)."""
    return f"{problem}/raw_{source}"


def quarantine_table(problem: str, source: str) -> str:
    """Name of the table of a source's faulty rows (Parquet, schema `QUARANTINE`)."""
    return f"{problem}/quarantine_{source}"


def read_raw(store: TableStore, problem: str, source: str) -> pl.DataFrame:
    """A source's raw table; no rows when it was never pulled."""
    table = raw_table(problem, source)
    return store.read_delta(table) if store.exists(table) else RAW_CANDLES.empty()


def read_quarantine(store: TableStore, problem: str, source: str) -> pl.DataFrame:
    """The faulty rows of a source's newest pull of each month; none when there was none."""
    table = quarantine_table(problem, source)
    return store.read(table) if store.exists(table) else QUARANTINE.empty()


def pull(
    store: TableStore,
    problem: str,
    name: str,
    source: Source,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    settings: Settings,
) -> PullReport:
    """Bring the bars that open in `[start, end)` up to date.

    A window that reaches past `fetched_at` is open at its end, so that a bar stamped in the far
    future is set aside too, and not lost between the months. Bars before the source's own start
    are left out.

    Raises:
        SourceError: the source cannot be read as its entry says.
        SettingsError: a setting is missing, or no source serves the data mode.
    """
    since = max(start, source.start)
    until = _END_OF_TIME if end > fetched_at else end
    fetch = fetch_for(settings.data)
    fetched = fetch(name, source, start=since, end=until, fetched_at=fetched_at, settings=settings)
    parts = split(fetched, source)
    table = raw_table(problem, name)
    new = new_versions(parts.clean, store.stored_rows(table, parts.clean, partition_by=PARTITION))
    counts = store.merge(table, new, keys=KEY, partition_by=PARTITION, bookkeeping=["fetched_at"])
    outside = read_quarantine(store, problem, name).filter(
        ~opens_within(start, until, bar=source.bar)
    )
    store.write(quarantine_table(problem, name), pl.concat([outside, parts.quarantined]))
    return PullReport(
        inserted=counts.inserted,
        unchanged=len(parts.clean) - counts.inserted,
        quarantined=int((~parts.quarantined["kept"]).sum()),
        first_valid_time=_instant(parts.clean["valid_time"].min()),
        last_valid_time=_instant(parts.clean["valid_time"].max()),
        newest_known_at=_instant(parts.clean["known_at"].max()),
        data_version=store.data_version(table),
    )


def _instant(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
