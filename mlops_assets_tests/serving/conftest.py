from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlops_assets_tests.serving.published import World, model_files
from mlops_assets_tests.serving.running import served


def pytest_configure(config: pytest.Config) -> None:
    # MLflow 3.17 asks SQLAlchemy 2.1 for a loader that is to be removed: nothing here can avoid it.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy")


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without models; made once, since its migrations take seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def world(tmp_path: Path, empty_registry: Path) -> World:
    """A world of one's own, with nothing registered and nothing published."""
    return World.create(tmp_path / "home", empty_registry)


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    """The service over one snapshot and one champion (slope -0.1), for tests that only ask."""
    world = World.create(tmp_path_factory.mktemp("world") / "home", empty_registry)
    world.register(model_files(-0.1))
    world.publish()
    with served(world) as ready:
        yield ready
