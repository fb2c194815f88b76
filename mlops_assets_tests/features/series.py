"""Random bars, the observations made of them, and small problems: what these tests share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from mlops_assets.problem import ForecastProblem

HOUR = timedelta(hours=1)
START = datetime(2024, 3, 1, tzinfo=UTC)
"""Close of the first bar, a Friday."""

_SOURCE = {
    "kind": "candles",
    "title": "Coin",
    "unit": "USDT",
    "period": "1h",
    "plausible": [1, 1e6],
    "start": "2024-01-01T00:00:00Z",
}


def at(hour: int) -> datetime:
    """Close of the bar with this number."""
    return START + hour * HOUR


def price_bars(count: int, *, seed: int = 0, missing: Collection[int] = ()) -> pl.DataFrame:
    """Hourly bars of a random walk with changing volatility; the numbers in `missing` are absent.

    Columns: number, valid_time, open, high, low, close, volume.
    """
    rng = np.random.default_rng(seed)
    spread = 0.004 * np.exp(rng.normal(0, 0.4, count))
    close = 100 * np.exp(np.cumsum(spread * rng.normal(size=count)))
    opened = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(opened, close) * np.exp(spread * rng.random(count))
    low = np.minimum(opened, close) * np.exp(-spread * rng.random(count))
    frame = pl.DataFrame(
        {
            "number": np.arange(count),
            "valid_time": [at(k) for k in range(count)],
            "open": opened,
            "high": high,
            "low": low,
            "close": close,
            "volume": rng.lognormal(3, 0.5, count),
        },
        schema_overrides={"valid_time": pl.Datetime("us", "UTC")},
    )
    return frame.filter(~pl.col("number").is_in(list(missing)))


def observed(bars: pl.DataFrame, *, series: str = "coin") -> pl.DataFrame:
    """Observations of bars that were each known at their close, with an exogenous source `ndx`.

    Every fifth value of `ndx` is too old, its age then is 7 hours.
    """
    stale = pl.col("number") % 5 == 4
    instant = pl.Datetime("us", "UTC")
    return bars.select(
        pl.lit(series).alias("series"),
        "valid_time",
        known_at="valid_time",
        superseded_at=pl.lit(None, dtype=instant),
        open="open",
        high="high",
        low="low",
        close="close",
        volume="volume",
        ndx_value=pl.when(~stale).then(500 + pl.col("number").sin()),
        ndx_age_hours=pl.when(stale).then(7.0).otherwise(0.5),
    )


def corrected(
    observations: pl.DataFrame, numbers: Collection[int], *, known_at: datetime, factor: float = 1.1
) -> pl.DataFrame:
    """The same with a second version of some bars, all prices times `factor`, known later."""
    times = [at(k) for k in numbers]
    chosen = pl.col("valid_time").is_in(times)
    instant = pl.lit(known_at).cast(pl.Datetime("us", "UTC"))
    new = observations.filter(chosen).with_columns(
        pl.col("open", "high", "low", "close") * factor, known_at=instant
    )
    ended = pl.when(chosen).then(instant).otherwise("superseded_at")
    old = observations.with_columns(superseded_at=ended)
    return pl.concat([old, new]).sort("valid_time", "known_at")


def late(
    observations: pl.DataFrame, numbers: Collection[int], *, known_at: datetime
) -> pl.DataFrame:
    """The same with some bars known only at a later instant."""
    times = [at(k) for k in numbers]
    instant = pl.lit(known_at).cast(pl.Datetime("us", "UTC"))
    shifted = pl.when(pl.col("valid_time").is_in(times)).then(instant).otherwise("known_at")
    return observations.with_columns(known_at=shifted)


def group(kind: str, source: str = "coin", **params: Any) -> dict[str, Any]:  # noqa: ANN401 YAML values
    """One entry of a problem's `features`."""
    return {"kind": kind, "source": source, "params": params}


def small_problem(
    *groups: dict[str, Any],
    horizon: int = 1,
    events: Mapping[str, Any] | None = None,
    feature_sets: Mapping[str, Any] | None = None,
    candidates: Mapping[str, Any] | None = None,
    scale: Mapping[str, Any] | None = None,
) -> ForecastProblem:
    """An hourly problem `coin_close` with the target `coin` and the exogenous source `ndx`."""
    return ForecastProblem.model_validate(
        {
            "name": "coin_close",
            "title": "Coin, close of the next hour",
            "description": "For tests.",
            "owners": ["team:tests"],
            "frequency": "1h",
            "horizon": horizon,
            "target": {"source": "coin"},
            "sources": {
                "coin": {**_SOURCE, "role": "target"},
                "ndx": {**_SOURCE, "role": "exogenous", "max_age": "6h", "calendar": "XNYS"},
            },
            "events": dict(events or {}),
            "features": list(groups),
            "feature_sets": dict(feature_sets or {"all": ["*"]}),
            "scale": {"features": "all", "alpha": 1.0, **(scale or {})},
            "candidates": dict(
                candidates or {"last_value": {"family": "last_value", "baseline": True}}
            ),
            "band": {"coverage": 0.9, "window": 200, "calibration": "10d"},
            "evaluation": {
                "refit_every": "7d",
                "anchor": START,
                "folds": 2,
                "leads": list(range(1, horizon + 1)),
            },
            "promotion": {"looks_per_year": 52},
            "retrain_cron": "0 6 * * 1",
            "freshness": {
                "features": {"warn_after": "2h", "fail_after": "4h"},
                "models": {"warn_after": "8d", "fail_after": "10d"},
            },
        }
    )


EVERY_KIND = (
    group("log_rms_volatility", windows=[1, 3, 24]),
    group("mean_log_volatility", windows=[3, 24]),
    group("lagged_log_volatility", lags=[0, 1, 23]),
    group("slot_log_volatility", half_life=3, baseline=24),
    group("log_volume", windows=[1, 6], baseline=48, half_life=3),
    group("log_range", windows=[5, 24]),
    group("log_mean_abs_return", windows=[6]),
    group("downside_share", windows=[6]),
    group("distance_to_extremes", windows=[24]),
    group("scaled_return", windows=[[1, 24], [3, 6]]),
    group("close_location"),
    group("lagged_return", lags=[0, 2]),
    group(
        "recent_bars",
        lookback=3,
        baseline=48,
        inputs=["return", "location", "excess_volatility", "excess_volume", "high", "ndx"],
    ),
    group("last_close"),
    group("as_of_return", "ndx", windows=[1, 3]),
    group("as_of_level", "ndx"),
    group("as_of_age", "ndx"),
)
"""Every kind of observed feature, with windows that fit a series of a few days."""
