"""Runs `python -m serving` in tests: real processes, ended by their ids."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from mlops_assets_tests.serving.published import World
from mlops_assets_tests.serving.running import until


@dataclass(frozen=True)
class Command:
    """A service that runs as its own process."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path
    scratch: Path
    """The folder of its temporary files."""

    @property
    def workers(self) -> list[int]:
        """Ids of the worker processes, when there are several."""
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
        return [pid for pid in map(int, children.split()) if "spawn_main" in _command_line(pid)]

    def is_ready(self) -> bool:
        """Whether forecasts can be answered."""
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        try:
            return httpx.get(f"{self.address}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """Ask the service to stop, and wait until it has."""
        self.process.terminate()
        return self.process.wait(timeout=60)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


@contextmanager
def commanded(world: World, folder: Path, **settings: str) -> Iterator[Command]:
    """The service over a world, ready; `settings` are MLOPS_* variables without that prefix."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scratch = folder / "scratch"
    scratch.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(scratch),
        "MLOPS_HOME": str(world.home),
        "MLOPS_API_PORT": str(port),
        **{f"MLOPS_{name}": value for name, value in settings.items()},
    }
    log = folder / "service.log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "serving"], stderr=stderr, env=environment
        ) as process,
    ):
        command = Command(process, f"http://127.0.0.1:{port}", log, scratch)
        try:
            until(command.is_ready, what="the command serves")
            yield command
        finally:
            if process.poll() is None:
                command.stop()
