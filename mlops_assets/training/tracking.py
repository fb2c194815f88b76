"""MLflow tracking: experiments, the parent run of a Dagster run, a nested run for each model.

The only module of training that imports MLflow. dagster-mlflow's resource opens the parent run;
what it leaves open or gets wrong is put right here: the run is closed with the status that the
Dagster run really had (`close_parent_run`). Aliases are `promotion.registry`'s.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from mlops_assets.settings import Settings
from serving.contract.model_card import (
    CARD_FILE,
    MODEL_FILE,
    TAG_CARD_SHA256,
    TAG_MODEL_SHA256,
    ModelCard,
)

if TYPE_CHECKING:
    from mlflow import ActiveRun, MlflowClient

MODEL_FOLDER: Final = "model"
"""Folder of a model's run that holds `model.onnx`, `model_card.json` and MLflow's own files."""

_NOTE: Final = "mlflow.note.content"
_KIND: Final = "mlflow.experimentKind"
_EXPERIMENT_NOTE: Final = (
    "One run for each run of the loop in Dagster: the comparison of all candidates is its artifact "
    "`report/evaluation.html`, the gate's decision `verdict.json`. Nested below it is one run for "
    "each model that was fitted."
)
_MODEL_NOTE: Final = (
    "Every version is one fit of one candidate, named by its tag `candidate`. The version with the "
    "alias `champion` serves. The gate moves that alias, and a roll back takes it away when live "
    "forecasts prove worse, or by hand. The reasons are the tags `verdict_...`."
)

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


def client(settings: Settings) -> MlflowClient:
    """A client of the tracking and registry store."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=settings.tracking_uri)


def ensure_experiment(settings: Settings, problem: str) -> str:
    """Create the problem's experiment where it is missing; its name.

    With a local store the artifact folder is given here, since MLflow would otherwise take one
    below the current folder; a server has its own.
    """
    name = settings.registered_model(problem)
    store = client(settings)
    if store.get_experiment_by_name(name) is None:
        local = not settings.tracking_uri.startswith("http")
        location = f"{settings.artifact_uri}/{problem}" if local else None
        store.create_experiment(
            name,
            artifact_location=location,
            tags={_NOTE: _EXPERIMENT_NOTE, _KIND: "custom_model_development"},
        )
    return name


def run_link(settings: Settings, run_id: str) -> str:
    """Markdown link to a run's page in MLflow; its text, the id, is shorter than its address."""
    return f"[{run_id}]({settings.mlflow_page}/#/runs/{run_id})"


def log_to_parent(
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    texts: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> str:
    """Log to the active parent run; its id.

    Args:
        params: name -> value.
        metrics: name -> figure.
        texts: artifact path -> text.
        files: artifact path -> content.
    """
    import mlflow

    run_id = str(_active_run().info.run_id)  # first: MLflow would open a stray run and log to it
    mlflow.log_params(dict(params or {}))
    mlflow.log_metrics(dict(metrics or {}))
    for path, text in (texts or {}).items():
        mlflow.log_text(text, path)
    with tempfile.TemporaryDirectory() as folder:
        for path, content in (files or {}).items():
            local = Path(folder) / path
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(content)
        if files:
            mlflow.log_artifacts(folder)
    return run_id


@dataclass(frozen=True)
class ModelVersion:
    """One registered version of a problem's model."""

    version: str
    run_id: str


class ModelRun:
    """A nested run for one model: opened with `with`, closed with the true outcome."""

    def __init__(self, name: str, tags: Mapping[str, str]) -> None:
        """Name and tag the run."""
        self._name = name
        self._tags = dict(tags)
        self.run_id = ""

    def __enter__(self) -> ModelRun:
        """Open the run below the active parent."""
        import mlflow

        _active_run()  # without a parent MLflow would open this run at the top
        run = mlflow.start_run(run_name=self._name, nested=True, tags=self._tags)
        self.run_id = str(run.info.run_id)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Close it: FAILED when an error passes through."""
        import mlflow

        mlflow.end_run("FAILED" if kind else "FINISHED")

    def log(self, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Log parameters and figures."""
        import mlflow

        mlflow.log_params(dict(params))
        mlflow.log_metrics(dict(metrics))

    def register(
        self, settings: Settings, card: ModelCard, model: bytes, tags: Mapping[str, str]
    ) -> ModelVersion:
        """Log model file, card and signature, and register them as a new version.

        The version's tags pin the SHA-256 of both files.
        """
        import mlflow

        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / MODEL_FOLDER
            sums = _write_model(local, card, model)
            mlflow.log_artifacts(str(local), MODEL_FOLDER)
        name = settings.registered_model(card.problem)
        store = client(settings)
        _ensure_registered(store, name)
        source = f"{_active_run().info.artifact_uri}/{MODEL_FOLDER}"
        version = store.create_model_version(
            name, source=source, run_id=self.run_id, tags={**tags, **sums}
        )
        return ModelVersion(version=str(version.version), run_id=self.run_id)


def close_parent_run(
    settings: Settings, problem: str, dagster_run_id: str, status: RunStatus
) -> None:
    """Give the MLflow run of a Dagster run the status that it really had."""
    import mlflow

    store = client(settings)
    experiment = store.get_experiment_by_name(settings.registered_model(problem))
    if experiment is None:
        return
    runs = store.search_runs(
        [experiment.experiment_id], filter_string=f"tags.dagster_run_id = '{dagster_run_id}'"
    )
    active = mlflow.active_run()
    if active is not None and active.info.run_id in {run.info.run_id for run in runs}:
        mlflow.end_run(status)
    for run in runs:
        if run.info.status != status:
            store.set_terminated(run.info.run_id, status)


def _active_run() -> ActiveRun:
    import mlflow

    active = mlflow.active_run()
    if active is None:
        raise RuntimeError(
            "no MLflow run is active; models and reports are logged below the parent run of a "
            "Dagster run; materialise their assets with the problem's MLflow resource"
        )
    return active


def _write_model(folder: Path, card: ModelCard, model: bytes) -> dict[str, str]:
    """Write MLflow's files, then the model and its card; the tags that pin the two."""
    import hashlib

    import mlflow.onnx
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    double = np.dtype(np.float64)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(double, (-1, len(card.features)), card.input_name)]),
        outputs=Schema([TensorSpec(double, (-1, 3), card.output_name)]),
    )
    mlflow.onnx.save_model(
        onnx.load_from_string(model),
        str(folder),
        signature=signature,
        pip_requirements=["onnxruntime", "numpy"],
        save_as_external_data=False,
    )
    text = card.model_dump_json(indent=2).encode()
    (folder / MODEL_FILE).write_bytes(model)
    (folder / CARD_FILE).write_bytes(text)
    return {
        TAG_MODEL_SHA256: hashlib.sha256(model).hexdigest(),
        TAG_CARD_SHA256: hashlib.sha256(text).hexdigest(),
    }


def _ensure_registered(store: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.create_registered_model(name, description=_MODEL_NOTE)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
