"""Rows from live services, whichever a source's `live` entry names.

Here: the choice of the service, and the columns that every fetched row carries. Not here: the
services (`exchange`, `yahoo`, `search_shares`, `channel_snapshots`), and how the rows of several
fetches become versions (`arrivals`, `versions`). Another kind of service is a module, its entry in
`problem.sources` and a case in `_found`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from mlops_assets.ingestion import channel_snapshots, exchange, search_shares, yahoo
from mlops_assets.ingestion.http_client import Retries
from mlops_assets.ingestion.sources import Delivery, SourceError, opens_within, span_of
from mlops_assets.problem import (
    BinanceLive,
    CandleSource,
    ChannelSource,
    NaverLive,
    Source,
    ValueSource,
    YahooLive,
    YouTubeLive,
)
from mlops_assets.settings import Settings
from mlops_assets.tables.layouts import layout_of
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
    found = deliver(name, source, start=start, end=end, fetched_at=fetched_at, settings=settings)
    return found.rows


def deliver(
    name: str,
    source: Source,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    settings: Settings,
    retries: Retries | None = None,
) -> Delivery:
    """Ask the source's service for the rows that open in `[start, end)`.

    Every row is stamped as history: known at its valid time plus the publication delay (it is
    here, so not after the fetch), `assumed`. `arrivals` says which of them were first seen by
    this fetch.

    Raises:
        SourceError: the source has no `live` entry, or its service does not deliver.
        SettingsError: the service asks for a key that is not set.
    """
    if source.live is None:
        raise SourceError(
            f"{name}: MLOPS_DATA=live, but sources.{name}.live is missing; add "
            f"{_EXAMPLES[source.kind]} to the problem's YAML, or set MLOPS_DATA=sample"
        )
    found = _found(
        name,
        source,
        start=start,
        end=end,
        fetched_at=fetched_at,
        settings=settings,
        retries=retries or Retries(),
    )
    arrival = pl.lit(fetched_at).cast(UTC_MICROSECONDS)
    rows = found.rows.with_columns(
        known_at=pl.min_horizontal(pl.col("valid_time") + source.publication_delay, arrival),
        fetched_at=arrival,
        assumed=pl.lit(value=True),
        pull=pl.lit(_called(source.live)),
    )
    wanted = rows.filter(opens_within(start, end, bar=span_of(source)))
    return Delivery(layout_of(source.kind).fetched.conform(wanted), found.notes)


def _found(
    name: str,
    source: Source,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    settings: Settings,
    retries: Retries,
) -> Delivery:
    """Rows of series, valid time and the values of the source's kind."""
    times = {"start": start, "end": end, "fetched_at": fetched_at}
    match source:
        case CandleSource(live=BinanceLive() as live):
            found = exchange.deliver(name, source, live, **times, retries=retries)
        case CandleSource(live=YahooLive() as live):
            found = yahoo.deliver(name, source, live, **times, retries=retries)
        case ValueSource(live=NaverLive() as live):
            return search_shares.deliver(
                name, source, live, **times, settings=settings, retries=retries
            )
        case ChannelSource(live=YouTubeLive() as live):
            return channel_snapshots.deliver(
                name, source, live, **times, settings=settings, retries=retries
            )
        case _:
            raise AssertionError(f"{name}: the kinds of sources and of services agree by types")
    rows = found.rows.with_columns(series=pl.lit(name))
    if isinstance(source, CandleSource) and not source.has_volume:
        rows = rows.with_columns(volume=pl.lit(None, dtype=pl.Float64))
    return Delivery(rows, found.notes)


def _called(live: BinanceLive | YahooLive | NaverLive | YouTubeLive) -> str:
    """What was asked of which service, for the column `pull`."""
    match live:
        case BinanceLive() | YahooLive():
            return f"{live.kind}:{live.symbol}"
        case NaverLive():
            return f"{live.kind}:{','.join(live.keyword_groups)}"
        case YouTubeLive():
            return f"{live.kind}:{','.join(live.queries)}"


_EXAMPLES: Final = {
    "candles": "`live: {kind: binance, symbol: BTCUSDT}` or `{kind: yahoo, symbol: QQQ}`",
    "values": "`live: {kind: naver, keyword_groups: {BRAND: [WORD]}}`",
    "channels": "`live: {kind: youtube, queries: [WORDS]}`",
}
"""An entry for each kind of source."""
