"""The MLflow run of a Dagster run ends as the Dagster run ended."""

# No `from __future__ import annotations`: Dagster reads the annotation of `context` as an object.

from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.automation.run_status import build_run_status_sensors
from mlops_assets.cli.stores import upgrade_mlflow_schema
from mlops_assets.orchestration.mlflow_run import mlflow_key, mlflow_resource
from mlops_assets.settings import Settings
from mlops_assets.training.tracking import client, ensure_experiment

PROBLEM = "tides"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A namespace of its own with MLflow's schema in place."""
    home: Path = tmp_path_factory.mktemp("home")
    made = Settings(home=home, _env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own
    made.namespace.mkdir(parents=True)
    upgrade_mlflow_schema(made.tracking_uri)
    return made


def run_job(settings: Settings, instance: dg.DagsterInstance, *, fails: bool) -> str:
    """Run a job whose only step uses the MLflow resource; its Dagster run id."""

    @dg.op(required_resource_keys={mlflow_key(PROBLEM)})
    def step(context: dg.OpExecutionContext) -> None:
        if fails:
            raise ValueError("planted")

    resource = mlflow_resource(
        settings, PROBLEM, prepare=lambda: ensure_experiment(settings, PROBLEM)
    )

    @dg.job(resource_defs={mlflow_key(PROBLEM): resource})
    def tides_loop() -> None:
        step()

    result = tides_loop.execute_in_process(instance=instance, raise_on_error=False)
    assert result.success is not fails
    return result.run_id


def mlflow_status(settings: Settings, run_id: str) -> list[str]:
    """Status of every MLflow run that carries this Dagster run id."""
    store = client(settings)
    experiment = store.get_experiment_by_name(settings.registered_model(PROBLEM))
    assert experiment is not None
    wanted = f"tags.dagster_run_id = '{run_id}'"
    return [r.info.status for r in store.search_runs([experiment.experiment_id], wanted)]


@pytest.mark.parametrize(
    ("fails", "name", "status"),
    [(False, "mlflow_run_finished", "FINISHED"), (True, "mlflow_run_failed", "FAILED")],
)
def test_the_sensor_gives_the_mlflow_run_the_true_status_of_its_dagster_run(
    settings: Settings, fails: bool, name: str, status: str
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = run_job(settings, instance, fails=fails)
        sensors = {s.name: s for s in build_run_status_sensors(settings, [PROBLEM])}
        run = instance.get_run_by_id(run_id)
        assert run is not None
        event = "PIPELINE_FAILURE" if fails else "PIPELINE_SUCCESS"
        records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType(event)).records
        context = dg.build_run_status_sensor_context(
            sensor_name=name,
            dagster_event=records[0].event_log_entry.get_dagster_event(),
            dagster_instance=instance,
            dagster_run=run,
        )
        sensors[name](context)
    assert mlflow_status(settings, run_id) == [status]


def test_sensors_start_running_and_watch_every_job(settings: Settings) -> None:
    sensors = build_run_status_sensors(settings, [PROBLEM])
    assert {s.name for s in sensors} == {
        "mlflow_run_finished",
        "mlflow_run_failed",
        "mlflow_run_killed",
    }
    assert all(s.default_status is dg.DefaultSensorStatus.RUNNING for s in sensors)
