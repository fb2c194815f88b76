"""A run killed in the middle of a write leaves readable tables, and the next one completes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.end_to_end.problem_alone import empty_home, run_alone
from mlops_assets_tests.end_to_end.test_third_problem import NAME, YAML, write_visits

pytestmark = pytest.mark.services

SCRIPT = Path(__file__).with_name("killed_run.py")
KILLS = (("merge", f"{NAME}/raw_visits"), ("write", f"{NAME}/features"))
KEYS = {
    "raw_visits": ["series", "valid_time", "known_at"],
    "observations": ["series", "valid_time", "known_at"],
    "features": ["series", "origin"],
    "backtest": ["candidate", "series", "origin", "step"],
}


def table(settings: Settings, name: str) -> pl.DataFrame:
    """A table of the problem, in the order of its key."""
    store = TableStore(settings.storage)
    read = store.read_delta if name.startswith("raw_") else store.read
    return read(f"{NAME}/{name}").sort(KEYS[name])


def killed(folder: Path, method: str, name: str) -> int:
    """Exit code of a run that is killed during a write."""
    command = [sys.executable, "-m", "mlops_assets_tests.end_to_end.killed_run"]
    root = SCRIPT.resolve().parents[2]
    done = subprocess.run(
        [*command, str(folder), str(YAML), method, name], cwd=root, capture_output=True, check=False
    )
    return done.returncode


def test_two_kills_in_the_middle_of_a_write_lose_and_double_nothing(
    session: Path, tmp_path: Path
) -> None:
    write_visits(tmp_path / "sound" / "data" / "visits.csv")
    shutil.copytree(tmp_path / "sound", tmp_path / "killed")
    sound = empty_home(session, tmp_path / "sound")
    hurt = empty_home(session, tmp_path / "killed")
    run_alone(sound, NAME, YAML)

    codes = [killed(tmp_path / "killed", method, name) for method, name in KILLS]
    summary = run_alone(hurt, NAME, YAML)

    assert codes == [-signal.SIGKILL, -signal.SIGKILL]
    assert summary.champion.candidate == "ridge"
    for name, key in KEYS.items():
        left = table(hurt, name)
        assert not left.select(key).is_duplicated().any()
        bookkeeping = ["fetched_at"] if name == "raw_visits" else []
        assert left.drop(bookkeeping).equals(table(sound, name).drop(bookkeeping)), name
