"""Every answered forecast is written down, off the request path.

Here: the bounded queue, the writer's thread, its retries and what a full queue means. Not here: the
database (`log_database`) and the columns (`contract.prediction_log`).

An answer is given once its forecasts are in the queue. When the queue is full, because the database
is locked, down or too slow, the request waits for room; if there is none in time it is refused with
503, so that no forecast goes out unlogged. The writer tries a batch until it is in, under the same
row ids each time, and a shutdown waits for the queue to empty. A process that is killed loses what
waits.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from time import monotonic
from typing import Final, Protocol

from serving.contract.prediction_log import Asked
from serving.contract.steps import FloatArray
from serving.deployments import Deployment
from serving.domain_errors import NotLoggedError
from serving.log_database import LogAddressError, LogDatabase, LogUnreachableError, Row

_LOG = logging.getLogger(__name__)

BATCH_ROWS: Final = 2000
"""About so many rows go into one transaction; an answer is never split."""
_BATCH_DIGITS: Final = 24
"""Random hex digits of an `answer_id`; 8 more count the rows of a batch."""
_GATHER_SECONDS: Final = 0.05
"""The writer lets answers gather so long, unless a batch is full, the queue is, or it shall end."""
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0
_ABANDON_SECONDS: Final = 2.0

Complain = Callable[[str | None], bool]
"""Takes what is wrong, or None when all is well; says whether that is new."""


class LogWitness(Protocol):
    """Counts what happens to answers on their way to the log (implemented by `log_metrics`)."""

    def log_wrote(self, rows: int) -> None:
        """Rows are in the log."""

    def log_waited(self) -> None:
        """An answer had to wait for room in the queue."""

    def log_refused(self) -> None:
        """An answer was refused since it could not be logged."""

    def log_write_failed(self) -> None:
        """An attempt to write a batch failed."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The forecasts of one answer, as columns, with what all of them share."""

    answered_at: datetime
    request_id: str
    asked: Asked
    deployment: Deployment
    stale: bool
    quantiles: FloatArray
    """Shape (forecasts, 3): lower, point, upper in target units."""
    series: Sequence[str | None]
    """One for each forecast; None where features were given without naming a series."""
    origin: Sequence[datetime] | None = None
    """One for each forecast; None for forecasts from features, which are of no origin."""
    valid_time: Sequence[datetime] | None = None
    step: Sequence[int] | None = None
    caller: str = ""
    """Who asked, as far as it is known; empty for a caller without a key."""
    returned: bool = True
    """False for a shadow's forecasts, which the caller never sees."""
    queued_at: float = field(default_factory=monotonic)
    """Seconds of a clock that only tells durations."""

    def rows(self, answer_ids: Iterator[str]) -> Iterator[Row]:
        """One row for each forecast, under the next of the ids."""
        model, manifest = self.deployment.model, self.deployment.snapshot.manifest
        card = model.card
        head = (self.answered_at, self.request_id, card.problem)
        tail = (
            card.nominal_coverage,
            model.registered.name,
            model.registered.version,
            self.deployment.alias or "",
            card.candidate,
            card.recipe_id,
            manifest.data_version,
            card.mlflow_run_id,
            manifest.synthetic,
            self.stale,
            self.asked.value,
            self.caller,
            self.returned,
        )
        nothing: Sequence[None] = [None] * len(self.quantiles)
        columns = zip(
            self.series,
            self.origin or nothing,
            self.valid_time or nothing,
            self.step or nothing,
            self.quantiles.tolist(),
            strict=True,
        )
        for series, origin, valid_time, step, (lower, point, upper) in columns:
            own = (series, origin, valid_time, step, point, lower, upper)
            yield (next(answer_ids), *head, *own, *tail)


