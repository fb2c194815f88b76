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
from mlops_assets.tables.layouts import layout_of
from mlops_assets.training.bands import calibration_columns
from serving.contract import snapshot
from serving.contract.monitoring import Monitoring

INPUT_WINDOW: Final = timedelta(days=14)
"""Origins whose inputs are published: at most so old."""
INPUT_ROWS: Final = 6000
"""At most so many rows of inputs, whole origins, since serving holds them and the calibration of
every recipe for them in memory."""
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
    monitoring: Monitoring,
) -> dict[str, bytes | pl.DataFrame]:
    """The files of a snapshot by name.

    Args:
        problem: names the band.
        rows: design rows of the origins within `INPUT_WINDOW`.
        observations: bitemporal.
        backtest: for the calibration of each recipe.
        forecasts: live forecasts of all versions.
        leaderboard: of the evaluation.
        verdict: the newest one, as JSON data.
        monitoring: how the pipeline is doing.
    """
    newest = rows["origin"].max()
    assert isinstance(newest, datetime)
    recent = _recent(rows, newest)
    return {
        snapshot.INPUTS: recent.drop("max_known_at"),
        snapshot.CALIBRATION: _calibration(recent, backtest, problem),
        snapshot.FORECASTS: forecasts.filter(
            pl.col("origin").is_between(newest - OBSERVED_WINDOW, newest, closed="right")
        ).select([c for c in SCHEMA if c not in {"max_known_at", "last_value"}]),
        snapshot.OBSERVED: _observed(observations, newest - OBSERVED_WINDOW, problem),
        snapshot.LEADERBOARD: leaderboard.write_json().encode(),
        snapshot.VERDICT: json.dumps(verdict, indent=2).encode(),
        snapshot.MONITORING: monitoring.model_dump_json(indent=2).encode(),
    }


def _recent(rows: pl.DataFrame, newest: datetime) -> pl.DataFrame:
    counted = rows.group_by("origin").len().sort("origin", descending=True)
    kept = counted.filter(
        (pl.col("len").cum_sum() <= INPUT_ROWS) | (pl.col("origin") == newest),
        pl.col("origin") > newest - INPUT_WINDOW,
    )
    return rows.join(kept.select("origin"), on="origin", how="semi", maintain_order="left")


def _calibration(
    recent: pl.DataFrame, backtest: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """Band quantiles of every recipe at the recent origins that its backtest reaches."""
    known = backtest["target_known_at"].unique().sort()
    first = known[min(problem.band.least, len(known) - 1)]
    reached = recent.filter(pl.col("origin") >= first)
    parts = [
        calibrate(reached, backtest, recipe_id, problem).select(
            pl.lit(recipe_id).alias("recipe_id"),
            *("series", "origin", "step"),
            *calibration_columns(problem),
        )
        for recipe_id in backtest["recipe_id"].unique().sort()
    ]
    return pl.concat(parts)


def _observed(
    observations: pl.DataFrame, since: datetime, problem: ForecastProblem
) -> pl.DataFrame:
    columns = layout_of(problem.target_source.kind).value_names
    current = observations.filter(pl.col("superseded_at").is_null(), pl.col("valid_time") > since)
    return current.select("series", "valid_time", *columns).sort("series", "valid_time")
