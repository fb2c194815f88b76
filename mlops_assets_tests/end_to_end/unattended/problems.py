"""Two small problems for unattended runs: hourly bars, and daily shares of a small panel."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from mlops_assets.problem import ForecastProblem

DAY: Final = timedelta(days=1)
_FRESH: Final = {"warn_after": "61s", "fail_after": "62s"}
_RULES: Final[dict[str, Any]] = {
    "owners": ["team:tests"],
    "promotion": {"looks_per_year": 52},
    "retrain_cron": "0 6 * * 1",
    "freshness": {
        "raw": _FRESH,
        "features": {"warn_after": "1h", "fail_after": "2h"},
        "models": {"warn_after": "8d", "fail_after": "10d"},
    },
}


def walk_problem(start: datetime) -> ForecastProblem:
    """Hourly bars with a planted reversal; history of 30 days before `start`."""
    source = {
        "kind": "candles",
        "role": "target",
        "title": "Walk",
        "unit": "points",
        "period": "1h",
        "plausible": [0.01, 1e9],
        "start": _midnight(start) - 30 * DAY,
        "sample": {
            "start": _midnight(start) - 30 * DAY,
            "price": 100,
            "volatility_pct": 0.5,
            "reversal": 0.5,
            "credible_rmse_ratio": 0.3,
        },
    }
    return ForecastProblem.model_validate(
        {
            **_RULES,
            "name": "quick_walk",
            "title": "Quick walk",
            "description": "The close of the next hour, for unattended runs.",
            "frequency": "1h",
            "horizon": 1,
            "target": {"source": "walk"},
            "sources": {"walk": source},
            "features": [
                {"kind": "scaled_return", "source": "walk", "params": {"windows": [[1, 24]]}},
                {"kind": "log_rms_volatility", "source": "walk", "params": {"windows": [3, 24]}},
            ],
            "feature_sets": {"volatility": ["walk_log_*"], "reversal": ["walk_scaled_*"]},
            "scale": {"features": "volatility", "alpha": 10},
            "candidates": {
                "last_value": {"family": "last_value", "baseline": True, "scaled_target": False},
                "ridge": {"family": "ridge", "features": "reversal", "params": {"alpha": 1.0}},
            },
            "band": {"window": 200, "calibration": "5d"},
            "evaluation": {"refit_every": "5d", "anchor": _midnight(start), "folds": 2},
        }
    )


def share_problem(start: datetime) -> ForecastProblem:
    """Daily shares of two brands by place; history of 150 days before `start`."""
    began = _midnight(start) - 150 * DAY
    source = {
        "kind": "values",
        "role": "target",
        "title": "Shares",
        "unit": "%",
        "period": "1d",
        "plausible": [0, 100],
        "start": began,
        "keys": {"brand": ["one", "two"], "place": ["north", "south"]},
        "sums_to": {"total": 100, "within": ["place"]},
        "sample": {"start": began},
    }
    return ForecastProblem.model_validate(
        {
            **_RULES,
            "name": "quick_share",
            "title": "Quick share",
            "description": "Shares of the next days, for unattended runs.",
            "frequency": "1d",
            "horizon": 2,
            "target": {"source": "search", "column": "value", "transform": "share"},
            "sources": {"search": source},
            "features": [
                {"kind": "lagged_value", "source": "search", "params": {"lags": [0]}},
                {"kind": "rolling_mean", "source": "search", "params": {"windows": [14]}},
                {"kind": "segment_count", "source": "search", "params": {"rate": 0.1}},
            ],
            "feature_sets": {"last": ["search_lag_0"], "mean": ["search_mean_14"]},
            "candidates": {
                "last_value": {"family": "feature", "baseline": True, "features": "last"},
                "mean": {"family": "feature", "features": "mean"},
            },
            "band": {
                "method": "angular",
                "window": 60,
                "half_life": 30,
                "count_feature": "log_count",
                "level_feature": "search_mean_14",
                "calibration": "28d",
            },
            "evaluation": {
                "refit_every": "14d",
                "anchor": began,
                "folds": 3,
                "leads": [1, 2],
            },
        }
    )


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)
