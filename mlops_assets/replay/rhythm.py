"""When a step of a replay does more than forecast: the rules by which production automates itself.

Here: pure rules over the finished steps. Not here: the same rules as conditions that Dagster's
daemon evaluates (`automation`), and what a step then runs (`selection`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg

from mlops_assets.orchestration.trigger import Trigger
from mlops_assets.problem import ForecastProblem
from mlops_assets.replay.progress import Progress

_SECONDS: Final = "%Y-%m-%dT%H:%M:%S"


def ticked(cron: str, *, after: datetime, until: datetime, zone: str) -> bool:
    """Whether a cron expression fired in `(after, until]`, on the clock of a zone."""
    local = ZoneInfo(zone)
    windows = dg.TimeWindowPartitionsDefinition(
        start=(after + timedelta(seconds=1)).astimezone(local).strftime(_SECONDS),
        fmt=_SECONDS,
        cron_schedule=cron,
        timezone=zone,
        end_offset=1,  # a window counts as soon as its first instant, the tick, has come
    )
    opened = windows.get_partition_keys(current_time=until)
    return any(datetime.fromisoformat(key).replace(tzinfo=local) <= until for key in opened)


def training_due(
    problem: ForecastProblem, done: Progress, origin: datetime, *, every: int | None
) -> Trigger | None:
    """Why the candidates are fitted anew at an origin; None when they are not.

    Args:
        problem: its `retrain_cron`, in the target's zone.
        done: the finished steps.
        origin: the step's instant.
        every: fit at every so many steps instead of by the cron expression.
    """
    newest = done.newest_training
    if newest is None:
        return Trigger.MISSING
    if every is not None:
        return Trigger.SCHEDULE if len(done.steps) % every == 0 else None
    due = ticked(problem.retrain_cron, after=newest.origin, until=origin, zone=problem.zone)
    return Trigger.SCHEDULE if due else None


def drift_report_due(problem: ForecastProblem, done: Progress, origin: datetime) -> bool:
    """Whether the drift report is made: at first, and when its cron expression has fired since."""
    if problem.drift is None:
        return False
    newest = done.newest_report
    return newest is None or ticked(
        problem.drift.cron, after=newest.origin, until=origin, zone=problem.zone
    )


def drift_trains(
    problem: ForecastProblem, done: Progress, origin: datetime, *, alarm: bool | None
) -> bool:
    """Whether drift fits the candidates anew: never ones younger than `retrain_cooldown`.

    A report that told of drift stands until the next one, or until a training after it.

    Args:
        problem: its cooldown.
        done: the finished steps.
        origin: the step's instant.
        alarm: what the step's own report says; None: it made none.
    """
    trained, report = done.newest_training, done.newest_report
    if trained is None or origin - trained.origin < problem.retrain_cooldown:
        return False
    if alarm is not None or report is None:
        return bool(alarm)
    answered = report.origin < trained.origin or (
        # A report follows the training of its own step, unless that training was its answer.
        report.origin == trained.origin and Trigger.DRIFT in trained.triggers
    )
    return bool(report.drift_alarm) and not answered
