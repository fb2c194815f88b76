"""A namespace with an MLflow store of its own, which leaves nothing behind in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_assets.settings import Settings
from mlops_assets_tests.end_to_end.world import empty_registry


@contextmanager
def namespace(home: Path, session: Path) -> Iterator[Settings]:
    """Settings of `home` with an empty MLflow store.

    Args:
        home: an empty folder.
        session: the test session's folder, which keeps the store that is copied.
    """
    import mlflow

    settings = Settings(home=home, _env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own
    settings.namespace.mkdir(parents=True)
    shutil.copy(empty_registry(session), settings.namespace / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
            patch.setenv(name, "")  # restored afterwards, whatever MLflow writes
            patch.delenv(name)
        mlflow.set_tracking_uri(settings.tracking_uri)
        try:
            yield settings
        finally:
            while mlflow.active_run() is not None:
                mlflow.end_run()
            mlflow.set_tracking_uri("")
