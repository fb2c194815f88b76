"""Prepares the stores before anything else opens them: folders, MLflow's schema, Dagster's home.

A fresh SQLite store that several processes open at once breaks for good, so one process upgrades
it first. Not here: tables and snapshots (`storage`), which need no preparation.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import yaml

from mlops_assets.cli.ports import mlflow_is_elsewhere
from mlops_assets.settings import Settings

MAX_CONCURRENT_RUNS: Final = 2
"""As many as a small laptop has cores; the rest waits in the queue."""

MAX_RUNTIME_SECONDS: Final = 4 * 3600
"""A run that takes longer is failed; a whole history from nothing takes a quarter of an hour."""

TICK_RETENTION_DAYS: Final = 7
"""Days that ticks without a result are kept; the others stay for a month."""

_REVISION: Final = re.compile(r"^(down_revision|revision)\s*(?::[^=]+)?=\s*(.+)$", re.MULTILINE)
_QUOTED: Final = re.compile(r"""["']([0-9a-z_]+)["']""")


class StoreError(RuntimeError):
    """A store cannot be prepared; the message names it, what went wrong and the remedy."""


def prepare(settings: Settings, progress: Callable[[str], None]) -> None:
    """Make every store of this namespace ready; quick when nothing changed.

    Args:
        settings: name the namespace and the stores.
        progress: told in plain words what takes time.

    Raises:
        StoreError: a store refuses to be prepared.
    """
    for folder in _folders(settings):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(tool_environment(settings))
    if not mlflow_is_elsewhere(settings) and not mlflow_schema_is_current(settings.tracking_uri):
        progress("Preparing MLflow's store")
        upgrade_mlflow_schema(settings.tracking_uri)
    write_dagster_configuration(settings.dagster_home)
    if not (settings.dagster_home / "storage" / "schedules" / "schedules.db").exists():
        progress("Preparing Dagster's store")
        _create_dagster_storage(settings.dagster_home)


def tool_environment(settings: Settings) -> dict[str, str]:
    """Variables that Dagster and MLflow read themselves; neither reports usage to anyone."""
    return {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def mlflow_schema_head() -> str:
    """Newest revision of the installed MLflow's schema, read without importing MLflow (seconds).

    Raises:
        StoreError: the migrations do not end in exactly one revision.
    """
    spec = importlib.util.find_spec("mlflow")
    if spec is None or spec.origin is None:
        raise StoreError("mlflow is not installed; run `make setup`")
    versions = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    revisions: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for script in versions.glob("*.py"):
        for name, value in _REVISION.findall(script.read_text(encoding="utf-8")):
            revisions[name].update(_QUOTED.findall(value))
    heads = revisions["revision"] - revisions["down_revision"]
    if len(heads) != 1:
        raise StoreError(
            f"the migrations in {versions} end in {sorted(heads)}, one revision is expected; "
            "reinstall mlflow at the version of requirements.lock"
        )
    return heads.pop()


def mlflow_schema_is_current(uri: str) -> bool:
    """Whether the store at `uri` (SQLAlchemy address) has the installed MLflow's schema.

    Raises:
        StoreError: the database cannot be reached.
    """
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                return False
            query = sqlalchemy.text("SELECT version_num FROM alembic_version")
            return list(connection.execute(query).scalars()) == [mlflow_schema_head()]
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise StoreError(
            f"MLflow's store {engine.url.render_as_string()} does not answer ({error}); "
            "correct MLOPS_MLFLOW_TRACKING_URI, or start that database"
        ) from error
    finally:
        engine.dispose()


def upgrade_mlflow_schema(uri: str) -> None:
    """Bring MLflow's store to the installed version's schema, in one process of its own.

    Raises:
        StoreError: the migration failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", uri],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StoreError(
            f"`mlflow db upgrade` failed on {uri}; `mlops reset` starts this namespace anew, "
            f"a backup restores it:\n{done.stderr[-2000:]}"
        )


def dagster_configuration(home: Path) -> str:
    """Text of `dagster.yaml` for a laptop: SQLite below `home`, few runs at once, no telemetry."""
    from mlops_assets.orchestration.pools import PROBLEM_TAG

    ticks = {"skipped": TICK_RETENTION_DAYS, "failure": 30, "success": 30}
    document = {
        "storage": {"sqlite": {"base_dir": str(home / "storage")}},
        "telemetry": {"enabled": False},
        # The page would greet everyone with a form that asks for an e-mail address.
        "nux": {"enabled": False},
        "concurrency": {
            "runs": {
                "max_concurrent_runs": MAX_CONCURRENT_RUNS,
                # Runs of one problem write the same tables, so they take turns.
                "tag_concurrency_limits": [
                    {
                        "key": PROBLEM_TAG,
                        "value": {"applyLimitPerUniqueValue": True},
                        "limit": 1,
                    }
                ],
            },
            # A run waits for a place in every pool of its operations, instead of its steps.
            "pools": {"default_limit": 1, "granularity": "run"},
        },
        # A run whose process was killed stays `started`; without a limit it would hold its place
        # in the queue for ever.
        "run_monitoring": {"enabled": True, "max_runtime_seconds": MAX_RUNTIME_SECONDS},
        "retention": {
            kind: {"purge_after_days": dict(ticks)}
            for kind in ("schedule", "sensor", "auto_materialize")
        },
        "freshness": {"enabled": True},
    }
    note = "# Written by `mlops`; an edit here is overwritten at the next start.\n"
    return note + yaml.safe_dump(document, sort_keys=False)


def write_dagster_configuration(home: Path) -> None:
    """Write `dagster.yaml` into `home`, unless it has that text already."""
    path, text = home / "dagster.yaml", dagster_configuration(home)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _create_dagster_storage(home: Path) -> None:
    """Create the instance's tables: its daemon and page would otherwise race for it."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs_count()
        instance.get_asset_keys(limit=1)
        instance.schedule_storage  # noqa: B018 - reading it creates its tables


def _folders(settings: Settings) -> list[Path]:
    folders = [settings.namespace, settings.dagster_home, settings.namespace / "logs"]
    if "://" not in settings.storage:
        folders.append(Path(settings.storage))
    if settings.artifact_uri.startswith("file://"):
        folders.append(Path(settings.artifact_uri.removeprefix("file://")))
    return folders
