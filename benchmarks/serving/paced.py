"""A steady load that remembers every answer: a few hundred requests a second, each with its id.

Here: threads that ask at their pace and what they were told. Not here: load as fast as it goes
(`wrk`), which knows no single answer.
"""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import Final, Self

from benchmarks.serving.processes import HOST

NO_ANSWER: Final = 0
"""Stands for the status where the connection was refused or broke, or the answer came too late."""
_LONGEST_ANSWER_SECONDS: Final = 20.0


@dataclass
class Answers:
    """What the callers saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    """Status -> requests; `NO_ANSWER` for those without one."""
    versions: Counter[str] = field(default_factory=Counter)
    """Version of the model, by the header of good answers -> requests."""
    ids: list[str] = field(default_factory=list)
    """Request ids of the good answers."""
    slowest_ms: float = 0.0
    first_failure: str = ""
    """Body of the first answer that was not good."""

    @property
    def total(self) -> int:
        """Requests sent."""
        return self.statuses.total()

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return self.total - self.statuses[200]

    def add(self, other: Answers) -> None:
        """Count another caller's answers too."""
        self.statuses.update(other.statuses)
        self.versions.update(other.versions)
        self.ids.extend(other.ids)
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)
        self.first_failure = self.first_failure or other.first_failure


class PacedLoad:
    """POSTs at a steady pace from the begin to the end of its block."""

    def __init__(
        self, port: int, path: str, bodies: Sequence[bytes], *, per_second: float, callers: int = 4
    ) -> None:
        """Prepare.

        Args:
            port: on loopback.
            path: of the endpoint.
            bodies: asked in turn.
            per_second: requests a second of all callers; fewer when answers are slow, since each
                caller waits for its answer.
            callers: threads, each with a connection of its own.
        """
        self._port, self._path, self._bodies = port, path, bodies
        self._pause = callers / per_second
        self._over = threading.Event()
        self._told = [Answers() for _ in range(callers)]
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"caller-{number}")
            for number in range(callers)
        ]

    def __enter__(self) -> Self:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop asking, and wait for the answers under way."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def sent(self) -> int:
        """Requests up to now."""
        return sum(told.total for told in self._told)

    def answers(self) -> Answers:
        """What all callers saw; to be read after the block."""
        found = Answers()
        for told in self._told:
            found.add(told)
        return found

    def _run(self, number: int) -> None:
        told, asked = self._told[number], 0
        connection = http.client.HTTPConnection(HOST, self._port, timeout=_LONGEST_ANSWER_SECONDS)
        due = perf_counter() + self._pause * number / len(self._told)
        while not self._over.wait(max(0.0, due - perf_counter())):
            request_id = f"caller-{number}-{asked}"
            self._ask(connection, request_id, self._bodies[asked % len(self._bodies)], told)
            asked += 1
            # After a slow answer the pace goes on from now; what was missed is not caught up.
            due = max(due + self._pause, perf_counter())
        connection.close()

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        request_id: str,
        body: bytes,
        told: Answers,
    ) -> None:
        headers = {"content-type": "application/json", "x-request-id": request_id}
        began = perf_counter()
        try:
            connection.request("POST", self._path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            told.statuses[NO_ANSWER] += 1
            told.first_failure = told.first_failure or repr(error)
            return
        told.slowest_ms = max(told.slowest_ms, (perf_counter() - began) * 1e3)
        told.statuses[answer.status] += 1
        if answer.status == 200:
            told.ids.append(request_id)
            told.versions[answer.headers.get("x-model-version", "")] += 1
        elif not told.first_failure:
            told.first_failure = content.decode(errors="replace")[:500]
