"""One pull of one source: fetch, set faulty rows aside, append what is new.

Here: the sequence, and where its tables are. Not here: the steps themselves (`sources`, `quality`,
`arrivals`, `versions`, `storage.tables`) and Dagster's part (`assets`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import polars as pl

from mlops_assets.ingestion import arrivals
from mlops_assets.ingestion.quality import Split, split
from mlops_assets.ingestion.sources import fetch_for, opens_within, span_of
from mlops_assets.ingestion.versions import new_versions
from mlops_assets.problem import Source
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.candles import CANDLES
from mlops_assets.tables.layouts import layout_of
from mlops_assets.tables.raw import KEY, PARTITION, RawLayout

_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)

_Known = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
"""Clean rows of a pull and the stored ones -> the clean rows with their `known_at`."""


@dataclass(frozen=True)
class PullReport:
    """What a pull did; the times are of its clean rows, None when there was none.

    `notes` are the sentences of a live service about what it did not deliver.
    """

    inserted: int
    unchanged: int
    quarantined: int
    first_valid_time: datetime | None
    last_valid_time: datetime | None
    newest_known_at: datetime | None
    data_version: str
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> int:
        """Rows of the pull that are in the raw table now."""
        return self.inserted + self.unchanged


def raw_table(problem: str, source: str) -> str:
    """Name of a source's raw table (Delta, schema `raw` of its layout)."""
    return f"{problem}/raw_{source}"


def quarantine_table(problem: str, source: str) -> str:
    """Name of the table of a source's faulty rows (Parquet, schema `quarantine` of its layout)."""
    return f"{problem}/quarantine_{source}"


def read_raw(
    store: TableStore, problem: str, source: str, *, layout: RawLayout = CANDLES
) -> pl.DataFrame:
    """A source's raw table; no rows when it was never pulled."""
    table = raw_table(problem, source)
    return store.read_delta(table) if store.exists(table) else layout.raw.empty()


def read_quarantine(
    store: TableStore, problem: str, source: str, *, layout: RawLayout = CANDLES
) -> pl.DataFrame:
    """The faulty rows of a source's newest pull of each month; none when there was none."""
    table = quarantine_table(problem, source)
    return store.read(table) if store.exists(table) else layout.quarantine.empty()


def resume_at(
    store: TableStore,
    problem: str,
    name: str,
    source: Source,
    *,
    start: datetime,
    end: datetime,
) -> datetime:
    """Open of the oldest period in `[start, end)` that must be fetched again.

    It is where the fetched spans end, less the overlap for corrections, or the oldest row that was
    set aside: only a new fetch of it can clear its fault.
    """
    coverage = arrivals.read_coverage(store, problem, name, raw=raw_table(problem, name))
    fetched = arrivals.resume_at(coverage, start=start, end=end, source=source)
    aside = read_quarantine(store, problem, name).filter(~pl.col("kept"))["valid_time"].min()
    if isinstance(aside, datetime):
        return max(start, min(fetched, aside - span_of(source)))
    return fetched


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
    """Bring the rows that open in `[start, end)` up to date.

    A window that reaches past `fetched_at` is open at its end, so that a row stamped in the far
    future is set aside too, and not lost between the months. Rows before the source's own start
    are left out. A live source is asked only for what follows its last fetch, a few periods
    before, for corrections, and what was set aside.

    Raises:
        SourceError: the source cannot be read as its entry says.
        SettingsError: a setting is missing, or no source serves the data mode.
    """
    since, until = max(start, source.start), _END_OF_TIME if end > fetched_at else end
    if settings.data == "live":
        return _pull_live(
            store,
            problem,
            name,
            source,
            start=since,
            end=until,
            fetched_at=fetched_at,
            settings=settings,
        )
    fetch = fetch_for(settings.data)
    rows = fetch(name, source, start=since, end=until, fetched_at=fetched_at, settings=settings)
    parts = split(rows, source)
    _set_aside(store, problem, name, source, parts.quarantined, start=start, end=until)
    # Before the rows: with a raw table that is gone, earlier spans do not count.
    coverage = arrivals.read_coverage(store, problem, name, raw=raw_table(problem, name))
    layout = layout_of(source.kind)
    report = _append(store, raw_table(problem, name), parts, _as_fetched, layout=layout)
    if settings.data == "sample":  # a file may correct any month, so it is always read in whole
        spans = arrivals.add_span(
            coverage, start=since, end=until, fetched_at=fetched_at, source=source
        )
        store.write(arrivals.coverage_table(problem, name), spans)
    return report


def _pull_live(
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
    """Ask a service for what follows the last fetch, and for the rows just before it again."""
    from mlops_assets.ingestion import live

    table = raw_table(problem, name)
    coverage = arrivals.read_coverage(store, problem, name, raw=table)
    since = resume_at(store, problem, name, source, start=start, end=min(end, fetched_at))
    delivery = live.deliver(
        name, source, start=since, end=end, fetched_at=fetched_at, settings=settings
    )
    parts = split(delivery.rows, source)
    _set_aside(store, problem, name, source, parts.quarantined, start=since, end=end)
    known = partial(arrivals.with_known_at, coverage=coverage, fetched_at=fetched_at, source=source)
    report = _append(store, table, parts, known, layout=layout_of(source.kind))
    spans = arrivals.add_span(coverage, start=since, end=end, fetched_at=fetched_at, source=source)
    store.write(arrivals.coverage_table(problem, name), spans)
    return replace(report, notes=delivery.notes)


def _as_fetched(fetched: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Rows of files and samples say themselves when they were known."""
    del stored
    return fetched


def _set_aside(
    store: TableStore,
    problem: str,
    name: str,
    source: Source,
    quarantined: pl.DataFrame,
    *,
    start: datetime,
    end: datetime,
) -> None:
    """Replace the quarantine of the rows that open in `[start, end)`."""
    earlier = read_quarantine(store, problem, name, layout=layout_of(source.kind))
    outside = earlier.filter(~opens_within(start, end, bar=span_of(source)))
    store.write(quarantine_table(problem, name), pl.concat([outside, quarantined]))


def _append(
    store: TableStore, table: str, parts: Split, known: _Known, *, layout: RawLayout
) -> PullReport:
    """Append the clean rows that are new, once it is said since when they are known."""
    stored = store.stored_rows(table, parts.clean, partition_by=PARTITION)
    clean = known(parts.clean, stored)
    new = new_versions(clean, stored, values=layout.value_names)
    counts = store.merge(table, new, keys=KEY, partition_by=PARTITION, bookkeeping=["fetched_at"])
    return PullReport(
        inserted=counts.inserted,
        unchanged=len(clean) - counts.inserted,
        quarantined=int((~parts.quarantined["kept"]).sum()),
        first_valid_time=_instant(clean["valid_time"].min()),
        last_valid_time=_instant(clean["valid_time"].max()),
        newest_known_at=_instant(clean["known_at"].max()),
        data_version=store.data_version(table),
    )


def _instant(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
