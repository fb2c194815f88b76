"""Runs the service in tests: a real server on loopback and a client of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import httpx
import uvicorn
from fastapi import FastAPI

from mlops_assets_tests.serving.published import NOW, World
from serving.app import create_app
from serving.bounded_http import BoundedHttp
from serving.settings import ServingSettings

_GIVE_UP_SECONDS = 60.0


def until(condition: Callable[[], bool], *, what: str) -> None:
    """Look at a condition until it holds.

    Raises:
        AssertionError: it does not hold in time.
    """
    pause = threading.Event()
    for _ in range(int(_GIVE_UP_SECONDS / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError(f"after {_GIVE_UP_SECONDS} s this does not hold: {what}")


def is_ready(client: httpx.Client) -> bool:
    """Whether forecasts can be answered."""
    return client.get("/health/ready").status_code == 200


@contextmanager
def listening(
    app: FastAPI, *, host: str = "127.0.0.1", http: type[BoundedHttp] = BoundedHttp
) -> Iterator[httpx.Client]:
    """A real server on a free port of an address, and a client of it on loopback."""
    server = uvicorn.Server(
        uvicorn.Config(app, host=host, port=0, log_level="warning", ws="none", http=http)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, what="the server listens")
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def started(
    world: World,
    *,
    clock: Callable[[], datetime] = lambda: NOW,
    settings: ServingSettings | None = None,
    host: str = "127.0.0.1",
) -> Iterator[httpx.Client]:
    """A client of the service over a world, ready or not."""
    with listening(create_app(settings or world.settings, clock=clock), host=host) as client:
        yield client


@contextmanager
def served(
    world: World, *, clock: Callable[[], datetime] = lambda: NOW, host: str = "127.0.0.1"
) -> Iterator[httpx.Client]:
    """A client of the service over a world, once it is ready."""
    with started(world, clock=clock, host=host) as client:
        until(lambda: is_ready(client), what="the service is ready")
        yield client
