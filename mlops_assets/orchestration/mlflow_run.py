"""The MLflow parent run of a Dagster run, by dagster-mlflow's resource.

That resource looks for the run's parent and starts one where there is none. Two processes of one
Dagster run doing so at once would start two, so it is opened under a lock that all processes of
this machine share. Closing the run with its true status is `training.tracking`'s, since the
resource leaves it open.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock

from mlops_assets.settings import Settings


def mlflow_key(problem: str) -> str:
    """Resource key of a problem's MLflow run: each problem has its own experiment."""
    return f"mlflow_{problem}"


def mlflow_resource(
    settings: Settings, problem: str, *, prepare: Callable[[], object]
) -> dg.ResourceDefinition:
    """dagster-mlflow's resource for a problem's experiment.

    Args:
        settings: name the store and the experiment.
        problem: whose runs these are.
        prepare: called before the first use, to create what the store lacks.
    """

    def open_run(context: dg.InitResourceContext) -> Iterator[Any]:
        # Imported by the runs that use it: whoever only loads the definitions is spared MLflow.
        from dagster_mlflow import mlflow_tracking, resources

        opening: Iterator[Any] = mlflow_tracking.resource_fn(context)  # type: ignore[call-arg]  # its annotation forgets the context
        run_id = context.run.run_id if context.run else "no-run"
        lock = Path(tempfile.gettempdir()) / f"mlops-mlflow-{run_id}.lock"
        with FileLock(lock):
            prepare()
            run = next(opening)
        # MLflow ends the run as FINISHED when a process exits, even one that failed. dagster-mlflow
        # means to prevent that, but removes the hook by a name that MLflow 3 does not use.
        atexit.unregister(resources.mlflow.tracking.fluent._safe_end_run)  # type: ignore[attr-defined]
        yield run
        next(opening, None)

    locked = dg.ResourceDefinition(
        resource_fn=open_run,
        config_schema=dict,  # any: these few values are written below
        description=f"MLflow parent run of {problem}",
    )
    return locked.configured(
        {
            "experiment_name": settings.registered_model(problem),
            "mlflow_tracking_uri": settings.tracking_uri,
            "extra_tags": {"problem": problem, "data_mode": settings.data},
            "env": {},
        }
    )
