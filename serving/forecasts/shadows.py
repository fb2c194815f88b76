"""Shadows: deployments that are asked what the champion was, for the log alone.

Here: asking them once the answer is sent, and counting what fails. Not here: which deployments are
shadows (`deployments`), and the log (`prediction_log`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from serving.deployments import Deployment
from serving.domain_errors import ServingError

_LOG = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 64
"""Questions to shadows that may wait at once; further ones are left out and counted as errors."""

Ask = Callable[[Deployment], Awaitable[None]]
"""Puts a question to a deployment and logs what it says."""


class Shadows:
    """Asks shadows after the answer; nothing that happens to them reaches a caller."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Count into `registry`."""
        self._errors = Counter(
            "serving_shadow_errors",
            "Questions that a shadow did not answer.",
            ("problem", "version"),
            registry=registry,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[tuple[str, str]] = set()

    def ask(self, shadows: Sequence[Deployment], question: Ask) -> None:
        """Begin to ask each of them; to be called on the event loop."""
        for shadow in shadows:
            if len(self._tasks) >= MOST_AT_ONCE:
                self._failed(shadow, RuntimeError(f"{MOST_AT_ONCE} questions to shadows wait"))
                continue
            task = asyncio.get_running_loop().create_task(self._ask(shadow, question))
            # The loop itself keeps only a weak reference to a task.
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, shadow: Deployment, question: Ask) -> None:
        try:
            await question(shadow)
        except ServingError as error:
            self._failed(shadow, error)
        except Exception as error:  # noqa: BLE001 - a shadow's fault, whatever it is, is told in the log and counted
            self._failed(shadow, error)

    def _failed(self, shadow: Deployment, error: Exception) -> None:
        problem, version = shadow.model.card.problem, shadow.model.registered.version
        self._errors.labels(problem, version).inc()
        if (problem, version) not in self._told:
            self._told.add((problem, version))
            _LOG.warning(
                "version %s of %s, a shadow, does not answer; told once: %s",
                version,
                problem,
                error,
                exc_info=None if isinstance(error, ServingError) else error,
            )
