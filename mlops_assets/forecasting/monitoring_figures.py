"""How the pipeline itself is doing, for the snapshot's `monitoring.json`.

Here: figures from the tables that watch the forecasts, where they exist. Not here: reading those
tables (`forecasting.watch_tables`) and the form of the file (`serving.contract.monitoring`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from mlops_assets.forecasting.watch_tables import WatchTables
from serving.contract.monitoring import (
    ChampionFigures,
    ControlFigures,
    DriftFigures,
    LiveFigures,
    Monitoring,
)

LIVE_WINDOW: Final = timedelta(days=28)
"""Live figures are of the champion's forecasts that came true within so long before the newest."""


def monitoring_figures(
    observations: pl.DataFrame,
    champion: pl.DataFrame,
    watched: WatchTables,
    *,
    as_of: datetime,
) -> Monitoring:
    """The figures as of an instant.

    Args:
        observations: bitemporal, at least one row.
        champion: history of verdicts, newest last, at least one row.
        watched: live scores, control and drift.
        as_of: the instant of publication.
    """
    newest = observations["valid_time"].max()
    assert isinstance(newest, datetime)
    return Monitoring(
        as_of=as_of,
        newest_valid_time=newest,
        observations_rows=len(observations),
        champion=_champion(champion),
        live=_live(watched.live_scores),
        control=_control(watched.control),
        drift=_drift(watched.drift_report),
    )


def _champion(history: pl.DataFrame) -> ChampionFigures:
    """The holder, since the oldest verdict of the unbroken row of verdicts that it holds."""
    newest = history.row(-1, named=True)
    # `rle_id` numbers runs of equal versions; the last run is the holder's.
    runs = history["version"].rle_id()
    since = history.filter(runs == runs[-1])["as_of"].min()
    assert isinstance(since, datetime)
    return ChampionFigures(candidate=newest["candidate"], version=newest["version"], since=since)


def _live(scores: pl.DataFrame | None) -> LiveFigures | None:
    if scores is None:
        return None
    own = scores.filter(pl.col("role") == "champion")
    recent = own.filter(pl.col("valid_time") > pl.col("valid_time").max() - LIVE_WINDOW)
    if recent.is_empty():
        return None
    mae, coverage = recent.select(
        pl.col("absolute_error").mean(), pl.col("covered").cast(pl.Float64).mean()
    ).row(0)
    return LiveFigures(n=len(recent), mae=mae, coverage=coverage)


def _control(tests: pl.DataFrame | None) -> ControlFigures | None:
    if tests is None or tests.is_empty():
        return None
    return ControlFigures(alarm=bool(tests["alarm"].any()))


def _drift(reports: pl.DataFrame | None) -> DriftFigures | None:
    """Figures of the newest report, which are the same in each of its rows."""
    if reports is None or reports.is_empty():
        return None
    newest = reports.filter(pl.col("as_of") == pl.col("as_of").max()).row(-1, named=True)
    return DriftFigures(
        share_drifted=newest["share_drifted"], concept_drift=newest["concept_drift"]
    )