def rows_of(answers: Sequence[Answered]) -> list[Row]:
    """The rows of a batch under ids of its own: a random number, then the place in the batch."""
    batch = token_hex(_BATCH_DIGITS // 2)
    answer_ids = (f"{batch}{place:08x}" for place in itertools.count())
    return [row for answered in answers for row in answered.rows(answer_ids)]


class PredictionLog:
    """Takes answers from the event loop and writes them from a thread of its own.

    `record` takes no lock: the queue and the count of what was put belong to the event loop, the
    count of what was written to the writer, and each only reads the other's. Waking a thread costs
    the event loop the interpreter's global lock, so only an answer that finds the writer asleep
    wakes it, and the writer then lets answers gather.
    """

    name = "the prediction log"

    def __init__(
        self,
        database: LogDatabase | None,
        *,
        witness: LogWitness,
        complain: Complain,
        capacity_rows: int,
        wait_seconds: float,
    ) -> None:
        """Prepare queue and thread; nothing runs before `start`.

        Args:
            database: where rows go; None logs nothing.
            witness: counts what happens to answers.
            complain: told what is wrong with the database.
            capacity_rows: forecasts that may wait.
            wait_seconds: how long an answer waits for room.
        """
        self._database = database
        self._witness = witness
        self._complain = complain
        self._capacity = capacity_rows
        self._wait_seconds = wait_seconds
        self._queue: deque[Answered] = deque()
        self._put_rows = 0
        self._done_rows = 0
        self._taking = False
        self._closing = False
        self._asked_to_write = threading.Event()
        self._asked_to_hurry = threading.Event()
        self._abandoned = threading.Event()
        self._removing = threading.Lock()
        self._room = asyncio.Event()
        self._waiting_answers = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Begin to write; to be called on the event loop that answers."""
        if self._database is None:
            return
        self._loop = asyncio.get_running_loop()
        self._taking = True
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the writer is at work, or there is none since nothing is logged."""
        return self._database is None or self._thread.is_alive()

    @property
    def waiting_rows(self) -> int:
        """Forecasts answered and not yet written."""
        return self._put_rows - self._done_rows

    @property
    def lag_seconds(self) -> float:
        """How long the oldest forecast that is not yet written has waited; 0 when there is none."""
        with self._removing:
            return monotonic() - self._queue[0].queued_at if self._queue else 0.0

    async def record(self, answered: Answered) -> None:
        """Put an answer into the queue; when that is full, wait for room.

        Raises:
            NotLoggedError: there was no room in time, or the writer has stopped.
        """
        if self._database is None or self._offer(answered):
            return
        self._witness.log_waited()
        self._waiting_answers += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not self._offer(answered):
                    # Nothing is awaited since the offer, so no signal can be lost in between.
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise self._refusal(
                f"{self.waiting_rows} forecasts wait to be logged and {self._capacity} may, and "
                "no forecast is given unlogged"
            ) from None
        finally:
            self._waiting_answers -= 1

    def close(self, *, timeout_seconds: float = 10.0) -> int:
        """Write what waits and stop; returns the forecasts that could not be written in time."""
        if self._database is None:
            return 0
        self._closing = True
        self._asked_to_hurry.set()
        self._asked_to_write.set()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._abandoned.set()
            self._thread.join(_ABANDON_SECONDS)
        if lost := self.waiting_rows:
            _LOG.error("%d answered forecasts could not be logged before the end", lost)
        return self.waiting_rows

    def _offer(self, answered: Answered) -> bool:
        """Queue an answer if there is room; an empty queue has room for any."""
        if self._closing or not self._taking:
            raise self._refusal("the writer of the prediction log has stopped")
        count = len(answered.quantiles)
        waiting = self._put_rows - self._done_rows
        if waiting and waiting + count > self._capacity:
            self._asked_to_hurry.set()
            return False
        self._queue.append(answered)
        self._put_rows += count
        if not self._asked_to_write.is_set():
            self._asked_to_write.set()
        if waiting + count >= BATCH_ROWS and not self._asked_to_hurry.is_set():
            self._asked_to_hurry.set()
        return True

    def _refusal(self, rule: str) -> NotLoggedError:
        self._witness.log_refused()
        return NotLoggedError(
            rule=rule,
            remedy="ask again in a few seconds; operators find the cause in /health and in the "
            "log of the service",
        )

    def _run(self) -> None:
        assert self._database is not None
        try:
            self._database.open()
            while self._gather():
                if not self._write_all(self._database):
                    break
            self._database.close()
        except LogAddressError as error:
            self._complain(str(error))
            _LOG.error("%s", error)
        finally:
            self._taking = False

    def _gather(self) -> bool:
        """Sleep until there are answers, then let some more come; False once all is written."""
        if self._closing:
            return bool(self._queue)
        self._asked_to_write.wait()
        self._asked_to_hurry.wait(_GATHER_SECONDS)
        # Cleared before the queue is read: an answer that comes later asks again.
        self._asked_to_write.clear()
        self._asked_to_hurry.clear()
        return bool(self._queue) or not self._closing

    def _write_all(self, database: LogDatabase) -> bool:
        """Write all answers that wait, batch by batch; False when the time is up."""
        while answers := self._oldest():
            if not self._write(database, rows_of(answers)):
                return False
            self._done(answers)
        return True

    def _oldest(self) -> Sequence[Answered]:
        """The oldest answers, about `BATCH_ROWS` forecasts; none when the queue is empty."""
        found: list[Answered] = []
        rows = 0
        # By place, since a loop over a deque must not see it grow.
        for place in range(len(self._queue)):
            answered = self._queue[place]
            found.append(answered)
            rows += len(answered.quantiles)
            if rows >= BATCH_ROWS:
                break
        return found

    def _write(self, database: LogDatabase, rows: Sequence[Row]) -> bool:
        """Write a batch, again and again until it is in; False when the time is up."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                database.insert(rows)
            except LogUnreachableError as error:
                self._witness.log_write_failed()
                if self._complain(
                    "the prediction log does not take rows; answers wait in its queue and are "
                    "refused once that is full; bring its database back"
                ):
                    _LOG.warning("the prediction log does not take rows", exc_info=error)
                if self._abandoned.wait(pause):
                    return False
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                self._complain(None)
                self._witness.log_wrote(len(rows))
                return True

    def _done(self, answers: Sequence[Answered]) -> None:
        with self._removing:
            for _ in answers:
                self._queue.popleft()
        self._done_rows += sum(len(answered.quantiles) for answered in answers)
        # Counted before it is looked whether anyone waits, who looks again after saying so.
        if self._waiting_answers and self._loop is not None and not self._closing:
            self._loop.call_soon_threadsafe(self._room.set)
