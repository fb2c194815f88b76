"""What a snapshot holds: inputs, calibration, forecasts, observed values, evidence.

Here: its content as frames and bytes. Not here: writing it (`storage.publication`) and its shape
(`serving.contract.snapshot`, owned by the service).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from mlops_assets.forecasting.live import SCHEMA, calibrate
from mlops_assets.problem import ForecastProblem
from mlops_assets.training.intervals import LEAST_SCORES
from serving.contract import snapshot

INPUT_WINDOW: Final = timedelta(days=14)
"""Origins whose inputs are published."""
OBSERVED_WINDOW: Final = timedelta(days=90)
"""Observed values that are published for charts."""


def snapshot_files(
    problem: ForecastProblem,
    *,
    rows: pl.DataFrame,
    observations: pl.DataFrame,
    backtest: pl.DataFrame,
    forecasts: pl.DataFrame,
    leaderboard: pl.DataFrame,
    verdict: Mapping[str, object],
) -> dict[str, bytes | pl.DataFrame]:
    """The files of a snapshot by name.

    Args:
        problem: names the band.
        rows: design rows of all origins.
        observations: bitemporal.
        backtest: for the calibration of each recipe.
        forecasts: live forecasts of all versions.
        leaderboard: of the evaluation.
        verdict: the newest one, as JSON data.
    """
    newest = rows["origin"].max()
    assert isinstance(newest, datetime)
    recent = rows.filter(pl.col("origin") > newest - INPUT_WINDOW)
    return {
        snapshot.INPUTS: recent.drop("max_known_at"),
        snapshot.CALIBRATION: _calibration(recent, backtest, problem),
        snapshot.FORECASTS: forecasts.filter(
            pl.col("origin").is_between(newest - OBSERVED_WINDOW, newest, closed="right")
        ).select([c for c in SCHEMA if c not in {"max_known_at", "last_value"}]),
        snapshot.OBSERVED: _observed(observations, newest - OBSERVED_WINDOW),
        snapshot.LEADERBOARD: leaderboard.write_json().encode(),
        snapshot.VERDICT: json.dumps(verdict, indent=2).encode(),
    }


def _calibration(
    recent: pl.DataFrame, backtest: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """Band quantiles of every recipe at the recent origins that its backtest reaches."""
    known = backtest["target_known_at"].unique().sort()
    first = known[min(LEAST_SCORES, len(known) - 1)]
    reached = recent.filter(pl.col("origin") >= first, pl.col("step") == 1)
    parts = [
        calibrate(reached, backtest, recipe_id, problem).select(
            pl.lit(recipe_id).alias("recipe_id"), "series", "origin", snapshot.BAND_QUANTILE
        )
        for recipe_id in backtest["recipe_id"].unique().sort()
    ]
    return pl.concat(parts)


def _observed(observations: pl.DataFrame, since: datetime) -> pl.DataFrame:
    current = observations.filter(pl.col("superseded_at").is_null(), pl.col("valid_time") > since)
    return current.select("series", "valid_time", "open", "high", "low", "close", "volume").sort(
        "series", "valid_time"
    )
