"""A replay's own place: settings and resources that reach nothing of production but raw rows.

Everything that a replay writes lies below `<namespace>/replays/<id>`: tables, snapshots, MLflow's
database and files. Only its fits lie beside, where every other replay finds them. Its settings keep
no address and no secret of production, so that even an asset that asked for a source, a service or
a channel of alerts would find none.
"""

# No `from __future__ import annotations`: Dagster reads a resource's dependency as an object.

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg

from mlops_assets.ingestion.pull import raw_table
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.replay.overlay import OverlaidStore, commits_of
from mlops_assets.settings import Settings
from mlops_assets.storage.io_manager import TableIOManager
from mlops_assets.storage.kept_objects import KeptObjects
from mlops_assets.storage.tables import TableStore

FOLDER: Final = "replays"
"""Folder of all replays below a namespace."""
FITS: Final = ".fits"
"""Folder beside the replays that keeps the fits of all of them; it may be deleted at any time."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class ReplayError(ValueError):
    """A replay was asked for something that it cannot do."""


def replay_folder(settings: Settings, replay_id: str) -> Path:
    """The folder that holds everything of a replay.

    Raises:
        ReplayError: the id is no plain name.
    """
    if not _ID.fullmatch(replay_id):
        raise ReplayError(
            f"replay id {replay_id!r} is no plain name; it names a folder, so use letters, digits, "
            "'-' and '_' only"
        )
    return settings.namespace / FOLDER / replay_id


def replay_settings(settings: Settings, replay_id: str) -> Settings:
    """Production's settings with a home of the replay's own.

    Whatever is not set by default goes back to "not set": addresses of stores, folders of input
    files, secrets. New settings of that sort are therefore covered too.

    Raises:
        ReplayError: the id is no plain name.
    """
    unset = {n: None for n, field in Settings.model_fields.items() if field.default is None}
    return settings.model_copy(update={**unset, "home": replay_folder(settings, replay_id)})


def raw_commits(settings: Settings, problem: ForecastProblem) -> dict[str, int]:
    """Production's raw tables of a problem with their newest commit.

    Raises:
        ReplayError: the target's values were never fetched.
    """
    tables = [raw_table(problem.name, source) for source in problem.sources]
    commits = commits_of(TableStore(settings.storage), tables)
    target = raw_table(problem.name, problem.target.source)
    if target not in commits:
        raise ReplayError(
            f"{target} is not in {settings.storage}; a replay reads production's raw tables and "
            f"calls no source; fetch first: `mlops run --problem {problem.name}`"
        )
    return commits


class ReplayTables(Tables):
    """Gives assets the replay's tables, over production's raw rows known by the clock."""

    production: str
    commits: dict[str, int]
    fits_folder: str
    clock: dg.ResourceDependency[Clock]

    def store(self) -> TableStore:
        """The tables as the clock's instant shows them."""
        return OverlaidStore(
            self.root,
            production=self.production,
            commits=self.commits,
            known_by=self.clock.now(),
        )

    def fits(self) -> KeptObjects:
        """The fits of all replays: one that is repeated makes none of them again."""
        return KeptObjects(Path(self.fits_folder))


class ReplayPlatform(Platform):
    """Gives assets the replay's settings, whatever the environment says."""

    given: str
    """The settings as JSON; they hold no secret."""

    def settings(self) -> Settings:
        """The settings of the replay."""
        return Settings.model_validate_json(self.given)


def replay_resources(
    production: Settings, own: Settings, commits: Mapping[str, int]
) -> dict[str, Any]:
    """Clock, settings and tables of a replay; each run sets the clock in its configuration.

    Args:
        production: whose raw tables are read.
        own: as `replay_settings` gives them.
        commits: raw tables of production and the commit to read.
    """
    clock = Clock.configure_at_launch()
    return {
        "clock": clock,
        "platform": ReplayPlatform(given=own.model_dump_json()),
        "tables": ReplayTables(
            root=own.storage,
            production=production.storage,
            commits=dict(commits),
            fits_folder=str(production.namespace / FOLDER / FITS),
            clock=clock,
        ),
        "io_manager": TableIOManager(root=own.storage),
    }


def clock_at(instant: datetime) -> dict[str, Any]:
    """Configuration of a run's resources that sets the clock of `replay_resources`."""
    return {"clock": {"config": {"fixed_at": instant.isoformat()}}}
