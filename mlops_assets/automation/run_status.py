"""Sensors that close the MLflow run of every ended Dagster run with its true status.

dagster-mlflow's own hook attaches to explicit jobs alone, so runs launched by automation would
stay open, and a failed run would end as FINISHED. These sensors watch every run of the code
location, whatever launched it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import dagster as dg

from mlops_assets.settings import Settings
from mlops_assets.training.tracking import RunStatus, close_parent_run

_ENDS: Final[dict[dg.DagsterRunStatus, RunStatus]] = {
    dg.DagsterRunStatus.SUCCESS: "FINISHED",
    dg.DagsterRunStatus.FAILURE: "FAILED",
    dg.DagsterRunStatus.CANCELED: "KILLED",
}


def build_run_status_sensors(
    settings: Settings, problems: Sequence[str]
) -> list[dg.SensorDefinition]:
    """One sensor for each way in which a run ends."""
    return [_sensor(settings, problems, ended, status) for ended, status in _ENDS.items()]


def _sensor(
    settings: Settings, problems: Sequence[str], ended: dg.DagsterRunStatus, status: RunStatus
) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=ended,
        name=f"mlflow_run_{status.lower()}",
        description=f"Marks the MLflow run of a run that ended in {ended.value} as {status}.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
    )
    def close_mlflow_run(context: dg.RunStatusSensorContext) -> None:
        for problem in problems:
            close_parent_run(settings, problem, context.dagster_run.run_id, status)

    return close_mlflow_run
