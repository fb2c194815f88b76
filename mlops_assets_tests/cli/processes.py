"""Small real services for the tests: HTTP servers, and ways to see whether a process lives."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mlops_assets.cli.services import answers
from mlops_assets.cli.supervisor import Service

PATIENCE_SECONDS = 30.0


def web_server(name: str, port: int, folder: Path) -> Service:
    """A service that serves `folder` over HTTP."""
    command = (
        *(sys.executable, "-m", "http.server", str(port)),
        *("--bind", "127.0.0.1", "--directory", str(folder)),
    )
    url = f"http://127.0.0.1:{port}/"
    return Service(name, command, folder / "logs" / f"{name}.log", lambda: answers(url))


def script(name: str, code: str, folder: Path, is_healthy: Callable[[], bool]) -> Service:
    """A service that is a few lines of Python."""
    return Service(name, (sys.executable, "-c", code), folder / "logs" / f"{name}.log", is_healthy)


def lives(pid: int) -> bool:
    """Whether a process runs; one that ended but was not waited for does not."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(done.stdout.strip()) and not done.stdout.strip().startswith("Z")


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait until the condition holds; False when patience ends first."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True
