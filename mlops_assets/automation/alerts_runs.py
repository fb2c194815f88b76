"""Why a run failed, in few words: its problem, the step or blocking check, and the message.

Here: reading the events of one run. Not here: which runs are read (`alerts_events`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import dagster as dg
from dagster._core.events import JobFailureData
from dagster_shared.error import SerializableErrorInfo

from mlops_assets.automation.alerts_messages import Event, Kind

_LONGEST_REASON: Final = 1_500
_FIRST_EVENTS: Final = 500
_OUTSIDE: Final = "before or after its steps"
_UNKNOWN: Final = "No reason is known; its page has the log."
_TELLING: Final = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.RUN_FAILURE,
}


def describe_failure(
    instance: dg.DagsterInstance, run: dg.DagsterRun, failed_at: datetime, problems: Sequence[str]
) -> Event:
    """The event of a failed run.

    Args:
        instance: holds the events of the run.
        run: the run.
        failed_at: when it failed.
        problems: names of all problems.
    """
    records = instance.get_records_for_run(run.run_id, of_type=_TELLING).records
    events = [e for r in records if (e := r.event_log_entry.dagster_event) is not None]
    where, why = _blocking_check(events) or _failed_step(events) or _end_of_run(events)
    return Event(
        kind=Kind.RUN_FAILED,
        problem=problem_of(instance, run, problems),
        happened_at=failed_at,
        subject=where,
        text=f"Job {run.job_name}. {why[:_LONGEST_REASON]}",
        run_id=run.run_id,
    )


def problem_of(instance: dg.DagsterInstance, run: dg.DagsterRun, problems: Sequence[str]) -> str:
    """The problems whose assets or checks a run was to make; else the job's name."""
    touched = {key.path[0] for key in run.asset_selection or ()}
    touched |= {key.asset_key.path[0] for key in run.asset_check_selection or ()}
    if not touched & set(problems):
        planned = instance.get_records_for_run(
            run.run_id,
            of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            limit=_FIRST_EVENTS,
        )
        keys = (record.asset_key for record in planned.records)
        touched |= {key.path[0] for key in keys if key is not None}
    named = [name for name in problems if name in touched]
    named = named or [name for name in problems if run.job_name.startswith(f"{name}_")]
    return ", ".join(named) or run.job_name


def _blocking_check(events: Iterable[dg.DagsterEvent]) -> tuple[str, str] | None:
    """The first check that stopped the run."""
    for event in events:
        if event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        found = event.asset_check_evaluation_data
        if found.blocking and not found.passed and found.severity is dg.AssetCheckSeverity.ERROR:
            where = f"in check {found.check_name} of {found.asset_key.to_user_string()}"
            return where, found.description or "The check says no more."
    return None


def _failed_step(events: Iterable[dg.DagsterEvent]) -> tuple[str, str] | None:
    for event in events:
        if event.event_type is dg.DagsterEventType.STEP_FAILURE:
            return f"in step {event.step_key}", _reason(event.step_failure_data.error)
    return None


def _end_of_run(events: Iterable[dg.DagsterEvent]) -> tuple[str, str]:
    """A run that failed outside of its steps: it did not start, or its process died."""
    for event in events:
        if event.event_type is dg.DagsterEventType.RUN_FAILURE:
            data = event.event_specific_data  # none when a monitor or a person reports the failure
            error = data.error if isinstance(data, JobFailureData) else None
            return _OUTSIDE, _reason(error) if error else event.message or _UNKNOWN
    return _OUTSIDE, _UNKNOWN


def _reason(error: SerializableErrorInfo | None) -> str:
    """The message of the error that began it: Dagster wraps it in its own."""
    if error is None:
        return "The step gave no error."
    while error.cause is not None:
        error = error.cause
    return error.message.strip()
