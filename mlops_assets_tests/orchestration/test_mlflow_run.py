"""dagster-mlflow's known faults: a Dagster run has one parent run, which ends as it ended."""

from __future__ import annotations

import multiprocessing
import uuid
from pathlib import Path

import dagster as dg
import mlflow
import pytest

from mlops_assets.orchestration.mlflow_run import mlflow_key
from mlops_assets.settings import Settings
from mlops_assets.training.tracking import ModelRun, client, close_parent_run
from mlops_assets_tests.orchestration.parent_runs import PROBLEM, open_parent, resource


def parents(settings: Settings, dagster_run_id: str) -> list[mlflow.entities.Run]:
    """The MLflow runs that carry this Dagster run id."""
    store = client(settings)
    experiment = store.get_experiment_by_name(settings.registered_model(PROBLEM))
    assert experiment is not None
    wanted = f"tags.dagster_run_id = '{dagster_run_id}'"
    return list(store.search_runs([experiment.experiment_id], wanted))


def test_two_processes_of_one_dagster_run_share_one_parent_run(
    settings: Settings, tmp_path: Path
) -> None:
    run_id, spawn = str(uuid.uuid4()), multiprocessing.get_context("spawn")
    together = spawn.Barrier(2)
    answers = [tmp_path / name for name in ("one", "two")]
    workers = [
        spawn.Process(target=open_parent, args=(settings.home, run_id, together, answer))
        for answer in answers
    ]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=150)

    assert [worker.exitcode for worker in workers] == [0, 0]
    (parent,) = parents(settings, run_id)
    assert {a.read_text(encoding="utf-8") for a in answers} == {parent.info.run_id}
    assert parent.info.status == "RUNNING"  # a worker's end is not the run's
    assert parent.data.tags["problem"] == PROBLEM
    assert parent.data.tags["data_mode"] == "sample"


def run_assets(settings: Settings, *, fails: bool) -> dg.ExecuteInProcessResult:
    """A Dagster run of two assets below one parent run; the second may fail."""
    needs = {mlflow_key(PROBLEM)}

    @dg.asset(required_resource_keys=needs)
    def first() -> None:
        with ModelRun("model_first", {"candidate": "first"}):
            mlflow.log_metric("training_rows", 3)

    @dg.asset(required_resource_keys=needs, deps=[first])
    def second() -> None:
        if fails:
            raise ValueError("planted")

    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [first, second],
            resources={mlflow_key(PROBLEM): resource(settings)},
            instance=instance,
            raise_on_error=False,
        )


@pytest.mark.parametrize(("fails", "status"), [(True, "FAILED"), (False, "FINISHED")])
def test_the_parent_run_ends_as_the_dagster_run_ended(
    fails: bool, status: str, settings: Settings
) -> None:
    result = run_assets(settings, fails=fails)
    assert result.success is not fails

    close_parent_run(settings, PROBLEM, result.run_id, "FAILED" if fails else "FINISHED")

    (parent,) = parents(settings, result.run_id)
    assert parent.info.status == status
    assert parent.info.end_time is not None
    assert mlflow.active_run() is None
    (model,) = client(settings).search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    )
    assert (model.info.status, model.data.metrics) == ("FINISHED", {"training_rows": 3.0})


def test_two_dagster_runs_have_a_parent_run_each(settings: Settings) -> None:
    ids = set()
    for _ in range(2):
        result = run_assets(settings, fails=False)
        close_parent_run(settings, PROBLEM, result.run_id, "FINISHED")
        (parent,) = parents(settings, result.run_id)
        ids.add(parent.info.run_id)

    assert len(ids) == 2
