"""A published world in a folder: a real MLflow store, real ONNX models and snapshots.

The model is small enough to be worked by hand: with features `ret`, `vol` and the calibration
feature `band_quantile`, its quantiles are `slope * ret + (-1, 0, 1) * vol * band_quantile`, a log
return from the last value.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from serving.contract.model_card import (
    CARD_FILE,
    MODEL_FILE,
    TAG_CARD_SHA256,
    TAG_MODEL_SHA256,
    Example,
    Feature,
    ModelCard,
)
from serving.contract.snapshot import (
    BAND_QUANTILE,
    CALIBRATION,
    INPUTS,
    LATEST,
    MANIFEST,
    MONITORING,
    VERDICT,
    FileEntry,
    Manifest,
    problem_prefix,
)
from serving.contract.steps import Step
from serving.model_files import ModelFiles
from serving.served_model import RegisteredVersion
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBLEM = "bitcoin_close"
MODEL_NAME = f"sample.{PROBLEM}"
HOUR = timedelta(hours=1)
AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)
REFIT_AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
NOW = AS_OF + timedelta(minutes=30)
RECIPE = "r1"

ORIGINS: tuple[datetime, ...] = tuple(AS_OF - hours * HOUR for hours in (3, 2, 1, 0))
LAST_VALUE = (59000.0, 59500.0, 59800.0, 60000.0)
RET = (0.004, None, 0.002, 0.01)
VOL = (0.004, 0.004, 0.006, 0.005)
BAND = (1.5, 1.5, 1.5, 1.6)
"""One value for each of `ORIGINS`; the second origin has no `ret`."""

Row = dict[str, Any]


def sha256(content: bytes) -> str:
    """The sha256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def onnx_model(slope: float, *, element: int = TensorProto.DOUBLE) -> onnx.ModelProto:
    """`slope * ret + (-1, 0, 1) * vol * band_quantile`, shape (rows, 3) -> (rows, 3)."""
    kind = helper.tensor_dtype_to_np_dtype(element)
    constants = [
        numpy_helper.from_array(np.array([position], dtype=np.int64), name)
        for position, name in enumerate(("at_ret", "at_vol", "at_band"))
    ]
    constants.append(numpy_helper.from_array(np.array([[slope]], dtype=kind), "slope"))
    constants.append(numpy_helper.from_array(np.array([[-1, 0, 1]], dtype=kind), "sides"))
    nodes = [
        helper.make_node("Gather", ["features", "at_ret"], ["ret"], axis=1),
        helper.make_node("Gather", ["features", "at_vol"], ["vol"], axis=1),
        helper.make_node("Gather", ["features", "at_band"], ["band"], axis=1),
        helper.make_node("Mul", ["ret", "slope"], ["location"]),
        helper.make_node("Mul", ["vol", "band"], ["width"]),
        helper.make_node("Mul", ["width", "sides"], ["spread"]),
        helper.make_node("Add", ["location", "spread"], ["quantiles"]),
    ]
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info("features", element, [None, 3])],
        [helper.make_tensor_value_info("quantiles", element, [None, 3])],
        initializer=constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def by_hand(
    *, slope: float, ret: float, vol: float, band: float, last_value: float
) -> tuple[float, float, float]:
    """Lower, point and upper by the formula, without the graph."""
    location, width = slope * ret, vol * band
    lower, point, upper = (
        last_value * float(np.exp(location + side * width)) for side in (-1, 0, 1)
    )
    return lower, point, upper


def card(model: bytes, *, slope: float, **changes: object) -> ModelCard:
    """The card of `onnx_model(slope)`, with some fields changed."""
    fields: dict[str, Any] = {
        "problem": PROBLEM,
        "candidate": "by_hand",
        "recipe_id": RECIPE,
        "baseline": False,
        "unit": "USDT",
        "frequency": HOUR,
        "horizon": 1,
        "nominal_coverage": 0.9,
        "features": (
            Feature(name="ret", unit="1", source="observed"),
            Feature(name="vol", unit="1", source="observed"),
            Feature(name=BAND_QUANTILE, unit="1", source="calibration"),
        ),
        "steps": (Step.INVERSE_LOG_RETURN,),
        "refit_at": REFIT_AT,
        "as_of": AS_OF,
        "training_start": REFIT_AT - timedelta(days=30),
        "training_end": REFIT_AT,
        "training_rows": 720,
        "synthetic": True,
        "data_versions": {"features": "f1"},
        "code_version": "1",
        "git_revision": "0" * 40,
        "dagster_run_id": "dagster-run",
        "mlflow_run_id": "mlflow-run",
        "model_sha256": sha256(model),
        "example": Example(
            features=[[0.01, 0.005, 1.6]],
            last_value=[60000.0],
            expected=[
                list(by_hand(slope=slope, ret=0.01, vol=0.005, band=1.6, last_value=60000.0))
            ],
        ),
    }
    return ModelCard.model_validate(fields | changes)


