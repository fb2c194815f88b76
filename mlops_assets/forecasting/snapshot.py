"""What a snapshot holds: inputs, calibration, observed values, and what is told about the past.

Here: its content as frames and bytes. Not here: scores, verdicts and forecasts as they were made
(`published_evidence`), writing it (`storage.publication`) and its shape
(`serving.contract.snapshot`, owned by the service).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from mlops_assets.forecasting.live import calibrate
from mlops_assets.forecasting.monitoring_figures import monitoring_figures
from mlops_assets.forecasting.published_evidence import (
    as_json,
    newest_groups,
    published_answers,
    published_drift,
    published_forecasts,
    published_live_scores,
    published_replays,
    published_verdicts,
)
from mlops_assets.forecasting.watch_tables import WatchTables
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.champion import newest_verdict
from mlops_assets.tables.layouts import layout_of
from mlops_assets.training.bands import calibration_columns
from serving.contract import snapshot

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
    champion: pl.DataFrame,
    watched: WatchTables,
    as_of: datetime,
) -> dict[str, bytes | pl.DataFrame]:
    """The files of a snapshot by name.

    Args:
        problem: names the band.
        rows: design rows of the origins within `INPUT_WINDOW`.
        observations: bitemporal.
        backtest: for the calibration of each recipe.
        forecasts: live forecasts of all versions.
        leaderboard: of the evaluation.
        champion: history of verdicts, newest last, at least one.
        watched: what watches the forecasts; files of what is absent are left out.
        as_of: the instant of publication.
    """
    newest = rows["origin"].max()
    assert isinstance(newest, datetime)
    recent = _recent(rows, newest)
    monitoring = monitoring_figures(observations, champion, watched, as_of=as_of)
    return {
        snapshot.INPUTS: recent.drop("max_known_at"),
        snapshot.CALIBRATION: _calibration(recent, backtest, problem),
        snapshot.FORECASTS: published_forecasts(forecasts, champion, until=newest, as_of=as_of),
        snapshot.OBSERVED: _observed(observations, newest - OBSERVED_WINDOW, problem),
        snapshot.LEADERBOARD: leaderboard.write_json().encode(),
        snapshot.VERDICT: as_json(newest_verdict(champion)),
        snapshot.VERDICTS: published_verdicts(champion, as_of=as_of),
        snapshot.MONITORING: monitoring.model_dump_json(indent=2).encode(),
        snapshot.REPLAYS: published_replays(watched.replays),
        **_watched_files(watched, as_of),
    }


def _watched_files(watched: WatchTables, as_of: datetime) -> dict[str, bytes | pl.DataFrame]:
    """The files of the tables that exist and have something to tell."""
    files: dict[str, bytes | pl.DataFrame] = {}
    if watched.live_scores is not None:
        files[snapshot.LIVE_SCORES] = published_live_scores(watched.live_scores, as_of=as_of)
    if watched.drift_report is not None:
        drift = published_drift(watched.drift_report, as_of=as_of)
        if drift is not None:
            files[snapshot.DRIFT] = drift.model_dump_json(indent=2).encode()
    if watched.answers is not None:
        files[snapshot.ANSWERS] = published_answers(watched.answers)
    return files


def _recent(rows: pl.DataFrame, newest: datetime) -> pl.DataFrame:
    young = rows.filter(pl.col("origin") > newest - INPUT_WINDOW)
    return newest_groups(young, "origin", max_rows=INPUT_ROWS)


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
    kept = newest_groups(current, "valid_time", max_rows=snapshot.OBSERVED_ROWS)
    return kept.select("series", "valid_time", *columns).sort("series", "valid_time")
