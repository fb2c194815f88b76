"""The asset `champion` in a run of its own: what it reads from storage and writes to MLflow."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from mlops_assets.components.forecast_pipeline import build_problem_definitions, loop_job_name
from mlops_assets.definitions import shared_resources
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.trigger import TRIGGER_TAG
from mlops_assets.problem import load_problem
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.control_state import CONTROL, control_table
from mlops_assets.promotion.registry import Registry
from mlops_assets.training.tracking import close_parent_run
from mlops_assets_tests.end_to_end.planted import AS_OF, NAME
from mlops_assets_tests.end_to_end.world import World, first_run

LATER = AS_OF + timedelta(hours=1)


def rolled_back(world: World) -> dg.ExecuteInProcessResult:
    """The champion alone, materialised at `LATER` by a run that says `control` launched it."""
    problem, settings = load_problem(world.yaml), world.settings
    definitions = dg.Definitions.merge(
        build_problem_definitions(problem, settings),
        dg.Definitions(resources=shared_resources(settings, Clock(fixed_at=LATER.isoformat()))),
    )
    job = definitions.resolve_job_def(loop_job_name(NAME))
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[champion_key(NAME)],
            tags={TRIGGER_TAG: "control"},
        )
    close_parent_run(settings, NAME, result.run_id, "FINISHED")
    return result


def write_alarm(world: World) -> str:
    """An alarm against the recipe that holds the alias; its candidate."""
    holder = Registry(world.settings, NAME).holder()
    assert holder is not None
    row = {
        "as_of": LATER,
        "version": holder.version,
        "candidate": holder.candidate,
        "recipe_id": holder.recipe_id,
        "test": "against_baseline",
        "against": "last_value",
        "against_recipe_id": "unknown",
        "n": 41,
        "e_value": 153.2,
        "threshold": 100.0,
        "alarm": True,
    }
    world.store.write(control_table(NAME), pl.DataFrame([row], schema=CONTROL))
    return holder.candidate


@pytest.fixture
def world(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """After its first run, in which a candidate beat the baseline."""
    first, _ = first_run(tmp_path_factory.getbasetemp())
    return first.copy(tmp_path / "world")


def test_an_alarm_in_storage_rolls_the_champion_back_and_the_run_says_why(world: World) -> None:
    with world.entered():
        before = write_alarm(world)
        result = rolled_back(world)
        holder = Registry(world.settings, NAME).holder()

    assert holder is not None
    newest = world.table("champion").row(-1, named=True)
    assert (newest["decision"], newest["previous"], newest["trigger"]) == (
        "roll_back",
        before,
        "control",
    )
    assert newest["version"] == holder.version
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["trigger"].value == "control"
    assert str(metadata["verdict"].value).startswith("**roll\\_back: ")
    assert mlflow_tags(world, result.run_id)["trigger"] == "control"


def mlflow_tags(world: World, dagster_run_id: str) -> dict[str, str]:
    """Tags of the MLflow run that belongs to a Dagster run."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=world.settings.tracking_uri)
    experiment = client.get_experiment_by_name(world.settings.registered_model(NAME))
    assert experiment is not None
    (run,) = client.search_runs(
        [experiment.experiment_id], filter_string=f"tags.dagster_run_id = '{dagster_run_id}'"
    )
    return dict(run.data.tags)