def model_files(slope: float = -0.1, /, **changes: object) -> ModelFiles:
    """The two files of a model, with fields of its card changed."""
    model = onnx_model(slope).SerializeToString()
    return files_of(model, card(model, slope=slope, **changes))


def files_of(model: bytes, model_card: ModelCard) -> ModelFiles:
    """The two files of a model."""
    return ModelFiles(model=model, card=model_card.model_dump_json().encode())


def registered(
    files: ModelFiles, *, version: str = "1", name: str = MODEL_NAME
) -> RegisteredVersion:
    """The registry's entry of two files, without a registry."""
    return RegisteredVersion(
        name=name,
        version=version,
        source="",
        model_sha256=sha256(files.model),
        card_sha256=sha256(files.card),
    )


def input_rows(series: str = "btc", *, scale: float = 1.0) -> list[Row]:
    """Rows of `inputs.parquet` for `ORIGINS`; last values times `scale`."""
    return [
        {
            "series": series,
            "segment": series,
            "origin": origin,
            "last_observed": origin,
            "valid_time": origin + HOUR,
            "step": 1,
            "last_value": last_value * scale,
            "ret": ret,
            "vol": vol,
        }
        for origin, last_value, ret, vol in zip(ORIGINS, LAST_VALUE, RET, VOL, strict=True)
    ]


def calibration_rows(series: str = "btc", *, recipe_id: str = RECIPE) -> list[Row]:
    """Rows of `calibration.parquet` for `ORIGINS`."""
    return [
        {
            "recipe_id": recipe_id,
            "series": series,
            "origin": origin,
            "step": 1,
            BAND_QUANTILE: band,
        }
        for origin, band in zip(ORIGINS, BAND, strict=True)
    ]


def parquet(rows: list[Row], folder: Path) -> bytes:
    """Rows as a Parquet file's bytes; instants in microseconds, UTC."""
    path = folder / "rows.parquet"
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    content = path.read_bytes()
    path.unlink()
    return content


def manifest_of(snapshot_id: str, contents: dict[str, bytes], **changes: object) -> bytes:
    """The manifest of a snapshot with these files, with some fields changed."""
    fields: Row = {
        "snapshot_id": snapshot_id,
        "problem": PROBLEM,
        "title": "Bitcoin",
        "unit": "USDT",
        "as_of": AS_OF,
        "created_at": AS_OF,
        "frequency_seconds": HOUR.total_seconds(),
        "horizon": 1,
        "stale_after_seconds": 2 * HOUR.total_seconds(),
        "synthetic": True,
        "data_mode": "sample",
        "data_version": "data",
        "dagster_run_id": "dagster-run",
        "registered_model": MODEL_NAME,
        "files": {
            name: FileEntry(sha256=sha256(content), size_bytes=len(content))
            for name, content in contents.items()
        },
    }
    return Manifest.model_validate(fields | changes).model_dump_json().encode()


def register_version(
    client: MlflowClient,
    files: ModelFiles,
    *,
    name: str,
    folder: Path,
    artifacts: str | None = None,
) -> str:
    """Log two files to a run and register them as a version with their tags; its number.

    Args:
        client: of the store.
        files: model and card.
        name: of the registered model, made where it is missing.
        folder: for the files on their way.
        artifacts: where the experiment's files go; None: where the store says.
    """
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(PROBLEM)
    number = (
        experiment.experiment_id
        if experiment
        else client.create_experiment(PROBLEM, artifact_location=artifacts)
    )
    run = client.create_run(number)
    folder.mkdir(exist_ok=True)
    for file, content in ((MODEL_FILE, files.model), (CARD_FILE, files.card)):
        (folder / file).write_bytes(content)
        client.log_artifact(run.info.run_id, str(folder / file), artifact_path="model")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name,
        source=f"{run.info.artifact_uri}/model",
        run_id=run.info.run_id,
        tags={TAG_MODEL_SHA256: sha256(files.model), TAG_CARD_SHA256: sha256(files.card)},
    )
    return str(version.version)


