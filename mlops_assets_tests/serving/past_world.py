"""The service over one published world with evidence, for tests that only ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from mlops_assets_tests.serving.published import World, calibration_rows, input_rows, model_files
from mlops_assets_tests.serving.published_past import SERIES, past
from mlops_assets_tests.serving.published_shares import publish_shares
from mlops_assets_tests.serving.running import served

Rows = list[dict[str, Any]]


@contextmanager
def past_service(folder: Path, empty_registry: Path) -> Iterator[httpx.Client]:
    """A client of a service with evidence of `bitcoin_close`, and none of `drink_share`."""
    world = World.create(folder / "home", empty_registry)
    world.register(model_files())
    world.publish(
        [row for name in SERIES for row in input_rows(name)],
        [row for name in SERIES for row in calibration_rows(name)],
        files=past(world.home),
    )
    publish_shares(world)
    with served(world) as client:
        yield client


def rows_of(answer: httpx.Response) -> Rows:
    """The rows of a good answer."""
    assert answer.status_code == 200, answer.text
    rows: Rows = answer.json()["rows"]
    return rows


def walk(client: httpx.Client, address: str, *, limit: int, **query: str) -> list[Rows]:
    """The rows of every page of an address."""
    pages: list[Rows] = []
    parameters = {**query, "limit": str(limit)}
    while True:
        answer = client.get(address, params=parameters)
        pages.append(rows_of(answer))
        if (following := answer.json()["next"]) is None:
            return pages
        parameters["after"] = following
