"""Load by `wrk`: requests per second and latency at a number of connections.

Here: the program, its Lua script, and the figures of one run. Not here: whom it is sent to; that is
always an address of loopback.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.serving.processes import HOST

_LONGEST_ANSWER_SECONDS: Final = 20
_SCRIPT: Final = """
local requests, turn = {}, 0
function init(args)
  local headers = {["content-type"] = "application/json"}
  for body in io.lines("bodies") do
    table.insert(requests, wrk.format("POST", args[1], headers, body))
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary, latency)
  local broken = summary.errors.connect + summary.errors.read
    + summary.errors.write + summary.errors.timeout
  print(string.format(
    '\\nFIGURES {"answers": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "max_ms": %f, '
      .. '"refused": %d, "broken": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, summary.errors.status, broken))
end
"""
"""`errors.status` counts the answers with a status above 399."""


class WrkError(RuntimeError):
    """`wrk` is not installed, or failed."""


@dataclass(frozen=True)
class Load:
    """What one run saw."""

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    """Answers with a status of 400 or more."""
    broken: int
    """Requests without an answer: connection refused or broken, or no answer in time."""

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return (self.answers - self.refused) / self.seconds

    @property
    def failed(self) -> int:
        """Requests that got no good answer."""
        return self.refused + self.broken


class Running:
    """A run of `wrk` that has begun."""

    def __init__(self, process: subprocess.Popen[str], *, seconds: float) -> None:
        """Wrap a process that will end by itself after `seconds`."""
        self._process = process
        self._seconds = seconds

    def figures(self) -> Load:
        """Wait for the end.

        Raises:
            WrkError: wrk failed.
        """
        out, told = self._process.communicate(timeout=self._seconds + 2 * _LONGEST_ANSWER_SECONDS)
        lines = [line for line in out.splitlines() if line.startswith("FIGURES ")]
        if not lines:
            raise WrkError(f"wrk gave no figures: {out[-1000:]}{told[-1000:]}")
        return Load(**json.loads(lines[-1].removeprefix("FIGURES ")))

    def stop(self) -> Load:
        """End it early; the figures up to now."""
        self._process.send_signal(signal.SIGINT)
        return self.figures()


@contextmanager
def running(
    port: int, path: str, bodies: Sequence[bytes], *, connections: int, seconds: float
) -> Iterator[Running]:
    """POST `bodies` in turn, as fast as answers come; ended with the block.

    Args:
        port: on loopback.
        path: of the endpoint.
        bodies: without line breaks.
        connections: requests under way at any time.
        seconds: rounded up to whole ones, which is what wrk knows.

    Raises:
        WrkError: wrk is not installed.
    """
    require_wrk()
    whole = max(1, int(-(-seconds // 1)))
    with tempfile.TemporaryDirectory(prefix="mlops-wrk-") as name:
        folder = Path(name)
        (folder / "post.lua").write_text(_SCRIPT, encoding="utf-8")
        (folder / "bodies").write_bytes(b"\n".join(bodies) + b"\n")
        command = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s"]
        command += [f"--timeout={_LONGEST_ANSWER_SECONDS}s", "-spost.lua"]
        command += [f"http://{HOST}:{port}{path}", "--", path]
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            yield Running(process, seconds=whole)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def load(
    port: int, path: str, bodies: Sequence[bytes], *, connections: int, seconds: float
) -> Load:
    """One whole run; see `running`."""
    with running(port, path, bodies, connections=connections, seconds=seconds) as under_way:
        return under_way.figures()


def require_wrk() -> None:
    """Pass when `wrk` can be run.

    Raises:
        WrkError: it cannot; the message names the package.
    """
    if shutil.which("wrk") is None:
        raise WrkError(
            "wrk is not on the path; the load is made by it; install the Debian package `wrk` "
            "(apt-get install wrk)"
        )
