"""Models, versions and aliases over HTTP, from a real registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlops_assets_tests.serving.administration.steered import (
    PROMOTED_FIRST,
    PROMOTED_LAST,
    administered,
    steer,
)
from mlops_assets_tests.serving.published import MODEL_NAME, PROBLEM, World, model_files
from mlops_assets_tests.serving.running import until

VERSIONS = f"/v1/models/{PROBLEM}/versions"


@pytest.fixture(scope="module")
def world_of_five(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> World:
    """The steered world, with a tampered version 4 and a version 5 that no snapshot feeds."""
    world = steer(World.create(tmp_path_factory.mktemp("models") / "home", empty_registry))
    tampered = world.register(model_files(-0.4), promote=False)
    world.artifact(tampered, "model.onnx").write_bytes(b"something else")
    world.register(model_files(-0.5, candidate="fifth", recipe_id="r5"), promote=False)
    return world


@pytest.fixture(scope="module")
def client(world_of_five: World) -> Iterator[httpx.Client]:
    """The service over that world."""
    with administered(world_of_five) as ready:
        yield ready


def test_every_problem_is_listed_with_its_champion_and_its_aliases(client: httpx.Client) -> None:
    assert client.get("/v1/models").json() == {
        "models": [
            {
                "problem": PROBLEM,
                "model_name": MODEL_NAME,
                "ready": True,
                "version": "3",
                "candidate": "second",
                "aliases": {"champion": "3", "challenger": "2"},
            }
        ]
    }


@pytest.mark.parametrize(
    ("choice", "version", "alias"),
    [
        ({}, "3", "champion"),
        ({"alias": "challenger"}, "2", "challenger"),
        ({"version": "1"}, "1", None),
    ],
)
def test_the_card_of_an_alias_or_of_a_version_can_be_asked_for(
    client: httpx.Client, choice: dict[str, str], version: str, alias: str | None
) -> None:
    body = client.get(f"/v1/models/{PROBLEM}", params=choice).json()
    assert (body["version"], body["alias"]) == (version, alias)
    assert body["card"]["recipe_id"] == {"1": "r1", "2": "r1", "3": "r2"}[version]


def test_alias_and_version_together_are_refused(client: httpx.Client) -> None:
    answer = client.get(f"/v1/models/{PROBLEM}", params={"alias": "challenger", "version": "1"})
    assert answer.status_code == 422
    assert "leave one out" in answer.json()["remedy"]


@pytest.mark.parametrize("choice", [{"alias": "nobody"}, {"version": "99"}, {"version": "../1"}])
def test_an_unknown_alias_or_version_is_not_found(
    client: httpx.Client, choice: dict[str, str]
) -> None:
    assert client.get(f"/v1/models/{PROBLEM}", params=choice).status_code == 404


def test_aliases_are_asked_of_the_registry_at_once(
    client: httpx.Client, world_of_five: World
) -> None:
    world_of_five.client.set_registered_model_alias(MODEL_NAME, "origin-20260301", "1")
    assert client.get(f"/v1/models/{PROBLEM}/aliases").json() == {
        "problem": PROBLEM,
        "model_name": MODEL_NAME,
        "aliases": {"champion": "3", "challenger": "2", "origin-20260301": "1"},
    }
    world_of_five.client.delete_registered_model_alias(MODEL_NAME, "origin-20260301")


def test_versions_come_newest_first_in_pages(client: httpx.Client) -> None:
    first = client.get(VERSIONS, params={"limit": 2}).json()
    second = client.get(VERSIONS, params={"limit": 2, "after": first["next"]}).json()
    third = client.get(VERSIONS, params={"limit": 2, "after": second["next"]}).json()
    pages = [[v["version"] for v in page["versions"]] for page in (first, second, third)]
    assert pages == [["5", "4"], ["3", "2"], ["1"]]
    assert [page["next"] for page in (first, second, third)] == ["4", "2", None]


def test_a_version_says_where_it_comes_from_and_what_was_decided_about_it(
    client: httpx.Client,
) -> None:
    by_number = {v["version"]: v for v in client.get(VERSIONS).json()["versions"]}
    third = by_number["3"]
    assert (third["candidate"], third["recipe_id"], third["data_version"]) == ("second", "r2", "d1")
    assert (third["aliases"], third["loaded"]) == (["champion"], True)
    assert third["as_of"] == PROMOTED_LAST.isoformat()
    assert third["verdict"] == {
        "decision": "promote",
        "as_of": PROMOTED_LAST.isoformat(),
        "reasons": ["It beats the others.", "It takes the alias."],
        "by": None,
    }
    assert by_number["1"]["verdict"]["as_of"] == PROMOTED_FIRST.isoformat()
    assert by_number["2"]["verdict"] is None
    assert (by_number["4"]["candidate"], by_number["4"]["loaded"]) == (None, False)
    assert all(v["run_id"] and v["created_at"].endswith("Z") for v in by_number.values())


def test_one_version_shows_its_card_and_its_tags(client: httpx.Client) -> None:
    body = client.get(f"{VERSIONS}/2").json()
    assert (body["version"], body["aliases"], body["misfit"]) == ("2", ["challenger"], None)
    assert (body["card"]["candidate"], body["refusal"]) == ("first", None)
    assert body["tags"]["recipe_id"] == "r1"
    assert len(body["tags"]["model_sha256"]) == 64


def test_a_version_that_cannot_answer_says_why(client: httpx.Client) -> None:
    refused = client.get(f"{VERSIONS}/4").json()
    assert refused["card"] is None
    assert "sha256" in refused["refusal"]
    unfed = client.get(f"{VERSIONS}/5").json()
    assert unfed["card"]["candidate"] == "fifth"
    assert "no band_quantile of fifth" in unfed["misfit"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/eth_close", 404),
        ("/v1/models/eth_close/aliases", 404),
        ("/v1/models/eth_close/versions", 404),
        (f"{VERSIONS}/99", 404),
        (f"{VERSIONS}/x", 404),
        (f"{VERSIONS}?limit=0", 422),
        (f"{VERSIONS}?limit=201", 422),
        (f"{VERSIONS}?after=x", 422),
    ],
)
def test_what_is_not_there_is_a_problem(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.json()["remedy"]


def test_while_the_registry_is_away_what_is_held_is_still_described(world: World) -> None:
    steer(world)
    with administered(world) as client:
        client.get(f"/v2/models/{PROBLEM}/versions/1/ready").raise_for_status()
        world.database.rename(world.database.with_suffix(".away"))
        until(
            lambda: client.get(f"/v1/models/{PROBLEM}/aliases").status_code == 503,
            what="the registry is missed",
        )
        assert client.get("/v1/models").json()["models"][0]["aliases"]["champion"] == "3"
        assert client.get(f"/v1/models/{PROBLEM}").json()["version"] == "3"
        assert client.get(f"/v1/models/{PROBLEM}?version=1").json()["version"] == "1"
        missed = client.get(VERSIONS)
        metadata = client.get(f"/v2/models/{PROBLEM}").json()
    assert "forecasts go on meanwhile" in missed.json()["remedy"]
    assert metadata["versions"] == ["3"]
