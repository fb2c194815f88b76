from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from mlops_assets_tests.serving.published import (
    MODEL_NAME,
    PROBLEM,
    World,
    by_hand,
    model_files,
)
from mlops_assets_tests.serving.running import served, until
from mlops_assets_tests.serving.test_deployments import model, snapshot
from serving.deployments import Deployment
from serving.forecasts.shadows import MOST_AT_ONCE, Shadows

SHADOW_COUNTED = 'alias="challenger",problem="bitcoin_close",returned="false",version="2"'
FEATURES = {"ret": 0.01, "vol": 0.005, "band_quantile": 1.6}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> World:
    """A champion of slope -0.1 with a challenger of slope 0.5 as its shadow."""
    world = World.create(tmp_path_factory.mktemp("shadows") / "home", empty_registry)
    world.register(model_files(-0.1))
    challenger = world.register(model_files(0.5, candidate="bold"), promote=False)
    world.publish()
    client = world.client
    client.set_registered_model_alias(MODEL_NAME, "challenger", challenger)
    settings = {"weights": {"champion": 1.0}, "shadow": ["challenger"]}
    client.set_registered_model_tag(MODEL_NAME, "serving.traffic", json.dumps(settings))
    return world


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[httpx.Client]:
    """The service over it, once the challenger is loaded and has been asked."""

    def shadow_is_logged() -> bool:
        ready.post("/v1/predict", json={"problem": PROBLEM})
        return SHADOW_COUNTED in ready.get("/metrics").text

    with served(world) as ready:
        until(shadow_is_logged, what="the shadow's answers are logged")
        until(lambda: log_is_there(world), what="the log has its table")
        yield ready


@pytest.fixture
def shadow(tmp_path: Path) -> Deployment:
    """A deployment without a service."""
    (tmp_path / "sample").mkdir()
    return Deployment.of(model(), snapshot(World(tmp_path)))


def log_is_there(world: World) -> bool:
    """Whether the writer has made its table, which it does with the first rows."""
    with closing(sqlite3.connect(world.prediction_log)) as connection:
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'prediction_log'")
        return found.fetchone() is not None


def logged(world: World, request_id: str) -> list[dict[str, Any]]:
    """The log's rows of one request."""
    with closing(sqlite3.connect(world.prediction_log)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(
            "SELECT * FROM prediction_log WHERE request_id = ? ORDER BY id", (request_id,)
        ).fetchall()
    return [dict(row) for row in found]


def row_of_shadow(world: World, request_id: str) -> dict[str, Any]:
    """The log's row of the shadow, once it is there."""
    until(lambda: len(logged(world, request_id)) == 2, what="both answers are logged")
    (row,) = [row for row in logged(world, request_id) if not row["returned"]]
    return row


def test_a_shadow_is_asked_the_same_question_and_only_the_log_knows(
    client: httpx.Client, world: World
) -> None:
    question = {"problem": PROBLEM, "features": FEATURES, "last_value": 60000.0}
    answer = client.post("/v1/predict", json=question, headers={"X-Request-Id": "features"})
    assert answer.json()["version"] == "1"
    row = row_of_shadow(world, "features")
    expected = by_hand(slope=0.5, ret=0.01, vol=0.005, band=1.6, last_value=60000.0)
    assert [row["lower"], row["point"], row["upper"]] == pytest.approx(list(expected), rel=1e-12)
    assert (row["version"], row["alias"], row["kind"]) == ("2", "challenger", "features")
    returned = [row for row in logged(world, "features") if row["returned"]]
    assert [row["version"] for row in returned] == ["1"]


def test_a_shadow_answers_the_newest_origin_too(client: httpx.Client, world: World) -> None:
    address = f"/v1/forecasts/{PROBLEM}/latest"
    answer = client.get(address, headers={"X-Request-Id": "newest"})
    row = row_of_shadow(world, "newest")
    assert (row["series"], row["step"], row["kind"]) == ("btc", 1, "latest")
    (forecast,) = answer.json()["forecasts"]
    # Origin 12:00, ret 0.01: 0.5 * 0.01 against -0.1 * 0.01
    assert row["point"] / forecast["point"] == pytest.approx(1.006018036, rel=1e-8)


def test_an_alias_that_is_asked_for_has_no_shadow(client: httpx.Client, world: World) -> None:
    question = {"problem": PROBLEM, "alias": "challenger"}
    answer = client.post("/v1/predict", json=question, headers={"X-Request-Id": "alias"})
    assert answer.headers["X-Model-Alias"] == "challenger"
    # The row of a later question comes after a shadow's row would have.
    client.post("/v1/predict", json={"problem": PROBLEM}, headers={"X-Request-Id": "later"})
    row_of_shadow(world, "later")
    assert [row["returned"] for row in logged(world, "alias")] == [1]


def test_answers_of_shadows_are_counted_apart(client: httpx.Client, world: World) -> None:
    def count(labels: str) -> float:
        (line,) = [
            line
            for line in client.get("/metrics").text.splitlines()
            if line.startswith("serving_answers_total") and labels in line
        ]
        return float(line.rpartition(" ")[2])

    before = count(SHADOW_COUNTED), count('alias="champion"')
    client.post("/v1/predict", json={"problem": PROBLEM}, headers={"X-Request-Id": "counted"})
    row_of_shadow(world, "counted")
    until(lambda: count(SHADOW_COUNTED) == before[0] + 1, what="the shadow is counted")
    assert count('alias="champion"') == before[1] + 1


def test_a_shadow_that_fails_is_counted_and_told_once(
    caplog: pytest.LogCaptureFixture, shadow: Deployment
) -> None:
    registry = CollectorRegistry()
    shadows = Shadows(registry)

    async def fail(_: Deployment) -> None:
        raise RuntimeError("no memory")

    async def ask() -> None:
        for _ in range(3):
            shadows.ask((shadow,), fail)
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING):
        asyncio.run(ask())
    labels = {"problem": PROBLEM, "version": "1"}
    assert registry.get_sample_value("serving_shadow_errors_total", labels) == 3.0
    assert [record.getMessage() for record in caplog.records] == [
        "version 1 of bitcoin_close, a shadow, does not answer; told once: no memory"
    ]


def test_questions_beyond_those_that_may_wait_are_counted_and_not_asked(
    shadow: Deployment,
) -> None:
    registry = CollectorRegistry()
    shadows = Shadows(registry)
    asked = []

    async def note(which: Deployment) -> None:
        asked.append(which)

    async def ask() -> None:
        for _ in range(MOST_AT_ONCE + 5):
            shadows.ask((shadow,), note)
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)

    asyncio.run(ask())
    labels = {"problem": PROBLEM, "version": "1"}
    assert registry.get_sample_value("serving_shadow_errors_total", labels) == 5.0
    assert len(asked) == MOST_AT_ONCE
