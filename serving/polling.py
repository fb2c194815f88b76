"""A background thread that looks again and again, until it is told to stop.

Here: the loop, and when to try again what was refused. Not here: what is looked at (`snapshots`,
`model_store`). An error that a follower does not know ends its thread; health then says so and the
process counts as no longer alive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Poller:
    """Calls `poll` in a thread of its own, with a pause after each call."""

    def __init__(
        self,
        name: str,
        poll: Callable[[], None],
        *,
        pause_seconds: float,
        first: Callable[[], None] | None = None,
    ) -> None:
        """Prepare the thread; nothing runs before `start`, and `first` once before the polls."""
        self.name = name
        self._poll = poll
        self._first = first
        self._pause = pause_seconds
        self._stop = threading.Event()
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"serving-{name}", daemon=True)

    def _run(self) -> None:
        try:
            if self._first is not None:
                self._first()
        finally:
            self._began.set()
        while not self._stop.is_set():
            self._poll()
            self._stop.wait(self._pause)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def wait_for_first(self, *, timeout_seconds: float) -> bool:
        """Wait until `first` is done; False when the time is up before."""
        return self._began.wait(timeout_seconds)

    def close(self, *, timeout_seconds: float = 10.0) -> None:
        """Ask the thread to stop and wait for the call that is under way, up to the timeout."""
        self._stop.set()
        self._thread.join(timeout_seconds)

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()


class Retries:
    """Remembers what was refused, so that it is tried again only after a number of looks.

    A refused file is not read at every look, but a restored one is found without help.
    """

    def __init__(self, looks: int) -> None:
        """Let `looks` looks pass between two attempts."""
        self.looks = looks
        self._refused: dict[str, tuple[object, int]] = {}

    def refused(self, key: str, attempt: object) -> None:
        """Remember that `attempt` was refused for `key`."""
        self._refused[key] = (attempt, self.looks)

    def forget(self, key: str) -> None:
        """Let the next attempt for `key` happen at once."""
        self._refused.pop(key, None)

    def must_wait(self, key: str, attempt: object) -> bool:
        """Whether this very attempt was refused lately; each call counts as one look."""
        last, left = self._refused.get(key, (None, 0))
        if last != attempt or left <= 1:
            self._refused.pop(key, None)
            return False
        self._refused[key] = (last, left - 1)
        return True
