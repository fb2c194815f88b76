"""Finds the champion of each problem in the registry, fetches its files and offers it.

Here: the only use of MLflow in the service, imported in the polling thread when the first snapshot
has been found. Not here: the checks of the files (`model_files`), the pairing with a snapshot and
the swap (`deployments`).
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from serving.contract.model_card import (
    CARD_FILE,
    MODEL_FILE,
    TAG_CARD_SHA256,
    TAG_MODEL_SHA256,
)
from serving.deployments import CHAMPION, Deployments
from serving.domain_errors import ModelRefusedError, RefusalReason, RegistryUnreachableError
from serving.model_files import MAX_CARD_BYTES, ModelFiles, load_model
from serving.polling import Retries
from serving.served_model import RegisteredVersion

_LOG = logging.getLogger(__name__)

_MLFLOW_ENVIRONMENT: Final = {
    # The service asks no machine but the configured ones.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A registry that is down is noticed within seconds; MLflow's defaults take minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class Registry(Protocol):
    """Where versions and their files are."""

    def version(self, name: str, alias: str) -> RegisteredVersion | None:
        """The version an alias points to, or None when there is no such model or alias.

        Raises:
            RegistryUnreachableError: the registry does not answer.
        """

    def files(self, version: RegisteredVersion) -> ModelFiles:
        """The files of a version.

        Raises:
            RegistryUnreachableError: the store of the files does not answer.
            ModelRefusedError: a file is absent or too large.
        """


class MlflowRegistry:
    """The registry of an MLflow store or server."""

    def __init__(self, tracking_uri: str, *, max_model_bytes: int) -> None:
        """Remember the address; nothing is opened before the first question."""
        self._uri = tracking_uri
        self._max_bytes = {MODEL_FILE: max_model_bytes, CARD_FILE: MAX_CARD_BYTES}
        self._client: Any = None

    def version(self, name: str, alias: str) -> RegisteredVersion | None:
        """See `Registry`."""
        self._require_database()
        mlflow = _mlflow()
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

        try:
            if self._client is None:
                self._client = mlflow.MlflowClient(self._uri, registry_uri=self._uri)
            number = self._client.get_registered_model(name).aliases.get(alias)
            if number is None:
                return None
            found = self._client.get_model_version(name, number)
        except _unreachable() as error:
            code = getattr(error, "error_code", None)
            if code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                return None
            raise RegistryUnreachableError(type(error).__name__) from error
        return RegisteredVersion(
            name=name,
            version=str(number),
            source=found.source,
            model_sha256=found.tags.get(TAG_MODEL_SHA256),
            card_sha256=found.tags.get(TAG_CARD_SHA256),
        )

    def files(self, version: RegisteredVersion) -> ModelFiles:
        """See `Registry`."""
        mlflow = _mlflow()
        try:
            listed = mlflow.artifacts.list_artifacts(
                artifact_uri=version.source, tracking_uri=self._uri
            )
            sizes = {Path(entry.path).name: entry.file_size for entry in listed}
            for name, limit in self._max_bytes.items():
                _check_size(name, sizes, limit=limit)
            with tempfile.TemporaryDirectory(prefix="serving-model-") as folder:
                content = [
                    Path(
                        mlflow.artifacts.download_artifacts(
                            artifact_uri=f"{version.source.rstrip('/')}/{name}",
                            dst_path=folder,
                            tracking_uri=self._uri,
                        )
                    ).read_bytes()
                    for name in (MODEL_FILE, CARD_FILE)
                ]
        except _unreachable() as error:
            raise RegistryUnreachableError(type(error).__name__) from error
        return ModelFiles(model=content[0], card=content[1])

    def _require_database(self) -> None:
        """Never open an SQLite store that is not there: MLflow would create it, in a race."""
        parts = urlsplit(self._uri)
        if parts.scheme == "sqlite" and not Path(parts.path[1:]).exists():
            raise RegistryUnreachableError("its database does not exist yet")


def _check_size(name: str, sizes: dict[str, int | None], *, limit: int) -> None:
    if name not in sizes:
        raise ModelRefusedError(
            RefusalReason.FORMAT,
            f"the version has no file {name}; a model is {MODEL_FILE} and {CARD_FILE}; "
            "register a version whose source is the folder of both",
        )
    size = sizes[name]
    if size is None or size > limit:
        raise ModelRefusedError(
            RefusalReason.SIZE,
            f"{name} has {size} bytes, {limit} are allowed; "
            "register a smaller model or raise MLOPS_API_MAX_MODEL_MB",
        )


def _mlflow() -> Any:  # noqa: ANN401 - a module
    for name, value in _MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow
    import mlflow.artifacts

    return mlflow


def _unreachable() -> tuple[type[Exception], ...]:
    """What MLflow raises when a store does not answer: its own errors and its clients' errors.

    The clients are optional parts of MLflow; one that is not loaded cannot have raised.
    """
    from mlflow.exceptions import MlflowException

    known: list[type[Exception]] = [MlflowException, OSError]
    for module, name in (
        ("sqlalchemy.exc", "SQLAlchemyError"),
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
    ):
        if loaded := sys.modules.get(module):
            known.append(getattr(loaded, name))
    return tuple(known)


class ModelStore:
    """Looks for each problem's champion; a refused version leaves the last one serving."""

    def __init__(self, registry: Registry, deployments: Deployments, *, retries: Retries) -> None:
        """Follow `registry` on behalf of `deployments`."""
        self._registry = registry
        self._deployments = deployments
        self._retries = retries

    def poll(self) -> None:
        """Look once at the alias of every problem of which a snapshot is published."""
        try:
            for problem in self._deployments.problems:
                self._follow(problem)
        except RegistryUnreachableError as error:
            if self._deployments.registry_complains(
                f"the model registry does not answer ({error}); the last models keep serving; "
                "bring it back or correct MLOPS_MLFLOW_TRACKING_URI"
            ):
                _LOG.warning("the model registry does not answer", exc_info=error)
        else:
            self._deployments.registry_complains(None)

    def _follow(self, problem: str) -> None:
        snapshot = self._deployments.newest_snapshot(problem)
        if snapshot is None:
            return
        name = snapshot.manifest.registered_model
        version = self._registry.version(name, CHAMPION)
        if version is None:
            self._deployments.model_settled(
                problem,
                f"no version of {name} has the alias {CHAMPION}; materialise `champion`",
            )
            return
        held = self._deployments.newest_model(problem)
        if held is not None and held.registered == version:
            self._retries.forget(problem)
            self._deployments.model_settled(problem)
        elif not self._retries.must_wait(problem, version):
            self._load(problem, version)

    def _load(self, problem: str, version: RegisteredVersion) -> None:
        try:
            model = load_model(self._registry.files(version), version, problem=problem)
        except ModelRefusedError as error:
            _LOG.warning("version %s of %s is refused: %s", version.version, version.name, error)
            self._retries.refused(problem, version)
            self._deployments.model_refused(
                problem,
                error.reason,
                f"version {version.version} of {version.name} is refused: {error}",
            )
        else:
            self._deployments.offer_model(problem, model)
