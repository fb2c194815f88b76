"""Dagster's own daemon on the quick code location, and what its instance tells meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import dagster as dg
import pytest

from mlops_assets.cli.stores import prepare
from mlops_assets.settings import Settings

LOCATION: Final = "mlops_assets_tests.end_to_end.unattended.location"
GIVE_UP_SECONDS: Final = 400.0
ROOT: Final = Path(__file__).resolve().parents[3]


@dataclass
class Watched:
    """A running daemon, looked at from outside."""

    instance: dg.DagsterInstance
    daemon: subprocess.Popen[bytes]
    stopped: Path
    log: Path

    def until(self, condition: Callable[[], bool], *, what: str) -> float:
        """Wait until a condition holds; the seconds that took.

        Raises:
            AssertionError: it does not hold in time, or the daemon ended.
        """
        began, pause = time.monotonic(), threading.Event()
        while not condition():
            told = self.log.read_text(errors="replace")[-2000:]
            assert self.daemon.poll() is None, f"the daemon ended while waiting: {what}\n{told}"
            waited = time.monotonic() - began
            assert waited < GIVE_UP_SECONDS, f"after {waited:.0f} s not so: {what}\n{told}"
            pause.wait(0.5)
        return time.monotonic() - began

    def materialisations(self, problem: str, asset: str) -> int:
        """How often an asset was materialised."""
        key = dg.AssetKey([problem, asset])
        return len(self.instance.fetch_materializations(key, limit=1000).records)

    def check_passed(self, problem: str, asset: str, check: str) -> bool | None:
        """The newest outcome of a check; None before the first."""
        key = dg.AssetCheckKey(dg.AssetKey([problem, asset]), check)
        summary = self.instance.event_log_storage.get_asset_check_summary_records([key])[key]
        record = summary.last_completed_check_execution_record
        return None if record is None else record.status.value == "SUCCEEDED"

    def overlaps(self, problem: str) -> list[tuple[str, str]]:
        """Pairs of runs of a problem that ran at the same time."""
        spans = sorted(
            (r.start_time, r.end_time or time.time(), r.dagster_run.run_id)
            for r in self.instance.get_run_records(limit=500)
            if r.start_time and r.dagster_run.tags.get("mlops/problem") == problem
        )
        return [(first[2], second[2]) for first, second in pairwise(spans) if second[0] < first[1]]


@contextmanager
def running(folder: Path) -> Iterator[Watched]:
    """The daemon on an empty home below `folder`; it is ended with the block."""
    settings = Settings(data="sample", home=folder / "home")
    stopped, log = folder / "stopped", folder / "daemon.log"
    with pytest.MonkeyPatch.context() as patch:
        environment = {
            "MLOPS_DATA": "sample",
            "MLOPS_HOME": str(folder / "home"),
            "MLOPS_AUTOMATION_PACE": "* * * * *",
            "FRESHNESS_DAEMON_INTERVAL_SECONDS": "10",
            "MLOPS_TEST_BEGAN": datetime.now(UTC).isoformat(),
            "MLOPS_TEST_STOPPED": str(stopped),
        }
        for name in ("DAGSTER_HOME", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
            patch.setenv(name, "")  # `prepare` sets them
        for name, value in environment.items():
            patch.setenv(name, value)
        prepare(settings, lambda _: None)
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", LOCATION, "-d", str(ROOT)]
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
            )
        try:
            with dg.DagsterInstance.get() as instance:
                yield Watched(instance, daemon, stopped, log)
        finally:
            os.killpg(daemon.pid, signal.SIGTERM)
            daemon.wait(timeout=60)
