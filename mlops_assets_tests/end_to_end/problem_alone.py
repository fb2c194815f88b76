"""Runs one problem of any kind in a home of its own, as `mlops run` does."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import pytest

from mlops_assets.cli import run as cli_run
from mlops_assets.cli.stores import prepare
from mlops_assets.cli.summary import RunSummary
from mlops_assets.settings import Settings
from mlops_assets_tests.end_to_end.world import empty_registry


def empty_home(session: Path, folder: Path) -> Settings:
    """Settings of an empty home below `folder`, whose files lie in `data` there."""
    settings = Settings(data="files", data_dir=folder / "data", home=folder / "home")
    settings.namespace.mkdir(parents=True)
    shutil.copy(empty_registry(session), settings.namespace / "mlflow.db")
    return settings


def run_alone(
    settings: Settings, name: str, yaml: Path, *, as_of: datetime | None = None
) -> RunSummary:
    """Run the problem of a YAML file; environment and problems are put back afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_DATA", "files")
        patch.setenv("MLOPS_DATA_DIR", str(settings.data_dir))
        patch.setenv("MLOPS_HOME", str(settings.home))
        for variable in ("DAGSTER_HOME", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
            patch.setenv(variable, "")  # `prepare` sets them
        patch.setattr(cli_run, "problem_files", lambda: {name: yaml})
        prepare(settings, lambda _: None)
        return cli_run.run_problem(
            settings,
            name,
            as_of=as_of.isoformat() if as_of else None,
            evaluate_from=None,
            progress=lambda _: None,
        )
