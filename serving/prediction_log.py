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
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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

    def rows(self) -> list[Row]:
        """One row for each forecast, under new ids."""
        model, manifest = self.deployment.model, self.deployment.snapshot.manifest
        shared = {
            "answered_at": self.answered_at,
            "request_id": self.request_id,
            "problem": model.card.problem,
            "nominal_coverage": model.card.nominal_coverage,
            "model_name": model.registered.name,
            "version": model.registered.version,
            "alias": self.deployment.alias or "",
            "candidate": model.card.candidate,
            "recipe_id": model.card.recipe_id,
            "data_version": manifest.data_version,
            "run_id": model.card.mlflow_run_id,
            "synthetic": manifest.synthetic,
            "stale": self.stale,
            "kind": self.asked.value,
        }
        count = len(self.quantiles)
        nothing: Sequence[None] = [None] * count
        lower, point, upper = self.quantiles.T.tolist()
        columns = zip(
            self.series,
            self.origin or nothing,
            self.valid_time or nothing,
            self.step or nothing,
            point,
            lower,
            upper,
            strict=True,
        )
        names = ("series", "origin", "valid_time", "step", "point", "lower", "upper")
        return [
            {
                **shared,
                **dict(zip(names, values, strict=True)),
                "answer_id": uuid.uuid4().hex,
            }
            for values in columns
        ]


class PredictionLog:
    """Takes answers from the event loop and writes them from a thread of its own."""

    name = "the prediction log"

    def __init__(
        self,
        database: LogDatabase,
        *,
        witness: LogWitness,
        complain: Complain,
        capacity_rows: int,
        wait_seconds: float,
    ) -> None:
        """Prepare queue and thread; nothing runs before `start`."""
        self._database = database
        self._witness = witness
        self._complain = complain
        self._capacity = capacity_rows
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._queue: deque[Answered] = deque()
        self._rows = 0
        self._closing = False
        self._abandoned = threading.Event()
        self._room = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Begin to write; to be called on the event loop that answers."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the writer is at work."""
        return self._thread.is_alive()

    @property
    def waiting_rows(self) -> int:
        """Forecasts answered and not yet written."""
        return self._rows

    @property
    def lag_seconds(self) -> float:
        """How long the oldest forecast that is not yet written has waited; 0 when there is none."""
        with self._changed:
            return monotonic() - self._queue[0].queued_at if self._queue else 0.0

    async def record(self, answered: Answered) -> None:
        """Put an answer into the queue; when that is full, wait for room.

        Raises:
            NotLoggedError: there was no room in time, or the writer has stopped.
        """
        if self._offer(answered):
            return
        self._witness.log_waited()
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not self._offer(answered):
                    # Nothing is awaited since the offer, so no signal can be lost in between.
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise self._refusal(
                f"{self._rows} forecasts wait to be logged and {self._capacity} may, and no "
                f"forecast is given unlogged"
            ) from None

    def close(self, *, timeout_seconds: float = 10.0) -> int:
        """Write what waits and stop; returns the forecasts that could not be written in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._abandoned.set()
            self._thread.join(_ABANDON_SECONDS)
        if self._rows:
            _LOG.error("%d answered forecasts could not be logged before the end", self._rows)
        return self._rows

    def _offer(self, answered: Answered) -> bool:
        """Queue an answer if there is room; an empty queue has room for any."""
        if self._closing or not self.running:
            raise self._refusal("the writer of the prediction log has stopped")
        count = len(answered.quantiles)
        with self._changed:
            if self._rows and self._rows + count > self._capacity:
                return False
            self._queue.append(answered)
            self._rows += count
            self._changed.notify()
        return True

    def _refusal(self, rule: str) -> NotLoggedError:
        self._witness.log_refused()
        return NotLoggedError(
            rule=rule,
            remedy="ask again in a few seconds; operators find the cause in /health and in the "
            "log of the service",
        )

    def _run(self) -> None:
        try:
            self._database.open()
        except LogAddressError as error:
            self._complain(str(error))
            _LOG.error("%s", error)
            return
        while answers := self._next():
            if not self._write([row for answered in answers for row in answered.rows()]):
                break
            self._done(answers)
        self._database.close()

    def _next(self) -> Sequence[Answered]:
        """The oldest answers, about `BATCH_ROWS` forecasts; none once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            sizes = itertools.accumulate(len(answered.quantiles) for answered in self._queue)
            count = 1 + sum(1 for _ in itertools.takewhile(lambda size: size < BATCH_ROWS, sizes))
            return list(itertools.islice(self._queue, count))

    def _write(self, rows: Sequence[Row]) -> bool:
        """Write a batch, again and again until it is in; False when the time is up."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                self._database.insert(rows)
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
        with self._changed:
            for answered in answers:
                self._queue.popleft()
                self._rows -= len(answered.quantiles)
        if self._loop is not None and not self._closing:
            self._loop.call_soon_threadsafe(self._room.set)
