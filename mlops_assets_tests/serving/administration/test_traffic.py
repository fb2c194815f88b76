"""Traffic settings over HTTP, as MLflow's client and the callers see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets_tests.serving.administration.steered import (
    LATEST,
    administered,
    answering,
    steer,
)
from mlops_assets_tests.serving.published import MODEL_NAME, NOW, PROBLEM, World, model_files
from mlops_assets_tests.serving.running import until
from serving.access.keys import Role, add_key

TRAFFIC = f"/v1/traffic/{PROBLEM}"


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> World:
    """A world for tests that change nothing, or put back what they change."""
    return steer(World.create(tmp_path_factory.mktemp("steered") / "home", empty_registry))


@pytest.fixture(scope="module")
def admin(steered: World) -> Iterator[httpx.Client]:
    """A client of the service over that world."""
    with administered(steered) as client:
        yield client


def setting(world: World) -> str | None:
    """The tag of the registered model, as MLflow's client sees it."""
    tags: dict[str, str] = world.client.get_registered_model(MODEL_NAME).tags
    return tags.get("serving.traffic")


def test_without_settings_the_champion_answers_everybody(admin: httpx.Client) -> None:
    assert admin.get(TRAFFIC).json() == {
        "problem": PROBLEM,
        "model_name": MODEL_NAME,
        "weights": {"champion": 1.0},
        "shadow": [],
        "configured": False,
        "fault": None,
        "aliases": {"champion": "3", "challenger": "2"},
    }


def test_a_change_takes_effect_without_restart_and_its_removal_too(
    admin: httpx.Client, steered: World
) -> None:
    answer = admin.put(TRAFFIC, json={"weights": {"challenger": 1.0}, "shadow": ["champion"]})
    assert answer.status_code == 200
    assert (answer.json()["weights"], answer.json()["shadow"]) == (
        {"challenger": 1.0},
        ["champion"],
    )
    written = setting(steered)
    assert written is not None
    assert json.loads(written) == {"weights": {"challenger": 1.0}, "shadow": ["champion"]}
    until(lambda: answering(admin) == "2", what="the challenger answers")
    removed = admin.delete(TRAFFIC)
    assert removed.json()["configured"] is False
    assert setting(steered) is None
    until(lambda: answering(admin) == "3", what="the champion answers again")
    assert admin.delete(TRAFFIC).status_code == 200


def test_callers_are_split_by_their_key_and_each_keeps_its_variant(
    admin: httpx.Client, steered: World
) -> None:
    admin.put(TRAFFIC, json={"weights": {"champion": 0.5, "challenger": 0.5}}).raise_for_status()

    def variants() -> list[str]:
        return [
            admin.get(LATEST, headers={"X-Caller-Key": f"caller-{n}"}).headers["X-Model-Version"]
            for n in range(60)
        ]

    until(lambda: set(variants()) == {"2", "3"}, what="both variants answer")
    first = variants()
    assert variants() == first
    # Of 60 fair coins fewer than 12 or more than 48 on one side is a chance of one in a million.
    assert 12 <= first.count("2") <= 48
    admin.delete(TRAFFIC).raise_for_status()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"weights": {"champion": 0.9, "challenger": 0.2}}, "they must sum to 1"),
        ({"weights": {"champion": 0.9, "challenger": 0.1 + 1e-8}}, "they must sum to 1"),
        ({"weights": {"champion": 1.5, "challenger": -0.5}}, "less than or equal to 1"),
        ({"weights": {"champion": 1.0, "challenger": 0.0}}, "greater than 0"),
        ({"weights": {}}, "at least 1 item"),
        ({"weights": {"champion": "1"}}, "valid number"),
        ({"weights": {"champion": True}}, "valid number"),
        ({"weights": {"nobody": 1.0}}, "it must be an alias of sample.bitcoin_close"),
        ({"weights": {"champion": 1.0}, "shadow": ["nobody"]}, "it must be an alias of"),
        ({"weights": {"champion": 1.0}, "shadow": ["challenger"] * 2}, "each alias once"),
        ({"weights": {"champion": 1.0}, "shadows": []}, "Extra inputs are not permitted"),
        ({"shadow": []}, "Field required"),
        ([], "valid dictionary"),
    ],
)
def test_settings_that_cannot_work_are_refused_and_nothing_is_written(
    admin: httpx.Client,
    steered: World,
    asked: Any,  # noqa: ANN401 - any JSON
    said: str,
) -> None:
    answer = admin.put(TRAFFIC, json=asked)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]
    assert setting(steered) is None


def test_traffic_is_read_with_any_key_and_changed_by_an_admin_alone(
    admin: httpx.Client, steered: World
) -> None:
    body = {"weights": {"champion": 1.0}}
    key = add_key(steered.settings.keys, "caller", Role.PREDICT, now=NOW)
    caller = {"X-Api-Key": key}
    with httpx.Client(base_url=admin.base_url) as without:
        assert without.get(TRAFFIC).status_code == 200
        assert without.put(TRAFFIC, json=body).status_code == 401
        assert without.delete(TRAFFIC).status_code == 401
        until(
            lambda: without.get(TRAFFIC, headers=caller).status_code == 200,
            what="the key is in force",
        )
        assert without.put(TRAFFIC, json=body, headers=caller).status_code == 403
    assert setting(steered) is None


def test_an_alias_of_a_refused_version_gets_no_callers(world: World) -> None:
    steer(world)
    world.artifact("2", "model.onnx").write_bytes(b"something else")
    with administered(world) as client:
        answer = client.put(TRAFFIC, json={"weights": {"challenger": 1.0}})
    assert answer.status_code == 422
    assert "sha256" in answer.json()["detail"]
    assert setting(world) is None


def test_an_alias_that_the_snapshot_cannot_feed_gets_no_callers(world: World) -> None:
    steer(world)
    with administered(world) as client:
        # The snapshot has calibration for r1 and r2.
        third = model_files(-0.4, candidate="third", recipe_id="r3")
        unfed = world.register(third, promote=False)
        world.client.set_registered_model_alias(MODEL_NAME, "third", unfed)
        answer = client.put(TRAFFIC, json={"weights": {"third": 1.0}})
    assert answer.status_code == 422
    assert "no band_quantile of third" in answer.json()["detail"]


def test_settings_that_someone_else_broke_are_shown_with_their_fault(world: World) -> None:
    steer(world)
    world.client.set_registered_model_tag(MODEL_NAME, "serving.traffic", "{")
    with administered(world) as client:
        found = client.get(TRAFFIC).json()
    assert (found["configured"], found["weights"]) == (True, {"champion": 1.0})
    assert "it must be JSON" in found["fault"]


def test_the_examples_of_the_document_work(admin: httpx.Client) -> None:
    document = admin.get("/openapi.json").json()
    body = document["paths"]["/v1/traffic/{problem}"]["put"]["requestBody"]
    examples = body["content"]["application/json"]["examples"]
    assert set(examples) == {"champion", "split", "shadow"}
    for example in examples.values():
        assert admin.put(TRAFFIC, json=example["value"]).status_code == 200
    admin.delete(TRAFFIC).raise_for_status()


def test_an_unknown_problem_is_not_found(admin: httpx.Client) -> None:
    for answer in (
        admin.get("/v1/traffic/eth_close"),
        admin.put("/v1/traffic/eth_close", json={"weights": {"champion": 1.0}}),
        admin.delete("/v1/traffic/eth_close"),
        admin.post("/v1/rollback/eth_close", json={"reason": "test"}),
    ):
        assert answer.status_code == 404
        assert answer.json()["known"] == [PROBLEM]
