"""What the endpoints depend on, as typed parameters; and the service's only look at the clock.

Here: access to the parts that `app` has put together. Not here: the assembly itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Request

from serving.access.keys import KeyFollower
from serving.deployments import Chosen, Deployments
from serving.domain_errors import UnusableInputError
from serving.instrumentation import Metrics
from serving.model_store import ModelStore
from serving.polling import Poller
from serving.prediction_log import PredictionLog
from serving.registry.reader import Registry
from serving.registry.writer import RegistryWriter
from serving.settings import ServingSettings

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
    settings: ServingSettings
    keys: KeyFollower
    models: ModelStore
    registry: Registry
    registry_writer: RegistryWriter

    async def choose(
        self,
        problem: str,
        *,
        alias: str | None = None,
        version: str | None = None,
        caller: str = "",
    ) -> Chosen:
        """The deployment that answers a request, loaded first where it must be.

        Args:
            problem: a published problem.
            alias: answer by the version of this alias.
            version: answer by this version. With neither, the problem's traffic settings choose by
                a stable hash of the caller; without such settings the champion answers.
            caller: names who asks, so that one caller always meets the same variant.

        Raises:
            UnknownNameError: nothing is published or registered under that name.
            UnusableInputError: both alias and version are given, or no snapshot feeds the version.
            NotReadyError: nothing can answer at the moment.
        """
        if alias is None and version is None:
            return self.models.variants.choose(problem, caller)
        if alias is not None and version is not None:
            raise UnusableInputError(
                value=f"alias {alias[:60]} and version {version[:60]}",
                rule="a model is chosen by one of them",
                remedy="leave one out",
            )
        return Chosen(await self.models.deployment(problem, alias=alias, version=version))

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
