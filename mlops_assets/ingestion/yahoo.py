"""Live bars of listed prices: Yahoo's chart service, unofficial and without promises.

Here: the words of `GET /v8/finance/chart/{symbol}`. Not here: retries (`http_client`), what a
faulty bar is (`quality`), when a bar counts as known (`arrivals`).

Shape: `chart.result[0].timestamp` (opens, in seconds) beside
`chart.result[0].indicators.quote[0].{open, high, low, close, volume}`; `chart.error` instead when
it refuses, as a rule with status 404 or 422.

Rules:
- A row without one of its prices is no bar: it is dropped and counted in a note. (A missing
  volume stays null where the source has volume.)
- The service adds the price of the moment as a last row, stamped `meta.regularMarketTime`. That
  row, and every bar that is running at the fetch, is left out; see `CLOCK_SKEW`.
- Hourly history reaches 730 days back. What lies before is told in a note, and is no error.
- A closed market answers without timestamps: no rows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import httpx
import polars as pl

from mlops_assets.ingestion.http_client import HttpClient, Retries
from mlops_assets.ingestion.sources import Delivery, SourceError
from mlops_assets.problem import Source, YahooLive
from mlops_assets.tables.candles import PRICES, VALUES
from mlops_assets.tables.schema import UTC_MICROSECONDS

CLOCK_SKEW: Final = timedelta(seconds=5)
"""A bar counts as finished so long after its close by our clock."""

REACH: Final[dict[timedelta, tuple[str, timedelta | None]]] = {
    timedelta(hours=1): ("1h", timedelta(days=730)),
    timedelta(days=1): ("1d", None),
}
"""Bar length -> the service's word for it and how far back it reaches (None: to the listing)."""

_REACH_MARGIN: Final = timedelta(hours=1)
"""The service measures its reach by its own clock; a request at the very edge would be refused."""

_ROWS: Final = pl.DataFrame(
    schema={"valid_time": UTC_MICROSECONDS, **dict.fromkeys(VALUES, pl.Float64)}
)


def deliver(
    name: str,
    source: Source,
    live: YahooLive,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    retries: Retries,
) -> Delivery:
    """The finished bars that open in `[start, end)`, in the order of delivery.

    Returns:
        Rows of `valid_time` (the close), prices and volume; notes about dropped rows and about
        history that the service does not have.

    Raises:
        SourceError: the service refuses, fails for too long, or answers in another shape.
    """
    interval, reach = _interval(name, source)
    first, notes = start, []
    if reach is not None and start < (oldest := fetched_at - reach + _REACH_MARGIN):
        first = oldest
        notes.append(
            f"{name}: Yahoo keeps {interval} bars for {reach.days} days, so bars from "
            f"{start:%Y-%m-%d} to {min(oldest, end):%Y-%m-%d} cannot be had live; load them once "
            "from a file (MLOPS_DATA=files) if they are needed"
        )
    last = min(end, fetched_at)
    if first >= last:
        return Delivery(_ROWS, tuple(notes))
    client = HttpClient(source=name, base_url=live.base_url, retries=retries, refusal=_refusal)
    query: dict[str, str | int] = {
        "period1": int(first.timestamp()),
        "period2": int(last.timestamp()),
        "interval": interval,
    }
    answer = client.get(f"/v8/finance/chart/{quote(live.symbol, safe='')}", query)
    bars = _bars(answer, name=name, bar=source.period)
    whole = bars.drop_nulls(PRICES)
    if len(whole) < len(bars):
        notes.append(f"{name}: {len(bars) - len(whole)} rows without a price were dropped")
    finished = whole.filter(pl.col("valid_time") <= fetched_at - CLOCK_SKEW)
    return Delivery(finished, tuple(notes))


def _bars(answer: Any, *, name: str, bar: timedelta) -> pl.DataFrame:  # noqa: ANN401
    """The rows of an answer, those without prices included."""
    if isinstance(answer, dict) and (error := (answer.get("chart") or {}).get("error")):
        raise SourceError(f"{name}: Yahoo's {_told(error)}; {_CHECK_SYMBOL}")
    try:
        (result,) = answer["chart"]["result"]
        opens = result.get("timestamp") or []
        (columns,) = result["indicators"]["quote"]
        values = {value: columns[value] if opens else [] for value in VALUES}
        if any(len(column) != len(opens) for column in values.values()):
            raise ValueError(f"{len(opens)} timestamps, columns of other lengths")
        rows = {"valid_time": [datetime.fromtimestamp(t, UTC) + bar for t in opens], **values}
        frame = pl.DataFrame(rows, schema=_ROWS.schema)
    except (TypeError, ValueError, LookupError, pl.exceptions.PolarsError) as error:
        raise SourceError(
            f"{name}: Yahoo's answer cannot be read ({error!r}); it must hold chart.result[0] with "
            "timestamp and indicators.quote[0]; check `base_url` under `live` in the problem's YAML"
        ) from error
    of_the_moment = opens and opens[-1] == result.get("meta", {}).get("regularMarketTime")
    return frame[:-1] if of_the_moment else frame


def _refusal(response: httpx.Response) -> str | None:
    """The service's own `chart.error`, where a refusal carries one."""
    try:
        error = response.json()["chart"]["error"]
    except (ValueError, TypeError, LookupError):
        return None
    final = 400 <= response.status_code < 500 and response.status_code not in {408, 429}
    return f"{_told(error)}; {_CHECK_SYMBOL}" if error and final else None


_CHECK_SYMBOL: Final = "check `symbol` under `live` in the problem's YAML"


def _told(error: Any) -> str:  # noqa: ANN401
    return f"chart.error {error.get('code')!r}: {error.get('description')}"


def _interval(name: str, source: Source) -> tuple[str, timedelta | None]:
    found = REACH.get(source.period)
    if found is None:
        raise SourceError(
            f"{name}: Yahoo's bars of {source.period} are not supported; use 1h or 1d; change "
            "`period` in the problem's YAML"
        )
    return found
