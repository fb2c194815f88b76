"""A home of one's own in which the planted problem is run through its whole graph."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops_assets.cli import run as cli_run
from mlops_assets.cli.stores import prepare
from mlops_assets.cli.summary import RunSummary
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.end_to_end import planted

Plant = Callable[[pytest.MonkeyPatch], None]
"""Puts a fault into the running code."""


@cache
def empty_registry(session: Path) -> Path:
    """An MLflow database without models; made once, since its migrations take seconds.

    Args:
        session: the test session's folder (`tmp_path_factory.getbasetemp()`).
    """
    from mlflow import MlflowClient

    path = session / "empty_registry.db"
    MlflowClient(f"sqlite:///{path}").search_registered_models()
    return path


@dataclass
class World:
    """Files, home and YAML of the planted problem below one folder."""

    folder: Path
    lines: list[str] = field(default_factory=list)

    @classmethod
    def create(cls, folder: Path, registry: Path) -> World:
        """Forty days of the market, nothing run yet."""
        world = cls(folder)
        world.deliver(planted.market())
        planted.write_yaml(world.yaml, planted.attributes())
        world.settings.namespace.mkdir(parents=True)
        shutil.copy(registry, world.settings.namespace / "mlflow.db")
        return world

    def copy(self, folder: Path) -> World:
        """The same world elsewhere; the models of its registry stay where they are.

        The log of answers is left out: a service of another test may be writing it.
        """
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("prediction_log.db*"))
        return World(folder)

    @property
    def yaml(self) -> Path:
        """The problem's file."""
        return self.folder / "defs" / planted.NAME / "defs.yaml"

    @property
    def settings(self) -> Settings:
        """Settings of this home, `files` mode."""
        return Settings(data="files", data_dir=self.folder / "data", home=self.folder / "home")

    @property
    def store(self) -> TableStore:
        """Its tables."""
        return TableStore(self.settings.storage)

    def table(self, name: str) -> pl.DataFrame:
        """A derived table of the problem."""
        return self.store.read(f"{planted.NAME}/{name}")

    def deliver(self, coin: pl.DataFrame) -> None:
        """Replace the target's file."""
        planted.write_files(
            self.folder / "data", coin, planted.market(len(coin) // 24, reversal=0.0, seed=2)
        )

    @contextmanager
    def entered(self) -> Iterator[pytest.MonkeyPatch]:
        """Environment and code see this world; all is put back afterwards."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLOPS_DATA", "files")
            patch.setenv("MLOPS_DATA_DIR", str(self.folder / "data"))
            patch.setenv("MLOPS_HOME", str(self.folder / "home"))
            for name in ("DAGSTER_HOME", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
                patch.setenv(name, "")  # `prepare` sets them
            patch.setattr(cli_run, "problem_files", lambda: {planted.NAME: self.yaml})
            prepare(self.settings, self.lines.append)
            yield patch

    def run(
        self,
        *,
        as_of: datetime | None = None,
        evaluate_from: str | None = None,
        plant: Plant | None = None,
    ) -> RunSummary:
        """The whole graph through the job, as `mlops run` does it."""
        with self.entered() as patch:
            if plant is not None:
                plant(patch)
            return cli_run.run_problem(
                self.settings,
                planted.NAME,
                as_of=as_of.isoformat() if as_of else None,
                evaluate_from=evaluate_from,
                progress=self.lines.append,
            )

    def dagster(self, ask: Callable[[Any], Any]) -> Any:  # noqa: ANN401  (whatever is asked)
        """What Dagster's instance of this home answers."""
        import dagster as dg

        with self.entered(), dg.DagsterInstance.get() as instance:
            return ask(instance)


@cache
def first_run(session: Path) -> tuple[World, RunSummary]:
    """A world after its first run, made once in a session: tests copy it or only look at it."""
    world = World.create(session / "planted_world", empty_registry(session))
    return world, world.run()
