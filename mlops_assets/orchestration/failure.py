"""Why a run of the graph stopped: the blocking check or the asset, and the cause.

Here: reading the result of a run in this process. Not here: runs of other processes, which are read
from the event log (`automation.alerts_runs`).
"""

from __future__ import annotations

import dagster as dg
from dagster_shared.error import SerializableErrorInfo


def why_it_failed(result: dg.ExecuteInProcessResult) -> str:
    """The blocking checks that failed, else the steps that did, each with its own message."""
    blocked = [
        f"{check.asset_key.to_user_string()}: check {check.check_name} failed: {check.description}"
        for check in result.get_asset_check_evaluations()
        if check.blocking and not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]
    failed = [
        f"{event.step_key}: {_root_cause(event.step_failure_data.error)}"
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.error
    ]
    return (
        "\n".join(blocked or failed) or "no asset and no check says why; look at the run in Dagster"
    )


def _root_cause(error: SerializableErrorInfo) -> str:
    """The message of the error that Dagster's own errors wrap."""
    while error.cause is not None:
        error = error.cause
    return error.message.strip()
