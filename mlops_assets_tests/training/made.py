"""Design rows made up for tests of fits: a known signal, known volatility, gaps in the inputs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from mlops_assets.problem import ForecastProblem
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.recipe import Recipe, build_recipes
from mlops_assets_tests.features.series import at, small_problem

COLUMNS: Final = ("level", "noise", "holed")
AVAILABLE: Final = (*COLUMNS, "last_close", "valid_time_hours")
"""All feature columns of `design_rows`."""

FEATURE_SETS: Final = {
    "all": list(COLUMNS),
    "one": ["level"],
    "volatility": ["level", "holed"],
    "price_and_time": ["last_close", "valid_time_hours"],
}
CANDIDATES: Final[dict[str, dict[str, Any]]] = {
    "last_value": {"family": "last_value", "baseline": True, "scaled_target": False},
    "drift": {"family": "drift", "baseline": True, "scaled_target": False},
    "ridge": {
        "family": "ridge",
        "features": "all",
        "target_clip": 4,
        "params": {"alpha": 10, "clip_quantile": 0.01},
    },
    "own_feature": {"family": "feature", "features": "one", "scaled_target": False},
    "best": {"family": "best_feature", "features": "all"},
    "average": {
        "family": "average",
        "params": {"members": {"ridge": 3, "hist_gradient_boosting": 1}},
    },
    "random_forest": {
        "family": "random_forest",
        "features": "all",
        "window": "30d",
        "params": {"trees": 10, "max_depth": 5, "min_samples_leaf": 20},
    },
    "hist_gradient_boosting": {
        "family": "hist_gradient_boosting",
        "features": "all",
        "params": {
            "iterations": 15,
            "learning_rate": 0.1,
            "max_leaf_nodes": 6,
            "min_samples_leaf": 20,
        },
    },
    "lstm": {
        "family": "lstm",
        "features": "all",
        "target_clip": 4,
        "params": {"lookback": 1, "hidden": 4, "epochs": 2, "seeds": 2},
    },
    "transformer": {
        "family": "transformer",
        "features": "all",
        "target_clip": 4,
        "params": {"lookback": 1, "width": 4, "epochs": 2},
    },
    "prophet": {
        "family": "prophet",
        "features": "price_and_time",
        "scaled_target": False,
        "promotable": False,
        "window": "20d",
        "params": {"changepoints": 3, "daily": 2, "weekly": 1},
    },
}
"""One candidate of each family."""


def problem(**candidates: dict[str, Any]) -> ForecastProblem:
    """A problem whose candidates are those above, changed or joined by `candidates`."""
    return small_problem(
        feature_sets=FEATURE_SETS,
        scale={"features": "volatility", "alpha": 1.0},
        candidates={**CANDIDATES, **candidates},
    )


def recipes(**candidates: dict[str, Any]) -> dict[str, Recipe]:
    """The recipes of `problem(**candidates)`."""
    return build_recipes(problem(**candidates), list(AVAILABLE))


def design_rows(count: int = 1500, *, seed: int = 0) -> pl.DataFrame:
    """Rows with targets, one an hour, each known an hour after its origin.

    Log volatility is `log(0.004) + 0.3 level`, the location of the scaled return 0.3 noise; a
    tenth of `holed` and of `noise` is missing.
    """
    rng = np.random.default_rng(seed)
    level, noise, holed = rng.normal(size=(3, count))
    location = np.where(rng.random(count) < 0.1, np.nan, noise)
    log_volatility = np.log(0.004) + 0.3 * level + 0.1 * rng.normal(size=count)
    scaled = 0.3 * np.nan_to_num(location) + rng.normal(size=count)
    log_return = scaled * np.exp(log_volatility)
    last_value = 100 * np.exp(np.concatenate([[0.0], np.cumsum(log_return)[:-1]]))
    frame = pl.DataFrame(
        {
            "series": ["coin"] * count,
            "segment": ["coin"] * count,
            "origin": [at(k) for k in range(count)],
            "last_observed": [at(k) for k in range(count)],
            "last_value": last_value,
            "max_known_at": [at(k) for k in range(count)],
            "step": [1] * count,
            "valid_time": [at(k + 1) for k in range(count)],
            "level": level,
            "noise": location,
            "holed": np.where(rng.random(count) < 0.1, np.nan, holed),
            "last_close": last_value,
            "valid_time_hours": [at(k + 1).timestamp() / 3600 for k in range(count)],
            "target_known_at": [at(k + 1) for k in range(count)],
            "actual": last_value * np.exp(log_return),
            "log_volatility": log_volatility,
            "realised": log_return,
            "season_change": np.abs(last_value * np.expm1(log_return)),
        }
    )
    return frame.with_columns(pl.col("noise", "holed").fill_nan(None))


def inputs(rows: int, columns: int, *, seed: int = 1, missing: float = 0.1) -> FloatArray:
    """Random inputs (rows, columns) on very different scales, some of them missing."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns)) * 10.0 ** np.arange(columns) + 3
    return np.where(rng.random((rows, columns)) < missing, np.nan, values)
