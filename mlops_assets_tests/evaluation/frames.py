"""Hand-made problems and backtest frames for tests of evaluation and of the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
) -> ForecastProblem:
    """An hourly problem with a 90 % band; the parts that the tests vary are arguments."""
    return ForecastProblem.model_validate(
        {
            "name": "coin_close",
            "title": "Coin, close of the next hour",
            "description": "For tests.",
            "owners": ["team:tests"],
            "frequency": "1h",
            "horizon": 1,
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


def share_problem(
    *,
    brands: Sequence[str] = ("ade", "brew"),
    leads: Sequence[int] = (1, 3),
    evaluation: Mapping[str, Any] | None = None,
    promotion: Mapping[str, Any] | None = None,
) -> ForecastProblem:
    """A daily panel of shares, brand by gender, Korean days; the brands of a gender sum to 100."""
    source = {
        "kind": "values",
        "role": "target",
        "title": "Drinks",
        "unit": "%",
        "period": "1d",
        "plausible": [0, 100],
        "start": "2024-01-01T00:00:00+09:00",
        "zone": "Asia/Seoul",
        "keys": {"brand": list(brands), "gender": ["male", "female"]},
        "sums_to": {"total": 100, "within": ["gender"]},
    }
    band = {"method": "angular", "window": 90, "half_life": 45, "calibration": "90d"}
    return ForecastProblem.model_validate(
        {
            **small_problem(promotion=promotion).model_dump(),
            "name": "drink_share",
            "title": "Drinks, share of searches",
            "frequency": "1d",
            "horizon": max(leads),
            "target": {"source": "drinks", "column": "value", "transform": "share"},
            "sources": {"drinks": source},
            "scale": None,
            "band": {**band, "count_feature": "log_count", "level_feature": "level"},
            "evaluation": {
                "refit_every": "7d",
                "anchor": START,
                "folds": 12,
                "guards": [],
                "leads": list(leads),
                **(evaluation or {}),
            },
        }
    )


def share_frame(
    problem: ForecastProblem,
    errors: Mapping[str, Callable[[str, int, int], float]],
    *,
    days: int = 3,
    half_width: float = 1.0,
    baselines: Sequence[str] = ("last_value",),
) -> pl.DataFrame:
    """A backtest of every series of a share problem at each of its leads, for each valid day.

    Args:
        problem: as `share_problem` gives it.
        errors: candidate -> forecast minus actual by series, step and day (from 0).
        days: valid days; the first starts at `START`.
        half_width: bands are point +- this.
        baselines: which candidates are.
    """
    day = timedelta(days=1)
    rows = []
    for name, error in errors.items():
        for place, series in enumerate(problem.series):
            for step in problem.evaluation.leads:
                for number in range(days):
                    valid = START + (number + 1) * day
                    actual = 10.0 + 10 * place + number
                    point = actual + error(series, step, number)
                    rows.append(
                        {
                            "candidate": name,
                            "recipe_id": f"{name}-1",
                            "baseline": name in baselines,
                            "refit_at": START,
                            "series": series,
                            "segment": problem.segment_of(series),
                            "origin": valid - step * day,
                            "last_observed": valid - step * day,
                            "valid_time": valid,
                            "step": step,
                            "last_value": actual,
                            "actual": actual,
                            "point": point,
                            "lower": point - half_width,
                            "upper": point + half_width,
                            "mase_scale": 2.0,
                        }
                    )
    return pl.DataFrame(rows)


def backtest_frame(
    actual: Values,
    points: Mapping[str, Values],
    *,
    last_value: Values | float = 100.0,
    half_width: float = 1.0,
    baselines: Sequence[str] = ("last_value",),
    refit_every: timedelta = timedelta(days=7),
    mase_scale: float = 2.0,
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
                "segment": ["coin"] * n,
                "origin": origins,
                "last_observed": origins,
                "valid_time": [o + HOUR for o in origins],
                "step": [1] * n,
                "last_value": last,
                "actual": np.asarray(actual, dtype=np.float64),
                "point": np.asarray(point, dtype=np.float64),
                "lower": np.asarray(point, dtype=np.float64) - half_width,
                "upper": np.asarray(point, dtype=np.float64) + half_width,
                "mase_scale": [mase_scale] * n,
            }
        )
        for name, point in points.items()
    )
