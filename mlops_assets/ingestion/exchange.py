"""Live bars of an exchange: Binance's klines, page by page.

Here: the words of `GET /api/v3/klines`. Not here: retries (`http_client`), what a faulty bar is
(`quality`), when a bar counts as known (`arrivals`).

Source of the shape: Binance Spot API, "Kline/Candlestick data": at most 1000 rows
`[open time ms, open, high, low, close, volume, close time ms, ...]`, prices as strings, by
ascending open time, the last one unfinished while its bar lasts.

Rules:
- A bar that is running at the fetch is left out. It counts as finished `CLOCK_SKEW` after its
  close by our clock, so that a clock that is ahead never takes a running bar for a finished one.
- A bar that opens later than the fetch by more than `CLOCK_SKEW` is passed on: `quality` sets it
  aside and its check says that one of the two clocks is wrong.
- A page is the last one when no bar can follow it. A shorter page is not believed: the rest is
  asked for until a page adds nothing, so a truncated page costs one more call and no bar.
- Bars that the exchange does not have stay missing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from mlops_assets.ingestion.http_client import HttpClient, Retries
from mlops_assets.ingestion.sources import Delivery, SourceError
from mlops_assets.problem import BinanceLive, Source
from mlops_assets.tables.candles import VALUES
from mlops_assets.tables.schema import UTC_MICROSECONDS

PAGE: Final = 1000
"""Rows that one call may return."""

CLOCK_SKEW: Final = timedelta(seconds=5)
"""By how much our clock and the exchange's may differ without consequence."""

_INTERVALS: Final = {
    timedelta(minutes=1): "1m",
    timedelta(minutes=5): "5m",
    timedelta(minutes=15): "15m",
    timedelta(minutes=30): "30m",
    timedelta(hours=1): "1h",
    timedelta(hours=4): "4h",
    timedelta(days=1): "1d",
}
_MILLISECOND: Final = timedelta(milliseconds=1)


def deliver(
    name: str,
    source: Source,
    live: BinanceLive,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    retries: Retries,
) -> Delivery:
    """The finished bars that open in `[start, end)`, in the order of delivery.

    Returns:
        Rows of `valid_time` (the close), prices and volume; a note for each truncated page.

    Raises:
        SourceError: the exchange refuses, fails for too long, or answers in another shape.
    """
    client = HttpClient(source=name, base_url=live.base_url, retries=retries)
    query: dict[str, str | int] = {
        "symbol": live.symbol,
        "interval": _interval(name, source),
        "limit": PAGE,
    }
    if end <= fetched_at:
        query["endTime"] = _milliseconds(end) - 1
    pages: list[pl.DataFrame] = []
    notes: list[str] = []
    cursor, newest = start, min(end, fetched_at - CLOCK_SKEW) - source.period
    while cursor <= newest:
        page = _page(client, query | {"startTime": _milliseconds(cursor)}, name=name)
        if page.is_empty():
            break
        if pages and len(pages[-1]) < PAGE:
            notes.append(_truncated(name, pages[-1], found=len(page)))
        cursor = _after(page, cursor, name=name, bar=source.period)
        pages.append(page)
    if not pages:
        return Delivery(_ROWS.clear())
    return Delivery(_finished(pl.concat(pages), source.period, fetched_at), tuple(notes))


_ROWS: Final = pl.DataFrame(
    schema={"valid_time": UTC_MICROSECONDS, **dict.fromkeys(VALUES, pl.Float64)}
)
"""What a delivery holds."""


def _page(client: HttpClient, query: dict[str, str | int], *, name: str) -> pl.DataFrame:
    """One page: `opens` and the columns of a delivery, in the order of the answer."""
    answer = client.get("/api/v3/klines", query)
    try:
        rows = [
            {
                "opens": _instant(row[0]),
                "valid_time": _instant(row[6]) + _MILLISECOND,
                **{value: _number(row[place]) for place, value in enumerate(VALUES, start=1)},
            }
            for row in answer
        ]
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise SourceError(
            f"{name}: {client.base_url} answered klines that cannot be read ({error!r}); a row is "
            "[open time, open, high, low, close, volume, close time, ...]; check `base_url` under "
            "`live` in the problem's YAML"
        ) from error
    return pl.DataFrame(rows, schema={"opens": UTC_MICROSECONDS, **_ROWS.schema})


def _after(page: pl.DataFrame, cursor: datetime, *, name: str, bar: timedelta) -> datetime:
    """Where the next page begins."""
    last = page["opens"].max()
    assert isinstance(last, datetime)
    if last < cursor:
        raise SourceError(
            f"{name}: asked for bars from {cursor:%Y-%m-%dT%H:%MZ} on, the newest answered opens "
            f"{last:%Y-%m-%dT%H:%MZ}; pages must follow `startTime`; check `base_url` under "
            "`live` in the problem's YAML"
        )
    return last + bar


def _truncated(name: str, page: pl.DataFrame, *, found: int) -> str:
    return (
        f"{name}: a page ended after {len(page)} of {PAGE} rows, at the bar opening "
        f"{page['opens'].max()!s}, though more exist; the next call brought {found} of them"
    )


def _finished(bars: pl.DataFrame, bar: timedelta, fetched_at: datetime) -> pl.DataFrame:
    """Leave the bars out that are running at the fetch, clocks being what they are."""
    running = (pl.col("valid_time") > fetched_at - CLOCK_SKEW) & (
        pl.col("valid_time") - bar <= fetched_at + CLOCK_SKEW
    )
    return bars.filter(~running).select(_ROWS.columns)


def _interval(name: str, source: Source) -> str:
    interval = _INTERVALS.get(source.period)
    if interval is None:
        raise SourceError(
            f"{name}: the exchange has no bars of {source.period}; it has "
            f"{', '.join(_INTERVALS.values())}; change `period` in the problem's YAML"
        )
    return interval


def _milliseconds(instant: datetime) -> int:
    return (instant - datetime.fromtimestamp(0, UTC)) // _MILLISECOND


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + milliseconds * _MILLISECOND


def _number(text: str | float | None) -> float | None:
    return None if text is None else float(text)
