"""A small market with a planted reversal, the problem that forecasts it, and its tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import yaml

from mlops_assets.evaluation.folds import Fold
from mlops_assets.features.design import add_targets, feature_columns, lay_rows
from mlops_assets.features.feature_set import compute_features
from mlops_assets.ingestion.observations import observe
from mlops_assets.problem import ForecastProblem
from mlops_assets.tables.candles import RAW_CANDLES
from mlops_assets.tables.raw import month_of_open
from mlops_assets.training.recipe import Recipe, build_recipes

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
START: Final = datetime(2025, 5, 1, tzinfo=UTC)
DAYS: Final = 40
AS_OF: Final = START + DAYS * DAY
"""The newest close of `market()`: the eighth refit of the five-day grid."""
NAME: Final = "coin_close"

_BARS: Final = {"kind": "candles", "period": "1h", "plausible": [0.01, 1e6], "start": START}
_ATTRIBUTES: Final[dict[str, Any]] = {
    "name": NAME,
    "title": "Coin, close of the next hour",
    "description": "A market whose returns reverse.",
    "owners": ["team:tests"],
    "frequency": "1h",
    "horizon": 1,
    "target": {"source": "coin"},
    "sources": {
        "coin": {
            **_BARS,
            "role": "target",
            "title": "Coin",
            "unit": "USDT",
            "files": [{"path": "coin.parquet"}],
        },
        "index": {
            **_BARS,
            "role": "exogenous",
            "title": "Index",
            "unit": "points",
            "max_age": "6h",
            "files": [{"path": "index.csv", "time_column": "time"}],
        },
    },
    "features": [
        {"kind": "scaled_return", "source": "coin", "params": {"windows": [[1, 24]]}},
        {"kind": "close_location", "source": "coin"},
        {"kind": "log_rms_volatility", "source": "coin", "params": {"windows": [3, 24]}},
        {"kind": "as_of_return", "source": "index", "params": {"windows": [1]}},
        {"kind": "us_session", "source": "calendar"},
    ],
    "feature_sets": {
        "volatility": ["coin_log_*", "us_*"],
        "reversal": ["coin_scaled_*", "coin_close_location"],
        "wide": ["coin_*", "index_*"],
    },
    "scale": {"features": "volatility", "alpha": 10},
    "candidates": {
        "last_value": {"family": "last_value", "baseline": True, "scaled_target": False},
        "ridge": {"family": "ridge", "features": "reversal", "params": {"alpha": 1.0}},
        "boosting": {
            "family": "hist_gradient_boosting",
            "features": "wide",
            "window": "21d",
            "params": {
                "iterations": 15,
                "learning_rate": 0.1,
                "max_leaf_nodes": 4,
                "min_samples_leaf": 40,
            },
        },
    },
    "band": {"coverage": 0.9, "window": 200, "calibration": "5d"},
    "evaluation": {"refit_every": "5d", "anchor": START, "folds": 2, "credible_rmse_ratio": 0.5},
    "promotion": {"looks_per_year": 52},
    "retrain_cron": "0 6 * * 4",
    "freshness": {
        name: {"warn_after": "2h", "fail_after": "4h"} for name in ("raw", "features", "models")
    },
}


def attributes(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  (parts of a YAML document)
    """The problem's YAML `attributes`; `changes` replace whole keys."""
    return _ATTRIBUTES | changes


def problem(**changes: Any) -> ForecastProblem:  # noqa: ANN401
    """The problem; `changes` replace whole keys of its `attributes`."""
    return ForecastProblem.model_validate(attributes(**changes))


def candidates(*names: str, **params: Mapping[str, Any]) -> dict[str, Any]:
    """Only the named candidates; `params` are added to the parameters of the candidate so named."""
    chosen = {}
    for name in names:
        known = _ATTRIBUTES["candidates"][name]
        chosen[name] = {**known, "params": {**known.get("params", {}), **params.get(name, {})}}
    return chosen


def market(
    days: int = DAYS, *, reversal: float = 0.5, seed: int = 1, start: datetime = START
) -> pl.DataFrame:
    """Hourly bars as a source delivers them, by their open.

    The log return of an hour is `-reversal` times that of the hour before plus normal noise of
    0.5 %.
    """
    random, hours = np.random.default_rng(seed), days * 24
    shocks = random.normal(0, 0.005, hours)
    returns = np.empty(hours)
    before = 0.0
    for hour in range(hours):
        before = -reversal * before + shocks[hour]
        returns[hour] = before
    close = 100 * np.exp(np.cumsum(returns))
    opened = np.concatenate([[100.0], close[:-1]])
    reach = np.abs(random.normal(0, 0.002, (2, hours)))
    return pl.DataFrame(
        {
            "timestamp": [start + hour * HOUR for hour in range(hours)],
            "open": opened,
            "high": np.maximum(opened, close) * (1 + reach[0]),
            "low": np.minimum(opened, close) * (1 - reach[1]),
            "close": close,
            "volume": random.uniform(1, 2, hours),
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def write_files(folder: Path, coin: pl.DataFrame, index: pl.DataFrame) -> None:
    """The files of the problem: Parquet for the target, CSV for the index."""
    folder.mkdir(parents=True, exist_ok=True)
    coin.write_parquet(folder / "coin.parquet")
    text = pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("time")
    index.select(text, pl.exclude("timestamp")).write_csv(folder / "index.csv")


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """`content` as the `attributes` of a problem's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "type": "mlops_assets.components.forecast_pipeline.ForecastPipeline",
        "attributes": dict(content),
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def raw(bars: pl.DataFrame, name: str, *, known_at: datetime | None = None) -> pl.DataFrame:
    """Bars as the raw table holds them, known at their close unless `known_at` is given."""
    close = pl.col("timestamp") + HOUR
    return RAW_CANDLES.conform(
        bars.with_columns(
            series=pl.lit(name),
            valid_time=close,
            known_at=pl.lit(known_at) if known_at else close,
            fetched_at=pl.lit(datetime(2026, 1, 1, tzinfo=UTC)),
            assumed=pl.lit(known_at is None),
        ).with_columns(month_of_open(HOUR))
    )


def observed(
    described: ForecastProblem,
    coin: pl.DataFrame,
    *,
    as_of: datetime = AS_OF,
    corrections: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The observations at `as_of`; `corrections` are raw rows of later versions."""
    target = raw(coin, "coin")
    if corrections is not None:
        target = pl.concat([target, corrections])
    index = raw(market(reversal=0.0, seed=2), "index")
    return observe(target, {"index": index}, described, as_of)


def designed(described: ForecastProblem, observations: pl.DataFrame) -> pl.DataFrame:
    """Design rows with targets, as backtest and final fits get them."""
    rows = lay_rows(compute_features(observations, described), described, steps=[1])
    return add_targets(rows, observations, described)


def recipes(described: ForecastProblem, rows: pl.DataFrame) -> dict[str, Recipe]:
    """The problem's recipes on these rows."""
    return build_recipes(described, feature_columns(rows))


def origins_of(fold: Fold) -> list[datetime]:
    """The hourly origins in [refit_at, end)."""
    return [fold.refit_at + k * HOUR for k in range((fold.end - fold.refit_at) // HOUR)]
