from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets_tests.serving.mlflow_server import MlflowServer, mlflow_server


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[MlflowServer]:
    """One MLflow server for every test that only needs some names in it."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    database = folder / "mlflow.db"
    shutil.copy(empty_registry, database)
    with mlflow_server(folder, database) as running:
        yield running
