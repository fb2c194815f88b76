"""What a kind of source must offer, and which kind serves which data mode.

Here: the interface `Fetch`, its error, the registry, and what time a row covers. Not here: any kind
itself (`files`, `sample`, `live`); adding one is a module with a `fetch` function and a line in
`fetch_for`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from mlops_assets.problem import ChannelSource, Source
from mlops_assets.settings import DataMode, Settings


class SourceError(ValueError):
    """A source cannot be read as its YAML entry says; the message names it and the remedy."""


@dataclass(frozen=True)
class Delivery:
    """What a service delivered: rows, and sentences about what is missing from them and why."""

    rows: pl.DataFrame
    notes: tuple[str, ...] = ()


class Fetch(Protocol):
    """Reads the rows of one source whose periods open in `[start, end)`."""

    def __call__(
        self,
        name: str,
        source: Source,
        *,
        start: datetime,
        end: datetime,
        fetched_at: datetime,
        settings: Settings,
    ) -> pl.DataFrame:
        """Return the rows as delivered, in the order of delivery.

        Their schema is `fetched` of the kind's layout (`tables.layouts`). Nothing is judged here
        beyond what makes a row unreadable: faulty rows are passed on, and `ingestion.quality` sets
        them aside.

        Args:
            name: the source's name, which becomes `series` where there is only one.
            source: its YAML entry.
            start: first open that is wanted.
            end: first open that is not wanted.
            fetched_at: the instant of this fetch.
            settings: where to look.

        Raises:
            SourceError: the source cannot be read as described.
            SettingsError: a setting that the kind needs is missing.
        """
        ...


def fetch_for(mode: DataMode) -> Fetch:
    """The kind of source that serves a data mode."""
    match mode:
        case "sample":
            from mlops_assets.ingestion import sample

            return sample.fetch
        case "files":
            from mlops_assets.ingestion import files

            return files.fetch
        case "live":
            from mlops_assets.ingestion import live

            return live.fetch


def span_of(source: Source) -> timedelta:
    """How much time before its `valid_time` a row covers: a period, or none for a snapshot."""
    return timedelta(0) if isinstance(source, ChannelSource) else source.period


def opens_within(start: datetime, end: datetime, *, bar: timedelta) -> pl.Expr:
    """Rows that open in `[start, end)`; `bar` is how much time before `valid_time` they cover."""
    opens = pl.col("valid_time") - bar
    return (opens >= start) & (opens < end)
