"""Undoing a step that was cut short: a replay then goes on as if that step had never begun.

A verdict or a forecast of half a step would otherwise stay and change what the step says when it is
done again. Tables are replaced file by file and never changed in place, so a copy of links costs
nothing; MLflow's database is copied whole. Artifacts are only added, and a run that its database
does not know is nobody's.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from mlops_assets.settings import Settings

_PARTIAL: Final = "before_step.partial"


@contextmanager
def all_or_nothing(folder: Path, own: Settings, *, done: int) -> Iterator[None]:
    """Remember the replay's state for the length of a step; a step that ends forgets it.

    An error leaves the memory in place, as a killed process does: `undo_cut_step` needs it.

    Args:
        folder: the replay's.
        own: the replay's settings; they name its tables and its MLflow database.
        done: number of steps that were finished before.
    """
    _remember(folder, own, done=done)
    yield
    shutil.rmtree(folder / _name(done))


@contextmanager
def without_trace(folder: Path, own: Settings, *, done: int) -> Iterator[None]:
    """Remember the replay's state, and bring it back whatever happens.

    Args:
        folder: the replay's.
        own: the replay's settings.
        done: number of steps that are finished.
    """
    _remember(folder, own, done=done)
    try:
        yield
    finally:
        undo_cut_step(folder, own, done=done)


def undo_cut_step(folder: Path, own: Settings, *, done: int) -> bool:
    """Bring back the state before a step that did not end; whether there was one.

    Args:
        folder: the replay's.
        own: the replay's settings.
        done: number of finished steps; what was remembered before one of them is forgotten.
    """
    kept, storage = folder / _name(done), Path(own.storage)
    for other in set(folder.glob(_name("*"))) - {kept}:
        shutil.rmtree(other)
    if not kept.exists():
        return False
    shutil.rmtree(storage, ignore_errors=True)
    if (kept / "storage").exists():
        shutil.copytree(kept / "storage", storage, copy_function=os.link)
    _copy_database(kept / "mlflow.db", _database(own))
    shutil.rmtree(kept)
    return True


def _remember(folder: Path, own: Settings, *, done: int) -> None:
    partial = folder / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    storage = Path(own.storage)
    if storage.exists():
        shutil.copytree(storage, partial / "storage", copy_function=os.link)
    _copy_database(_database(own), partial / "mlflow.db")
    partial.rename(folder / _name(done))


def _name(done: int | str) -> str:
    return f"before_step_{done}"


def _database(own: Settings) -> Path:
    return Path(own.tracking_uri.removeprefix("sqlite:///"))


def _copy_database(source: Path, target: Path) -> None:
    """By SQLite's own backup: connections of this process that are open stay usable."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as write:
        read.backup(write)
