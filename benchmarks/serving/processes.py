"""Services as processes of their own: started, watched from outside, and ended.

Here: ports, start and end, memory, processor time and open files of a process with its children,
read from `/proc`. Not here: what is started (`peer_services`) and its load (`wrk`, `paced`).
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Final, Self

HOST: Final = "127.0.0.1"
_GIVE_UP_SECONDS: Final = 180.0
_LOOK_AGAIN_SECONDS: Final = 0.01
_END_SECONDS: Final = 30.0


class ServiceEndedError(RuntimeError):
    """A service ended, or never answered; the message holds the end of what it wrote."""


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def ask(
    port: int, method: str, path: str, body: bytes | None = None, *, timeout_seconds: float = 30.0
) -> Reply:
    """One request over a connection of its own.

    Raises:
        OSError: nobody answers.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_seconds)
    try:
        headers = {"content-type": "application/json"} if body is not None else {}
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        given = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, given, answer.read())
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer from port {port}: {error!r}") from error
    finally:
        connection.close()


def bare_environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without `MLOPS_*`, its interpreter's tools first, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
    tools = str(Path(sys.executable).parent)
    return kept | {"PATH": f"{tools}{os.pathsep}{kept.get('PATH', '')}"} | dict(more)


class Service:
    """A process that listens on a port; ended, with its children, at the end of the block."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        environment: Mapping[str, str],
        folder: Path,
        name: str = "service",
    ) -> None:
        """Start `command` in `folder`, in a process group of its own.

        Args:
            command: program and arguments.
            port: where it will listen; not passed on.
            environment: all of its environment.
            folder: its current folder, in which its output goes to `<name>.log`.
            name: of the log file.
        """
        self.port = port
        self.log = folder / f"{name}.log"
        self.started = perf_counter()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                list(command),
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        """The running service."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.end()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the process, and make sure that its whole group is gone."""
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_END_SECONDS)
        # What the process left behind in its group, which nobody else is in.
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def until(self, condition: Callable[[], bool], *, what: str) -> float:
        """Look until a condition holds; the seconds since the process was started.

        A refused or broken connection counts as "not yet".

        Raises:
            ServiceEndedError: the process ended, or the condition does not hold in time.
        """
        pause = threading.Event()
        while not _holds(condition):
            taken = perf_counter() - self.started
            if self.ended or taken > _GIVE_UP_SECONDS:
                told = self.log.read_text(errors="replace")[-2000:]
                raise ServiceEndedError(f"after {taken:.0f} s this does not hold: {what}\n{told}")
            pause.wait(_LOOK_AGAIN_SECONDS)
        return perf_counter() - self.started

    @property
    def members(self) -> list[int]:
        """The process and all its living descendants."""
        parents = _parents()
        found = [self._process.pid]
        for number in found:
            found.extend(child for child, parent in parents.items() if parent == number)
        return found

    @property
    def memory_mb(self) -> float:
        """Proportional memory (Pss) of all members, in 10^6 bytes: shared pages counted once."""
        return sum(_kib(number, "Pss:") for number in self.members) * 1024 / 1e6

    @property
    def own_memory_mb(self) -> float:
        """Memory of all members that no file backs, in 10^6 bytes.

        Unlike `memory_mb` it does not change when another process maps the same libraries.
        """
        return sum(_kib(number, "Pss_Anon:") for number in self.members) * 1024 / 1e6

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all living members so far."""
        ticks = sum(_cpu_ticks(number) for number in self.members)
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def open_files(self) -> int:
        """File descriptors of all members."""
        return sum(len(os.listdir(f"/proc/{number}/fd")) for number in self.members)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:
        return False


def _read(number: int, name: str) -> str:
    """A file of `/proc`; empty for a process that has just ended."""
    try:
        return Path(f"/proc/{number}/{name}").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _stat(number: int) -> list[str]:
    """Fields of `/proc/<pid>/stat` after the name, which may hold blanks: state, parent, ..."""
    return _read(number, "stat").rpartition(")")[2].split()


def _parents() -> dict[int, int]:
    numbers = [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]
    return {number: int(stat[1]) for number in numbers if (stat := _stat(number))}


def _kib(number: int, field: str) -> int:
    for line in _read(number, "smaps_rollup").splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return 0


def _cpu_ticks(number: int) -> int:
    stat = _stat(number)
    return int(stat[11]) + int(stat[12]) if stat else 0
