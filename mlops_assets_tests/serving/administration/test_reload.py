"""Looking at once: what changes by it, and that no request fails meanwhile."""

from __future__ import annotations

import threading

import httpx
import pytest

from mlops_assets_tests.serving.administration.steered import (
    LATEST,
    administered,
    answering,
    publish_both,
    steer,
)
from mlops_assets_tests.serving.published import World
from serving.settings import ServingSettings


@pytest.fixture
def steered(world: World) -> World:
    """Version 3 holds the alias."""
    return steer(world)


def seldom(world: World) -> ServingSettings:
    """Settings of a service that looks once an hour by itself."""
    return world.settings.model_copy(update={"api_poll_seconds": 3600.0})


@pytest.mark.parametrize("path", ["/v1/admin/reload", "/reload"])
def test_a_look_finds_a_snapshot_and_a_champion_at_once(steered: World, path: str) -> None:
    with administered(steered, seldom(steered)) as client:
        nothing = client.post(path)
        assert (nothing.status_code, nothing.json()["changed"]) == (200, False)
        snapshot = publish_both(steered)
        steered.promote("1")
        assert answering(client) == "3"
        body = client.post(path).json()
        assert answering(client) == "1"
    assert (body["finished"], body["changed"]) == (True, True)
    ((before,), (after,)) = (body["before"], body["after"])
    assert (before["version"], before["snapshot_id"]) == ("3", "20260302T120000Z-00000001")
    assert (after["version"], after["candidate"], after["snapshot_id"]) == ("1", "first", snapshot)
    assert after["complaints"] == body["complaints"] == []


def test_a_look_that_finds_the_registry_gone_leaves_everything_serving(steered: World) -> None:
    with administered(steered, seldom(steered)) as client:
        steered.database.rename(steered.database.with_suffix(".away"))
        body = client.post("/v1/admin/reload").json()
        assert answering(client) == "3"
    assert body["changed"] is False
    assert "the model registry does not answer" in body["complaints"][0]


def test_no_request_fails_while_looks_swap_models(steered: World) -> None:
    stop = threading.Event()
    answers: list[httpx.Response] = []

    def ask(base: httpx.URL) -> None:
        with httpx.Client(base_url=base) as caller:
            while not stop.is_set():
                answers.append(caller.get(LATEST))

    with administered(steered, seldom(steered)) as client:
        callers = [threading.Thread(target=ask, args=(client.base_url,)) for _ in range(2)]
        for caller in callers:
            caller.start()
        found = []
        for turn in range(8):
            steered.promote("1" if turn % 2 else "2")
            found.append(client.post("/v1/admin/reload").json()["after"][0]["version"])
        stop.set()
        for caller in callers:
            caller.join()
    assert found == ["2", "1"] * 4
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["X-Model-Version"] for answer in answers} <= {"1", "2", "3"}
    assert len(answers) > 8
