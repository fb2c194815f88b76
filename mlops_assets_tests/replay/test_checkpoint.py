from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.replay.checkpoint import all_or_nothing, undo_cut_step, without_trace
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore


class CutError(RuntimeError):
    """Stands for whatever stops a step."""


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    """A replay's settings, with a table and a row in its database."""
    settings = Settings(home=tmp_path)
    settings.namespace.mkdir(parents=True)
    TableStore(settings.storage).write("p/said", pl.DataFrame({"a": [1]}))
    execute(settings, "CREATE TABLE version (number INTEGER)")
    execute(settings, "INSERT INTO version VALUES (1)")
    return settings


def execute(settings: Settings, statement: str) -> list[int]:
    with closing(sqlite3.connect(settings.namespace / "mlflow.db")) as connection, connection:
        return [row[0] for row in connection.execute(statement)]


def change(settings: Settings) -> None:
    """What a step does: replace a table, add one, add a row."""
    store = TableStore(settings.storage)
    store.write("p/said", pl.DataFrame({"a": [1, 2]}))
    store.write("p/new", pl.DataFrame({"a": [3]}))
    execute(settings, "INSERT INTO version VALUES (2)")


def cut_step(settings: Settings, folder: Path) -> None:
    """A first step that changes everything and does not end."""
    with contextlib.suppress(CutError), all_or_nothing(folder, settings, done=0):
        change(settings)
        raise CutError


def state(settings: Settings) -> tuple[list[int], bool, list[int]]:
    store = TableStore(settings.storage)
    numbers = execute(settings, "SELECT number FROM version")
    return store.read("p/said")["a"].to_list(), store.exists("p/new"), numbers


def test_a_step_that_was_cut_short_leaves_no_trace(own: Settings, tmp_path: Path) -> None:
    cut_step(own, tmp_path)

    assert state(own) == ([1, 2], True, [1, 2])
    assert undo_cut_step(tmp_path, own, done=0)
    assert state(own) == ([1], False, [1])
    assert not undo_cut_step(tmp_path, own, done=0)


def test_a_step_that_ends_keeps_what_it_did(own: Settings, tmp_path: Path) -> None:
    with all_or_nothing(tmp_path, own, done=0):
        change(own)

    assert not undo_cut_step(tmp_path, own, done=1)
    assert state(own) == ([1, 2], True, [1, 2])


def test_a_step_that_was_recorded_before_its_memory_was_gone_is_kept(
    own: Settings, tmp_path: Path
) -> None:
    cut_step(own, tmp_path)

    # The record says that one step is done.
    assert not undo_cut_step(tmp_path, own, done=1)
    assert state(own) == ([1, 2], True, [1, 2])
    assert not list(tmp_path.glob("before_step*"))


def test_an_open_connection_sees_the_undone_state(own: Settings, tmp_path: Path) -> None:
    with closing(sqlite3.connect(own.namespace / "mlflow.db")) as connection:
        cut_step(own, tmp_path)
        undo_cut_step(tmp_path, own, done=0)

        assert connection.execute("SELECT number FROM version").fetchall() == [(1,)]


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_done_without_a_trace_leaves_none_whether_it_ends_or_not(
    own: Settings, tmp_path: Path, fails: bool
) -> None:
    with contextlib.suppress(CutError), without_trace(tmp_path, own, done=3):
        change(own)
        assert state(own) == ([1, 2], True, [1, 2])
        if fails:
            raise CutError

    assert state(own) == ([1], False, [1])
    assert not list(tmp_path.glob("before_step*"))
