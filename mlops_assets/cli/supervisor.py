"""Runs local processes together: starts, waits for health, watches, stops without orphans.

Each process leads a session of its own, so that Ctrl-C in the terminal reaches only the
supervisor, and a signal to the process's group reaches everything it started. Not here: which
processes, and what healthy means for them (`cli.services`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

LOG_TAIL_LINES: Final = 20
_PAUSE_SECONDS: Final = 0.1
_STRAGGLERS_SECONDS: Final = 2.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ServiceFailed(RuntimeError):  # noqa: N818 - it reads as what happened
    """A service died or did not become healthy; the message ends with its last log lines."""


@dataclass(frozen=True)
class Service:
    """One process to run: its command, its log file and how to tell that it answers."""

    name: str
    command: tuple[str, ...]
    log: Path
    is_healthy: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    service: Service
    process: subprocess.Popen[bytes]
    started: float
    ends_by_itself: bool = False


class Supervisor:
    """Owns the processes it started; leaving the `with` block ends them all."""

    def __init__(self, *, grace_seconds: float = 15.0) -> None:
        """Give services `grace_seconds` to end by themselves before they are killed."""
        self.stop_asked = threading.Event()
        self._hurry = threading.Event()
        self._grace = grace_seconds
        self._running: list[_Running] = []

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop whatever still runs."""
        self.stop_all()

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Turn Ctrl-C, SIGTERM and a closed terminal into a request to stop.

        A flag, not an exception: none can fall between a process's start and its being noted.
        The second signal cuts the grace time.
        """

        def ask(_number: int, _frame: FrameType | None) -> None:
            if self.stop_asked.is_set():
                self._hurry.set()
            self.stop_asked.set()

        before = {number: signal.signal(number, ask) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self, service: Service) -> None:
        """Start a process in a session of its own; its output goes to its log file, anew."""
        service.log.parent.mkdir(parents=True, exist_ok=True)
        with service.log.open("wb") as log:
            process = subprocess.Popen(
                service.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **service.environment},
                start_new_session=True,
            )
        self._running.append(_Running(service, process, time.monotonic()))

    def wait_until_healthy(
        self,
        names: Iterable[str],
        *,
        timeout_seconds: float,
        on_healthy: Callable[[str, float], None],
    ) -> bool:
        """Wait until every named service answers; False when a stop was asked for meanwhile.

        Args:
            names: of started services.
            timeout_seconds: longest wait for any one of them, from its start.
            on_healthy: told each name, once, with the seconds from its start.

        Raises:
            ServiceFailed: a service ended, or one did not answer in time.
        """
        waiting = [r for r in self._running if r.service.name in set(names)]
        while waiting and not self.stop_asked.is_set():
            self._raise_for_deaths()
            for running in list(waiting):
                age = time.monotonic() - running.started
                if running.service.is_healthy():
                    waiting.remove(running)
                    on_healthy(running.service.name, age)
                elif age > timeout_seconds:
                    raise ServiceFailed(
                        f"{running.service.name} did not answer within {timeout_seconds:.0f} s; "
                        f"{_log_tail(running.service.log)}"
                    )
            self.stop_asked.wait(_PAUSE_SECONDS)
        return not self.stop_asked.is_set()

    def wait_for(self, condition: Callable[[], bool], *, timeout_seconds: float) -> bool:
        """Wait for something that may not come; False when it did not, or a stop was asked for.

        Raises:
            ServiceFailed: a service ended by itself meanwhile.
        """
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            self._raise_for_deaths()
            if time.monotonic() > deadline or self.stop_asked.wait(_PAUSE_SECONDS):
                return False
        return True

    def complete(self, task: Service) -> int | None:
        """Start a process that ends by itself and wait for it; None when a stop was asked for.

        Returns:
            Its exit code.

        Raises:
            ServiceFailed: one of the services ended meanwhile.
        """
        self.start(task)
        running = self._running[-1]
        running.ends_by_itself = True
        while running.process.poll() is None:
            self._raise_for_deaths()
            if self.stop_asked.wait(_PAUSE_SECONDS):
                return None
        self._running.remove(running)
        return running.process.returncode

    def watch(self) -> None:
        """Block until a stop is asked for.

        Raises:
            ServiceFailed: a service ended by itself.
        """
        while not self.stop_asked.wait(_PAUSE_SECONDS * 5):
            self._raise_for_deaths()

    def stop_all(self) -> None:
        """End every group: politely, then by force after the grace time. Newest first."""
        leaders = [r.process for r in reversed(self._running)]
        for leader in leaders:
            _signal_group(leader.pid, signal.SIGTERM)
        self._wait_while(lambda: any(p.poll() is None for p in leaders), self._grace)
        # What a dead leader left behind has had its signal; it gets a moment more.
        self._wait_while(lambda: any(_group_lives(p.pid) for p in leaders), _STRAGGLERS_SECONDS)
        for leader in leaders:
            _signal_group(leader.pid, signal.SIGKILL)
            leader.wait()
        self._running.clear()

    def _wait_while(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while condition() and time.monotonic() < deadline and not self._hurry.is_set():
            self._hurry.wait(_PAUSE_SECONDS / 2)

    def _raise_for_deaths(self) -> None:
        for running in self._running:
            code = running.process.poll()
            if code is not None and not running.ends_by_itself:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise ServiceFailed(
                    f"{running.service.name} ended by itself ({how}); "
                    f"{_log_tail(running.service.log)}"
                )


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return  # the whole group has ended: what the signal is for


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _log_tail(log: Path) -> str:
    """The last lines of a log, introduced by where the rest is."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
    if not lines:
        return f"its log {log} is empty"
    return "\n".join([f"the last lines of {log}:", *(f"  {line}" for line in lines)])
