"""Processes and tables for tests of the drift report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.monitoring.drift.report import Reference
from mlops_assets.monitoring.drift.windows import History, Pair, newest_pair
from mlops_assets.problem import Drift, ForecastProblem
from mlops_assets_tests.evaluation.frames import small_problem

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
QUARTER_DAY = timedelta(hours=6)
RECIPE = "ridge-1"

FloatArray = npt.NDArray[np.float64]


def drifting(*features: str, current: timedelta = WEEK, budget: float = 4.0) -> Drift:
    """Rules of drift for these features."""
    return Drift(features=features, current=current, false_alarms_per_year=budget)


def problem(*features: str, current: timedelta = WEEK) -> ForecastProblem:
    """The hourly problem, watched for drift."""
    return small_problem().model_copy(update={"drift": drifting(*features, current=current)})


def autoregressive(noise: FloatArray, *, persistence: float) -> FloatArray:
    """AR(1) along the last axis, scaled to the spread of its noise; its first 50 steps warm up."""
    values = noise.copy()
    for step in range(1, noise.shape[-1]):
        values[..., step] += persistence * values[..., step - 1]
    settled: FloatArray = values[..., 50:] * np.sqrt(1 - persistence**2)
    return settled


def history(values: FloatArray, *, every: timedelta = QUARTER_DAY) -> History:
    """Values of one column from `START` on."""
    steps = np.arange(len(values)) * np.timedelta64(every)
    return History(np.datetime64(START.replace(tzinfo=None), "us") + steps, values)


def pair_at(day: int, *, length: timedelta = WEEK) -> Pair:
    """The pair of an origin so many days after `START`; the champion saw all before the stretch."""
    newest = START + day * DAY
    return newest_pair(newest, length=length, training_start=START, refit_at=newest)


def reference(refit_at: datetime) -> Reference:
    """A champion fitted on all from `START` until then."""
    return Reference(version="7", recipe_id=RECIPE, training_start=START, refit_at=refit_at)


def feature_table(values: FloatArray, *, series: str = "coin") -> pl.DataFrame:
    """An hourly feature table: `calm` is given, the price is a steep exponential."""
    origins = [START + k * HOUR for k in range(len(values))]
    return pl.DataFrame(
        {
            "series": series,
            "origin": origins,
            "last_observed": origins,
            "last_value": 100 * np.exp(0.01 * np.arange(len(values))),
            "max_known_at": origins,
            "calm": values,
        },
        schema_overrides={
            **dict.fromkeys(("origin", "last_observed", "max_known_at"), pl.Datetime("us", "UTC")),
            "series": pl.String,
            "last_value": pl.Float64,
        },
    )


def forecasts_of(features: pl.DataFrame, *, error: float = 0.0) -> pl.DataFrame:
    """The recipe's forecasts from each origin: the next price, times `1 + error`."""
    ahead = features.with_columns(actual=pl.col("last_value").shift(-1)).drop_nulls("actual")
    return ahead.select(
        "series",
        "origin",
        pl.lit(RECIPE).alias("recipe_id"),
        pl.lit("7").alias("version"),
        pl.lit(1, dtype=pl.Int64).alias("step"),
        (pl.col("origin") + HOUR).alias("valid_time"),
        (pl.col("origin") + HOUR).alias("target_known_at"),
        "last_value",
        (pl.col("actual") * (1 + error)).alias("point"),
        "actual",
    )
