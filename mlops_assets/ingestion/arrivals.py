"""From where a live fetch goes on, and since when its values count as known.

Here: the spans that were fetched, and the `known_at` of what a fetch adds. Not here: the fetching
(`live`), and the versions of a value that changed (`versions`).

A row that a live fetch sees for the first time is known

- at the fetch, when an earlier fetch asked for its place and did not get it (the source was late),
  or when it closed since the previous fetch and at most `PUNCTUAL_PERIODS` bars ago;
- at its valid time plus the publication delay, `assumed`, in every other case: history, or what
  was missed while the platform did not run. Both could be read then; nobody happened to.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from mlops_assets.ingestion.sources import span_of
from mlops_assets.problem import Source
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.raw import PERIOD
from mlops_assets.tables.schema import UTC_MICROSECONDS

OVERLAP_PERIODS: Final = 24
"""Periods before the last fetched one that are asked for again, for corrections."""

PUNCTUAL_PERIODS: Final = 3
"""A platform that runs is at most so many bars late; `recency` allows no more either."""

COVERAGE: Final = dict.fromkeys(("start", "end", "fetched_at"), UTC_MICROSECONDS)
"""Spans of opens `[start, end)` that were delivered, and the newest fetch of each."""


def coverage_table(problem: str, source: str) -> str:
    """Name of the table of a source's fetched spans (Parquet, columns `COVERAGE`)."""
    return f"{problem}/coverage_{source}"


def read_coverage(store: TableStore, problem: str, source: str, *, raw: str) -> pl.DataFrame:
    """The spans fetched so far; none when the raw table `raw` is gone, so that all is fetched."""
    table = coverage_table(problem, source)
    known = store.exists(table) and store.exists(raw)
    return store.read(table) if known else pl.DataFrame(schema=COVERAGE)


def resume_at(
    coverage: pl.DataFrame, *, start: datetime, end: datetime, source: Source
) -> datetime:
    """The first open to ask for: where the fetched spans end, less the overlap.

    A window whose beginning was never fetched is fetched from its beginning.
    """
    reached = start
    for begins, ends in coverage.sort("start").select("start", "end").iter_rows():
        if begins <= reached < ends:
            reached = ends
    return max(start, min(reached, end) - OVERLAP_PERIODS * source.period)


def add_span(
    coverage: pl.DataFrame, *, start: datetime, end: datetime, fetched_at: datetime, source: Source
) -> pl.DataFrame:
    """The spans with a fetch of `[start, end)` added; spans that touch become one."""
    closed = min(end, fetched_at - span_of(source))
    added = pl.DataFrame([[start], [max(start, closed)], [fetched_at]], schema=COVERAGE)
    spans = pl.concat([coverage, added]).sort("start", "end")
    # A span begins anew where it starts later than everything before it ends.
    apart = pl.col("start") > pl.col("end").cum_max().shift(1)
    return (
        spans.group_by(apart.fill_null(value=False).cum_sum().alias("span"), maintain_order=True)
        .agg(pl.col("start").min(), pl.col("end").max(), pl.col("fetched_at").max())
        .drop("span")
    )


def with_known_at(
    fetched: pl.DataFrame,
    stored: pl.DataFrame,
    coverage: pl.DataFrame,
    *,
    fetched_at: datetime,
    source: Source,
) -> pl.DataFrame:
    """Say since when the rows of a live fetch are known.

    Args:
        fetched: clean rows stamped as history, one for each period (schema `raw` of the kind).
        stored: raw rows of at least the same periods; a stored row keeps its newest `known_at`, so
            that `versions.new_versions` sees whether its values changed.
        coverage: the spans of earlier fetches.
        fetched_at: the instant of this fetch.
        source: says how long a period is and how late it is published.
    """
    newest = stored.sort("known_at").unique(PERIOD, keep="last")
    newest = newest.select(*PERIOD, stored_known_at="known_at", stored_assumed="assumed")
    joined = fetched.join(newest, on=PERIOD, how="left", validate="m:1", maintain_order="left")
    seen, now = pl.col("stored_known_at").is_not_null(), _first_seen(coverage, source, fetched_at)
    arrival = pl.lit(fetched_at).cast(UTC_MICROSECONDS)
    return joined.with_columns(
        known_at=pl.when(seen)
        .then("stored_known_at")
        .when(now)
        .then(arrival)
        .otherwise("known_at"),
        assumed=pl.when(seen).then("stored_assumed").otherwise(~now),
    ).select(fetched.columns)


def _first_seen(coverage: pl.DataFrame, source: Source, fetched_at: datetime) -> pl.Expr:
    """Whether a row that is not stored was first seen by this fetch, and not merely missed."""
    previous = coverage["fetched_at"].max()
    if not isinstance(previous, datetime):
        return pl.lit(value=False)
    opens = pl.col("valid_time") - span_of(source)
    late = pl.any_horizontal(
        (opens >= begins) & (opens < ends)
        for begins, ends in coverage.select("start", "end").iter_rows()
    )
    published = pl.col("valid_time") + source.publication_delay
    punctual = published >= fetched_at - PUNCTUAL_PERIODS * source.period
    return late | ((pl.col("valid_time") > previous) & punctual)