@dataclass
class World:
    """One namespace of data, registry and snapshots in a folder."""

    home: Path
    published: int = field(default=0)

    @classmethod
    def create(cls, home: Path, empty_registry: Path) -> World:
        """A world without models and snapshots, on a copy of an empty MLflow database."""
        world = cls(home)
        world.namespace.mkdir(parents=True)
        shutil.copy(empty_registry, world.namespace / "mlflow.db")
        return world

    @property
    def settings(self) -> ServingSettings:
        """The service's settings for this world, looking often."""
        return ServingSettings(home=self.home, api_poll_seconds=0.03)

    @property
    def namespace(self) -> Path:
        """Folder of the sample data's state."""
        return self.home / "sample"

    @property
    def database(self) -> Path:
        """MLflow's database."""
        return self.namespace / "mlflow.db"

    @property
    def prediction_log(self) -> Path:
        """The service's log of answered forecasts."""
        return self.namespace / "prediction_log.db"

    @property
    def client(self) -> MlflowClient:
        """A client of the MLflow store."""
        from mlflow import MlflowClient

        uri = f"sqlite:///{self.database}"
        return MlflowClient(uri, registry_uri=uri)

    def register(self, files: ModelFiles, *, promote: bool = True, name: str = MODEL_NAME) -> str:
        """Log two files, register them as a version and let the champion alias point to it."""
        artifacts = (self.namespace / "mlflow-artifacts").as_uri()
        version = register_version(
            self.client, files, name=name, folder=self.namespace / "to-log", artifacts=artifacts
        )
        if promote:
            self.promote(version, name=name)
        return version

    def promote(self, version: str, *, name: str = MODEL_NAME) -> None:
        """Let the champion alias point to a version."""
        self.client.set_registered_model_alias(name, "champion", version)

    def artifact(self, version: str, name: str) -> Path:
        """The stored file of a version."""
        source = self.client.get_model_version(MODEL_NAME, version).source
        assert source is not None
        return Path(source.removeprefix("file://")) / name

    def publish(
        self,
        inputs: list[Row] | None = None,
        calibration: list[Row] | None = None,
        *,
        verdict: Row | None = None,
        monitoring: Row | None = None,
        files: Mapping[str, bytes] | None = None,
        corrupt: str | None = None,
        folder_of: str = PROBLEM,
        **changes: object,
    ) -> str:
        """Publish a snapshot, manifest last, and name it in `latest.json`; returns its id.

        `files` are further files by name; `folder_of` is the problem in whose folder it goes;
        `corrupt` names a file that is changed after its checksum was taken; `changes` are fields of
        the manifest.
        """
        self.published += 1
        contents = {
            INPUTS: parquet(inputs or input_rows(), self.home),
            CALIBRATION: parquet(calibration or calibration_rows(), self.home),
            VERDICT: json.dumps(verdict or {"decision": "promote", "reasons": ["test"]}).encode(),
        }
        if monitoring is not None:
            contents[MONITORING] = json.dumps(monitoring).encode()
        contents |= files or {}
        snapshot_id = f"{AS_OF:%Y%m%dT%H%M%SZ}-{self.published:08x}"
        manifest = manifest_of(
            snapshot_id,
            contents,
            **{
                "data_version": f"data-{self.published}",
                **changes,
            },
        )
        root = self.namespace / "storage" / problem_prefix(folder_of)
        folder = root / snapshot_id
        folder.mkdir(parents=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content + b" " if name == corrupt else content)
        (folder / MANIFEST).write_bytes(manifest)
        latest = {"snapshot_id": snapshot_id, "manifest_sha256": sha256(manifest)}
        (root / "latest.new").write_text(json.dumps(latest), encoding="utf-8")
        os.replace(root / "latest.new", root / LATEST)
        return snapshot_id
