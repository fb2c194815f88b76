"""MLflow runs end as what they logged below them really ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from mlops_assets.settings import Settings
from mlops_assets.training.tracking import (
    ModelRun,
    client,
    close_parent_run,
    ensure_experiment,
    log_to_parent,
)

PROBLEM = "coin_close"


@pytest.fixture(autouse=True)
def experiment(settings: Settings) -> Iterator[str]:
    name = ensure_experiment(settings, PROBLEM)
    mlflow.set_experiment(name)
    yield name
    while mlflow.active_run() is not None:
        mlflow.end_run()


def status(settings: Settings, run_id: str) -> str:
    return str(client(settings).get_run(run_id).info.status)


def test_an_experiment_is_made_once_with_its_artifacts_in_the_namespace(
    settings: Settings, experiment: str
) -> None:
    assert ensure_experiment(settings, PROBLEM) == experiment == "sample.coin_close"

    found = client(settings).get_experiment_by_name(experiment)
    assert found is not None
    assert found.artifact_location == f"{settings.artifact_uri}/coin_close"


def test_a_model_s_run_through_which_an_error_passes_ends_failed(settings: Settings) -> None:
    with mlflow.start_run():
        with (
            pytest.raises(ZeroDivisionError),
            ModelRun("model_ridge", {"candidate": "r"}) as broken,
        ):
            raise ZeroDivisionError
        with ModelRun("model_ridge", {}) as sound:
            sound.log({"alpha": 1}, {"ratio": 0.9})

    assert status(settings, broken.run_id) == "FAILED"
    assert status(settings, sound.run_id) == "FINISHED"
    logged = client(settings).get_run(sound.run_id).data
    assert (logged.params["alpha"], logged.metrics["ratio"]) == ("1", 0.9)


def test_reports_are_logged_to_the_parent_run(settings: Settings) -> None:
    with mlflow.start_run() as parent:
        run_id = log_to_parent(
            params={"folds": 12},
            metrics={"mae": 1.5},
            texts={"report.html": "<p>"},
            files={"plots/one.png": b"png"},
        )

    assert run_id == parent.info.run_id
    assert client(settings).get_run(run_id).data.metrics == {"mae": 1.5}
    stored = {a.path for a in client(settings).list_artifacts(run_id)}
    assert stored == {"report.html", "plots"}
    plot = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="plots/one.png"))
    assert plot.read_bytes() == b"png"


def test_without_a_parent_run_nothing_is_logged_and_the_error_says_how_to_get_one(
    settings: Settings, experiment: str
) -> None:
    store = client(settings)
    found = store.get_experiment_by_name(experiment)
    assert found is not None
    before = len(store.search_runs([found.experiment_id]))

    told = r"no MLflow run is active; .* materialise their assets"
    with pytest.raises(RuntimeError, match=told):
        log_to_parent(params={"folds": 12})
    with pytest.raises(RuntimeError, match=told):
        ModelRun("model_ridge", {}).__enter__()

    assert len(store.search_runs([found.experiment_id])) == before


@pytest.mark.parametrize("wanted", ["FAILED", "FINISHED", "KILLED"])
def test_the_runs_of_one_dagster_run_get_its_status_and_no_others(
    wanted: str, settings: Settings
) -> None:
    other = mlflow.start_run(tags={"dagster_run_id": "another"})
    mlflow.end_run()
    mine = mlflow.start_run(tags={"dagster_run_id": f"run-{wanted}"})

    close_parent_run(settings, PROBLEM, f"run-{wanted}", wanted)  # type: ignore[arg-type]

    assert status(settings, mine.info.run_id) == wanted
    assert status(settings, other.info.run_id) == "FINISHED"
    assert mlflow.active_run() is None


def test_closing_runs_of_a_problem_that_never_ran_does_nothing(settings: Settings) -> None:
    close_parent_run(settings, "unheard_of", "run-1", "FAILED")

    assert client(settings).get_experiment_by_name("sample.unheard_of") is None
