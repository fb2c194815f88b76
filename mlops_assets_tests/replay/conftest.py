from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.replay.isolation import replay_settings
from mlops_assets.settings import Settings
from mlops_assets_tests.end_to_end.world import empty_registry

REPLAY = "weekly"


@pytest.fixture(autouse=True, scope="package")
def mlflow_leaves_nothing_behind() -> Iterator[None]:
    """MLflow writes to the environment; all is put back."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
            patch.setenv(name, "")
            patch.delenv(name)
        yield


def with_registry(production: Settings, session: Path, *, name: str = REPLAY) -> Settings:
    """Production's settings, with an empty registry in the place of the replay's.

    The replay would create it itself; that takes seconds.
    """
    own = replay_settings(production, name)
    own.namespace.mkdir(parents=True)
    shutil.copy(empty_registry(session), own.namespace / "mlflow.db")
    return production
