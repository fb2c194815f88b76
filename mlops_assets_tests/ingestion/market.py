"""A small problem over files that a test writes, and the bars to write into them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

import mlops_assets
from mlops_assets.problem import (
    CandleSource,
    FileSource,
    ForecastProblem,
    SampleSource,
    Source,
    load_problem,
)
from mlops_assets.tables.candles import FETCHED, RAW_CANDLES
from mlops_assets.tables.raw import month_of_open

HOUR = timedelta(hours=1)
MAY = datetime(2025, 5, 1, tzinfo=UTC)
SHIPPED = Path(mlops_assets.__file__).parent / "defs/bitcoin_close/defs.yaml"

Bar = tuple[datetime, float]
"""Close time and close price."""


def source(**changes: Any) -> CandleSource:  # noqa: ANN401  (fields of the model)
    """A target of hourly bars; `changes` are fields of `CandleSource`."""
    fields: dict[str, Any] = {
        "kind": "candles",
        "role": "target",
        "title": "Bitcoin",
        "unit": "USDT",
        "period": HOUR,
        "plausible": (1.0, 1000.0),
        "start": MAY,
    }
    return CandleSource.model_validate(fields | changes)


def exogenous(**changes: Any) -> CandleSource:  # noqa: ANN401
    """An exogenous source of hourly bars."""
    return source(role="exogenous", **({"max_age": timedelta(hours=6)} | changes))


def problem(**sources: Source) -> ForecastProblem:
    """The shipped problem over other sources; `btc` must be among them."""
    return load_problem(SHIPPED).model_copy(update={"sources": sources})


def file(path: str, **changes: Any) -> FileSource:  # noqa: ANN401
    """A file of the data folder, without mapping of columns."""
    return FileSource.model_validate({"path": path} | changes)


def sample(**changes: Any) -> SampleSource:  # noqa: ANN401
    """A sample that begins with May 2025."""
    fields = {"start": MAY, "price": 100.0, "volatility_pct": 0.5}
    return SampleSource.model_validate(fields | changes)


def delivered(closes: Sequence[float], *, start: datetime = MAY) -> pl.DataFrame:
    """A file's content: hourly bars by their open, with a range of 1 around each close."""
    return pl.DataFrame(
        {
            "timestamp": [start + HOUR * i for i in range(len(closes))],
            "open": closes,
            "high": [close + 0.5 for close in closes],
            "low": [close - 0.5 for close in closes],
            "close": closes,
            "volume": [10.0 for _ in closes],
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def fetched(
    *bars: Bar,
    series: str = "btc",
    known_at: datetime | None = None,
    fetched_at: datetime = datetime(2025, 7, 1, tzinfo=UTC),
    pull: str = "one.csv",
) -> pl.DataFrame:
    """Rows as a source returns them; known at their close unless `known_at` is given."""
    closes = [close for _, close in bars]
    rows = pl.DataFrame({"valid_time": [time for time, _ in bars]}).with_columns(
        series=pl.lit(series),
        known_at=pl.lit(known_at) if known_at else pl.col("valid_time"),
        fetched_at=pl.lit(fetched_at),
        assumed=pl.lit(known_at is None),
        open=pl.Series(closes, dtype=pl.Float64),
        high=pl.Series(closes, dtype=pl.Float64) + 0.5,
        low=pl.Series(closes, dtype=pl.Float64) - 0.5,
        close=pl.Series(closes, dtype=pl.Float64),
        volume=pl.lit(10.0),
        pull=pl.lit(pull),
    )
    return FETCHED.conform(rows)


def raw(*bars: Bar, series: str = "btc", known_at: datetime | None = None) -> pl.DataFrame:
    """The same rows as the raw table holds them."""
    rows = fetched(*bars, series=series, known_at=known_at)
    return RAW_CANDLES.conform(rows.with_columns(month_of_open(HOUR)))


def at(hour: float, *, day: int = 1) -> datetime:
    """An instant of May 2025."""
    return datetime(2025, 5, day, tzinfo=UTC) + timedelta(hours=hour)
