"""The service inside this process: asked through ASGI, without a server and a socket.

Here: what a request costs the application alone, to a microsecond, which no load from outside
tells. Not here: what is compared (`costs`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from time import process_time, thread_time
from typing import Any, Final, cast

from benchmarks.serving.forest_home import PROBLEM
from benchmarks.serving.processes import HOST
from serving.app import create_app
from serving.dependencies import Parts
from serving.instrumentation import Metrics
from serving.settings import ServingSettings

_GIVE_UP_LOOKS: Final = 3000
_LOOK_AGAIN_SECONDS: Final = 0.02


class NoAnswerError(RuntimeError):
    """The application does not answer as it must."""


class Asked:
    """The started application of one home, asked on the running event loop."""

    def __init__(self, app: Any, path: str) -> None:  # noqa: ANN401  (an ASGI application)
        """Ask `app` at `path`."""
        self._app = app
        self._path = path

    async def answer(self, body: bytes) -> int:
        """POST a body; the status."""
        given = [{"type": "http.request", "body": body, "more_body": False}]
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            if given:
                return given.pop()
            # A client that stays: the application may watch for its going away.
            await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self._app(self._scope(len(body)), receive, send)
        return statuses[0]

    async def cpu_microseconds(self, bodies: Sequence[bytes], count: int) -> dict[str, float]:
        """Processor time of a request, mean of `count`.

        Returns:
            `request`: of the thread that answers; `process`: of all threads, the log's included.

        Raises:
            NoAnswerError: an answer is not 200.
        """
        threads, process = thread_time(), process_time()
        for number in range(count):
            if (status := await self.answer(bodies[number % len(bodies)])) != 200:
                raise NoAnswerError(f"{self._path} answers {status}; it must answer 200")
        return {
            "request": (thread_time() - threads) / count * 1e6,
            "process": (process_time() - process) / count * 1e6,
        }

    def _scope(self, length: int) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (b"host", f"{HOST}:8000".encode()),
                (b"content-type", b"application/json"),
                (b"content-length", str(length).encode()),
            ],
            "client": (HOST, 50_000),
            "server": (HOST, 8000),
            "state": {},
            "extensions": {},
        }


@contextlib.asynccontextmanager
async def application(home: Path, path: str, **settings: object) -> AsyncIterator[Asked]:
    """The application of a home, started and ready.

    Args:
        home: with a published champion.
        path: that is asked.
        settings: of the service.

    Raises:
        NoAnswerError: it does not become ready.
    """
    with _bare_settings():
        app = create_app(
            ServingSettings.model_validate(
                {"home": home, "api_rate_per_second": 1_000_000_000} | settings
            )
        )
    async with app.router.lifespan_context(app):
        parts = cast(Parts, app.state.parts)
        for _ in range(_GIVE_UP_LOOKS):
            if parts.deployments.deployed(PROBLEM) is not None:
                break
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        else:
            raise NoAnswerError(f"no model of {home} is served: {parts.deployments.complaints()}")
        yield Asked(app, path)


@contextlib.contextmanager
def metrics_switched_off() -> Iterator[None]:
    """Let what the service counts and times for each request do nothing for a while."""

    def nothing(*_: object, **__: object) -> None:
        """Count nothing."""

    names = ("answered", "forecast")
    kept = {name: getattr(Metrics, name) for name in names}
    for name in names:
        setattr(Metrics, name, nothing)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(Metrics, name, method)


@contextlib.contextmanager
def _bare_settings() -> Iterator[None]:
    """Hide the user's `MLOPS_*` variables."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("MLOPS_")}
    try:
        yield
    finally:
        os.environ.update(hidden)
