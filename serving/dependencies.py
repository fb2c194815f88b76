"""What the endpoints depend on, as typed parameters; and the service's only look at the clock.

Here: access to the parts that `app` has put together. Not here: the assembly itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Request

from serving.deployments import Deployments
from serving.instrumentation import Metrics
from serving.polling import Poller
from serving.prediction_log import PredictionLog

Clock = Callable[[], datetime]
"""Gives the present instant (aware, UTC)."""


def utc_now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one application."""

    deployments: Deployments
    metrics: Metrics
    pollers: tuple[Poller, ...]
    prediction_log: PredictionLog
    clock: Clock

    @property
    def stopped(self) -> list[str]:
        """Names of the background threads that are not at work."""
        threads: tuple[Poller | PredictionLog, ...] = (*self.pollers, self.prediction_log)
        return [thread.name for thread in threads if not thread.running]


# Coroutines, since FastAPI runs plain functions in a thread, which costs more than the answer.
async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


AppParts = Annotated[Parts, Depends(_parts)]

ProblemPath = Annotated[
    str, Path(max_length=60, description="a published problem", examples=["bitcoin_close"])
]
