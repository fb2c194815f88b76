"""Sensors of a problem: who evaluates its conditions, and who retrains for drift.

Here: the sensors and the rule of the cooldown, which no condition can say: conditions know no
spans of time. Not here: the conditions (`automation.conditions`), nor the sensors that close
MLflow's runs (`automation.run_status`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from mlops_assets.evaluation.assets import backtest_key, report_key
from mlops_assets.forecasting.assets import forecasts_key, published_key
from mlops_assets.ingestion.assets import raw_key
from mlops_assets.orchestration.clock import real_now
from mlops_assets.orchestration.pools import PROBLEM_TAG
from mlops_assets.orchestration.trigger import TRIGGER_TAG, Trigger
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.assets import champion_key
from mlops_assets.settings import Settings
from mlops_assets.training.assets import model_key

DRIFT_CHECK: Final = "drift"
"""Check of `drift_report` that fails while the newest report tells of drift."""

_TICK_SECONDS: Final = 30
_UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def build_automation_sensors(
    problem: ForecastProblem, settings: Settings, keys: Collection[dg.AssetKey]
) -> list[dg.SensorDefinition]:
    """The sensors of one problem: each problem has its own, so runs never mix two of them.

    Args:
        problem: whose assets are automated.
        settings: with `files` the sensors are stopped, since files change when somebody says so.
        keys: the problem's assets.
    """
    stopped = settings.data == "files"
    status = dg.DefaultSensorStatus.STOPPED if stopped else dg.DefaultSensorStatus.RUNNING
    raw = dg.AssetSelection.assets(*(raw_key(problem.name, source) for source in problem.sources))
    sensors: list[dg.SensorDefinition] = [
        # Apart from the rest: several months at once are a backfill, which would take along what
        # follows, and let it wait for a source that it does not need.
        _condition_sensor(
            problem,
            "sources",
            target=raw,
            description="fetches what is old or missing.",
            status=status,
        ),
        _condition_sensor(
            problem,
            "automation",
            target=dg.AssetSelection.groups(problem.name) - raw,
            description="makes anew what follows from new values, and retrains when the schedule, "
            "changed code or an alarm says so.",
            status=status,
        ),
    ]
    if dg.AssetKey([problem.name, "drift_report"]) in keys:
        sensors.append(_drift_sensor(problem, status, keys))
    return sensors


def _condition_sensor(
    problem: ForecastProblem,
    part: str,
    *,
    target: dg.AssetSelection,
    description: str,
    status: dg.DefaultSensorStatus,
) -> dg.AutomationConditionSensorDefinition:
    return dg.AutomationConditionSensorDefinition(
        f"{problem.name}_{part}",
        target=target,
        description=f"{problem.title}: {description}",
        run_tags={PROBLEM_TAG: problem.name},
        default_status=status,
        minimum_interval_seconds=_TICK_SECONDS,
    )


@dataclass(frozen=True)
class DriftReport:
    """What the newest evaluation of the check on drift says."""

    evaluation_id: int
    told_at: datetime
    drifted: bool


def reason_to_wait(
    report: DriftReport | None, *, trained_at: datetime | None, cooldown: timedelta, now: datetime
) -> str | None:
    """Why drift asks for no training now; None when it does.

    Args:
        report: the newest one.
        trained_at: when models were last trained, for whatever reason.
        cooldown: drift never retrains models that are younger.
        now: the real time.
    """
    if report is None or not report.drifted:
        return "The newest report tells of no drift."
    if trained_at is None:
        return "Nothing was trained yet."
    if trained_at >= report.told_at:
        return f"Models were trained at {trained_at:%Y-%m-%d %H:%M} UTC, after that report."
    if now < trained_at + cooldown:
        until = f"{trained_at + cooldown:%Y-%m-%d %H:%M}"
        return f"Drift, but models were trained lately: they are retrained for it from {until} UTC."
    return None


def _drift_sensor(
    problem: ForecastProblem, status: dg.DefaultSensorStatus, keys: Collection[dg.AssetKey]
) -> dg.SensorDefinition:
    selected = [key for key in _training_keys(problem) if key in keys]

    @dg.sensor(
        name=f"{problem.name}_drift",
        target=dg.AssetSelection.assets(*selected),
        description=(
            f"{problem.title}: retrains when the newest drift report says so, unless models are "
            f"younger than {problem.retrain_cooldown}."
        ),
        default_status=status,
        minimum_interval_seconds=_TICK_SECONDS,
    )
    def retrain_on_drift(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        instance, report = context.instance, _newest_report(context.instance, problem.name)
        wait = reason_to_wait(
            report,
            trained_at=_trained_at(instance, problem.name),
            cooldown=problem.retrain_cooldown,
            now=real_now(),
        )
        if wait is None and _is_busy(instance, problem.name):
            wait = "Drift, but another run of this problem has not ended."
        if wait is not None or report is None:
            return dg.SkipReason(wait)
        return dg.RunRequest(
            # Once for each report: should the run fail, the assets' conditions try again.
            run_key=f"{problem.name}-drift-{report.evaluation_id}",
            asset_selection=selected,
            tags={PROBLEM_TAG: problem.name, TRIGGER_TAG: Trigger.DRIFT.value},
        )

    return retrain_on_drift


def _training_keys(problem: ForecastProblem) -> list[dg.AssetKey]:
    """A training and what follows from it."""
    name = problem.name
    return [
        backtest_key(name),
        *(model_key(name, candidate) for candidate in problem.candidates),
        report_key(name),
        champion_key(name),
        forecasts_key(name),
        dg.AssetKey([name, "live_scores"]),
        published_key(name),
    ]


def _newest_report(instance: dg.DagsterInstance, problem: str) -> DriftReport | None:
    key = dg.AssetCheckKey(dg.AssetKey([problem, "drift_report"]), DRIFT_CHECK)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    if record is None or record.event is None or record.event.dagster_event is None:
        return None
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    return DriftReport(
        evaluation_id=record.id,
        told_at=datetime.fromtimestamp(record.event.timestamp, UTC),
        drifted=not evaluation.passed,
    )


def _trained_at(instance: dg.DagsterInstance, problem: str) -> datetime | None:
    event = instance.get_latest_materialization_event(backtest_key(problem))
    return None if event is None else datetime.fromtimestamp(event.timestamp, UTC)


def _is_busy(instance: dg.DagsterInstance, problem: str) -> bool:
    unfinished = dg.RunsFilter(statuses=_UNFINISHED, tags={PROBLEM_TAG: problem})
    return instance.get_runs_count(unfinished) > 0
