"""What a worker process of a Dagster run does first: open the run's MLflow parent."""

from __future__ import annotations

from multiprocessing.synchronize import Barrier
from pathlib import Path

import dagster as dg

from mlops_assets.orchestration.mlflow_run import mlflow_resource
from mlops_assets.settings import Settings
from mlops_assets.training.tracking import ensure_experiment

PROBLEM = "coin_close"


def resource(settings: Settings) -> dg.ResourceDefinition:
    """The problem's MLflow resource, as the component makes it."""
    return mlflow_resource(settings, PROBLEM, prepare=lambda: ensure_experiment(settings, PROBLEM))


def open_parent(home: Path, run_id: str, together: Barrier, answer: Path) -> None:
    """Open the parent run of `run_id` when all processes are ready; write its id to `answer`."""
    import dagster_mlflow  # noqa: F401  seconds, which all spend before they start together
    import mlflow

    settings = Settings(home=home, _env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own
    run = dg.DagsterRun(job_name="coin_close_loop", run_id=run_id)
    together.wait(timeout=120)
    with dg.build_resources({"mlflow": resource(settings)}, dagster_run=run):
        active = mlflow.active_run()
        assert active is not None
        answer.write_text(active.info.run_id, encoding="utf-8")
