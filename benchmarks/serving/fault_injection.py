"""Faults of what the service depends on: each begins with its block and is undone at its end.

Here: the registry's server, the storage, the log's database and the cache folder of a home of our
own, taken away and given back. Not here: what callers see meanwhile (`faults`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.serving.forest_home import MODEL_NAME, World
from benchmarks.serving.processes import HOST, Service, ask, bare_environment, free_port
from serving.deployments import CHAMPION

_SMALL_DISK_KIB: Final = 64


class FaultNotPossibleError(RuntimeError):
    """This machine cannot show a fault; the message says why."""


@dataclass
class Surroundings:
    """A home with what its service depends on."""

    world: World
    folder: Path
    registry_port: int = field(default_factory=free_port)
    registry: Service | None = None

    @property
    def registry_uri(self) -> str:
        """Address of the registry's server."""
        return f"http://{HOST}:{self.registry_port}"

    @property
    def cache(self) -> Path:
        """The service's cache folder."""
        return self.world.namespace / "serving-cache"

    def start_registry(self) -> None:
        """Start `mlflow server` over the home's database, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.world.database}"]
        command += ["--host", HOST, "--port", str(self.registry_port)]
        server = Service(
            command,
            port=self.registry_port,
            environment=bare_environment({"MLFLOW_DISABLE_TELEMETRY": "true"}),
            folder=self.folder,
            name="registry",
        )
        self.registry = server
        server.until(
            lambda: ask(server.port, "GET", "/health").status == 200, what="the registry answers"
        )

    def kill_registry(self) -> None:
        """End the registry's server at once."""
        if self.registry is not None:
            self.registry.end(signal.SIGKILL)
            self.registry = None

    def promote_other(self) -> None:
        """Let the champion's alias point to the version that it does not point to."""
        current = self.world.client.get_model_version_by_alias(MODEL_NAME, CHAMPION).version
        self.world.promote("1" if str(current) == "2" else "2")


@contextlib.contextmanager
def registry_killed(around: Surroundings) -> Iterator[None]:
    """`mlflow server` is killed; undone by starting it again on its port."""
    around.kill_registry()
    try:
        yield
    finally:
        around.start_registry()


@contextlib.contextmanager
def storage_away(around: Surroundings) -> Iterator[None]:
    """The folders of snapshots and of model files are renamed."""
    places = [around.world.namespace / name for name in ("storage", "mlflow-artifacts")]
    moved = [(place, place.with_name(f"{place.name}.away")) for place in places]
    for place, away in moved:
        place.rename(away)
    try:
        yield
    finally:
        for place, away in moved:
            away.rename(place)


@contextlib.contextmanager
def log_locked(around: Surroundings) -> Iterator[None]:
    """Another process's transaction locks the log's database."""
    database = sqlite3.connect(around.world.prediction_log, isolation_level=None, timeout=30)
    try:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")
    finally:
        database.close()


@contextlib.contextmanager
def cache_unwritable(around: Surroundings) -> Iterator[None]:
    """A file is in the place of the cache folder, and a promotion gives something to keep.

    Withdrawn permissions would not do: they do not hold for root, who runs containers.
    """
    away = around.cache.with_name("serving-cache.away")
    around.cache.rename(away)
    around.cache.write_bytes(b"")
    try:
        around.promote_other()
        yield
    finally:
        around.cache.unlink()
        away.rename(around.cache)


@contextlib.contextmanager
def cache_full(around: Surroundings) -> Iterator[None]:
    """The cache folder is on a full disk, and a promotion gives something to keep.

    Raises:
        FaultNotPossibleError: this process may not mount a small disk.
    """
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK_KIB}k", "tmpfs", str(around.cache)]
    done = subprocess.run(mounted, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FaultNotPossibleError(
            f"a small disk cannot be mounted here ({done.stderr.strip()}); run as root to see a "
            "full disk under the cache"
        )
    try:
        _fill(around.cache / "ballast")
        around.promote_other()
        yield
    finally:
        subprocess.run(["umount", str(around.cache)], check=True)


def _fill(file: Path) -> None:
    """Write until the small disk has no room."""
    with file.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        for _ in range(2 * _SMALL_DISK_KIB):
            ballast.write(os.urandom(1024))


Injection = Callable[[Surroundings], AbstractContextManager[None]]

FAULTS: Final[dict[str, Injection]] = {
    "mlflow server killed": registry_killed,
    "storage folder gone": storage_away,
    "log database locked": log_locked,
    "cache folder unwritable": cache_unwritable,
    "disk of the cache full": cache_full,
}
"""Words for a fault -> what brings it about."""
