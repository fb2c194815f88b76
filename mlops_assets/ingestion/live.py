"""Bars from live services, whichever a source's `live` entry names.

Here: the choice of the service, and the columns that every fetched row carries. Not here: the
services (`exchange`, `yahoo`), and how the rows of several fetches become versions (`arrivals`,
`versions`). Another kind of service is a module, its entry in `problem.Source.live` and a case in
`deliver`.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from mlops_assets.ingestion import exchange, yahoo
from mlops_assets.ingestion.http_client import Retries
from mlops_assets.ingestion.sources import Delivery, SourceError, opens_within
from mlops_assets.problem import BinanceLive, Source, YahooLive
from mlops_assets.settings import Settings
from mlops_assets.tables.candles import FETCHED
from mlops_assets.tables.schema import UTC_MICROSECONDS


def fetch(
    name: str,
    source: Source,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    settings: Settings,
) -> pl.DataFrame:
    """The rows of `deliver`, without its notes; see `sources.Fetch`."""
    del settings  # these services need no key
    return deliver(name, source, start=start, end=end, fetched_at=fetched_at).rows


def deliver(
    name: str,
    source: Source,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    retries: Retries | None = None,
) -> Delivery:
    """Ask the source's service for the bars that open in `[start, end)`.

    Every row is stamped as history: known at its valid time plus the publication delay (it is
    here, so not after the fetch), `assumed`. `arrivals` says which of them were first seen by
    this fetch.

    Raises:
        SourceError: the source has no `live` entry, or its service does not deliver.
    """
    live, patience = _live_of(name, source), retries or Retries()
    match live:
        case BinanceLive():
            found = exchange.deliver(
                name, source, live, start=start, end=end, fetched_at=fetched_at, retries=patience
            )
        case YahooLive():
            found = yahoo.deliver(
                name, source, live, start=start, end=end, fetched_at=fetched_at, retries=patience
            )
    arrival = pl.lit(fetched_at).cast(UTC_MICROSECONDS)
    rows = found.rows.with_columns(
        series=pl.lit(name),
        known_at=pl.min_horizontal(pl.col("valid_time") + source.publication_delay, arrival),
        fetched_at=arrival,
        assumed=pl.lit(True),
        pull=pl.lit(f"{live.kind}:{live.symbol}"),
    )
    if not source.has_volume:
        rows = rows.with_columns(volume=pl.lit(None, dtype=pl.Float64))
    wanted = rows.filter(opens_within(start, end, bar=source.period))
    return Delivery(FETCHED.conform(wanted), found.notes)


def _live_of(name: str, source: Source) -> BinanceLive | YahooLive:
    if source.live is None:
        raise SourceError(
            f"{name}: MLOPS_DATA=live, but sources.{name}.live is missing; add "
            "`live: {kind: binance, symbol: BTCUSDT}` or `{kind: yahoo, symbol: QQQ}` to the "
            "problem's YAML, or set MLOPS_DATA=sample"
        )
    return source.live
