"""Hand-made problems and backtest frames for tests of evaluation and of the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.problem import ForecastProblem

START = datetime(2024, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
Values = Sequence[float] | npt.NDArray[np.float64]

_SOURCE = {
    "kind": "candles",
    "role": "target",
    "title": "Coin",
    "unit": "USDT",
    "period": "1h",
    "plausible": [1, 1e6],
    "start": "2024-01-01T00:00:00Z",
}


def small_problem(
    *,
    evaluation: Mapping[str, Any] | None = None,
    promotion: Mapping[str, Any] | None = None,
    horizon: int = 1,
) -> ForecastProblem:
    """An hourly problem with a 90 % band; the parts that the tests vary are arguments."""
    return ForecastProblem.model_validate(
        {
            "name": "coin_close",
            "title": "Coin, close of the next hour",
            "description": "For tests.",
            "owners": ["team:tests"],
            "frequency": "1h",
            "horizon": horizon,
            "target": {"source": "coin"},
            "sources": {"coin": _SOURCE},
            "features": [],
            "feature_sets": {"volatility": ["*"]},
            "scale": {"features": "volatility", "alpha": 1.0},
            "candidates": {"last_value": {"family": "last_value", "baseline": True}},
            "band": {"coverage": 0.9, "window": 100, "calibration": "10d"},
            "evaluation": {
                "refit_every": "7d",
                "anchor": START,
                "folds": 12,
                "guards": [],
                **(evaluation or {}),
            },
            "promotion": {"looks_per_year": 52, **(promotion or {})},
            "retrain_cron": "0 6 * * 1",
            "freshness": {},
        }
    )


def backtest_frame(
    actual: Values,
    points: Mapping[str, Values],
    *,
    last_value: Values | float = 100.0,
    half_width: float = 1.0,
    baselines: Sequence[str] = ("last_value",),
    refit_every: timedelta = timedelta(days=7),
) -> pl.DataFrame:
    """An hourly backtest of one series at step 1 from `START`; bands are point +- half width.

    Recipe ids are `<candidate>-1`.
    """
    n = len(actual)
    origins = [START + k * HOUR for k in range(n)]
    last = np.broadcast_to(np.asarray(last_value, dtype=np.float64), n)
    return pl.concat(
        pl.DataFrame(
            {
                "candidate": [name] * n,
                "recipe_id": [f"{name}-1"] * n,
                "baseline": [name in baselines] * n,
                "refit_at": [START + ((o - START) // refit_every) * refit_every for o in origins],
                "series": ["coin"] * n,
                "origin": origins,
                "last_observed": origins,
                "valid_time": [o + HOUR for o in origins],
                "step": [1] * n,
                "last_value": last,
                "actual": np.asarray(actual, dtype=np.float64),
                "point": np.asarray(point, dtype=np.float64),
                "lower": np.asarray(point, dtype=np.float64) - half_width,
                "upper": np.asarray(point, dtype=np.float64) + half_width,
            }
        )
        for name, point in points.items()
    )
