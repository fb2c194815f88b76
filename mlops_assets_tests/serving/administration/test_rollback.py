"""Rolling back over HTTP, as MLflow's client, the pipeline's registry and the callers see it."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from mlops_assets.promotion.registry import Registry
from mlops_assets.settings import Settings
from mlops_assets_tests.promotion.registered import verdict
from mlops_assets_tests.serving.administration.steered import (
    PROMOTED_LAST,
    administered,
    aliases,
    answering,
    pipeline_tags,
    promotion,
    publish_both,
    steer,
    tag,
    tags_of,
)
from mlops_assets_tests.serving.published import AS_OF, MODEL_NAME, NOW, PROBLEM, World, model_files
from mlops_assets_tests.serving.running import until

ROLLBACK = f"/v1/rollback/{PROBLEM}"


@pytest.fixture
def steered(world: World) -> World:
    """Version 3 (recipe r2) holds the alias; versions 1 and 2 are fits of r1."""
    return steer(world)


def pipeline(home: Path) -> Registry:
    """The pipeline's view of a world's registry."""
    return Registry(Settings(data="sample", home=home), PROBLEM)


def test_the_alias_goes_to_the_newest_fit_of_the_recipe_that_held_it_before(
    steered: World,
) -> None:
    with administered(steered) as client:
        answer = client.post(ROLLBACK, json={"reason": "bands far too wide"})
        assert answer.status_code == 200, answer.text
        until(lambda: answering(client) == "2", what="version 2 answers")
    body = answer.json()
    assert (body["before"], body["now"], body["gap"]) == ("3", "2", None)
    assert "at its next look" in body["remaining"]
    assert aliases(steered) == {"champion": "2", "challenger": "3", "origin-20260302": "2"}
    assert body["reasons"] == [
        "Rolled back by hand from second version 3 (recipe r2).",
        "API key operator: bands far too wide",
        "first version 2 (recipe r1) takes the alias back from second version 3 (recipe r2).",
    ]
    tags = tags_of(steered, "2")
    assert tags["verdict"] == "roll_back"
    assert tags["verdict_by"] == "API key operator"
    assert tags["verdict_reasons"].split("\n") == body["reasons"]
    assert json.loads(tags["verdict_figures"]) == {
        "tests": [],
        "mean_losses": {"a": 1.0},
        "alpha": 0.0,
        "look": 2,
    }
    assert datetime.fromisoformat(tags["verdict_as_of"]) == NOW
    assert datetime.fromisoformat(tags_of(steered, "3")["rolled_back_as_of"]) == NOW


def test_the_pipeline_finds_what_its_own_roll_back_would_have_left(
    steered: World, tmp_path: Path
) -> None:
    twin = tmp_path / "twin" / "sample"
    twin.mkdir(parents=True)
    shutil.copy(steered.database, twin / "mlflow.db")
    with administered(steered) as client:
        client.post(ROLLBACK, json={"reason": "test"}).raise_for_status()
    theirs, ours = pipeline(tmp_path / "twin"), pipeline(steered.home)
    (target,) = (v for v in theirs.versions() if v.version == "2")
    theirs.roll_back(verdict("roll_back", "first", losses=["first"], as_of=NOW), target)
    assert ours.holder() == theirs.holder() == target
    assert ours.holder("challenger") == theirs.holder("challenger")
    copy = World(tmp_path / "twin")
    assert aliases(steered) == aliases(copy)
    for version in ("1", "2", "3"):
        found, expected = tags_of(steered, version), tags_of(copy, version)
        assert set(found) - {"verdict_by"} == set(expected)
        for name in ("verdict", "verdict_as_of", "rolled_back_as_of"):
            assert found.get(name) == expected.get(name)


def test_a_version_may_be_named(steered: World) -> None:
    with administered(steered) as client:
        answer = client.post(ROLLBACK, json={"version": "1", "reason": "test"})
        assert answer.json()["now"] == "1"
        until(lambda: answering(client) == "1", what="version 1 answers")
    assert aliases(steered)["champion"] == "1"


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"version": "3", "reason": "test"}, 422, "it holds the alias already"),
        ({"version": "9", "reason": "test"}, 404, "it must be a registered version"),
        ({"version": "1" * 21, "reason": "test"}, 422, "at most 20 characters"),
        ({"version": "../1", "reason": "test"}, 404, "it must be a registered version"),
        ({"version": 1, "reason": "test"}, 422, "valid string"),
        ({"version": "1"}, 422, "Field required"),
        ({"version": "1", "reason": ""}, 422, "at least 1 character"),
        ({"to": "1", "reason": "test"}, 422, "Extra inputs are not permitted"),
    ],
)
def test_a_request_that_cannot_be_met_moves_nothing(
    steered: World, asked: dict[str, object], status: int, said: str
) -> None:
    before = aliases(steered)
    with administered(steered) as client:
        answer = client.post(ROLLBACK, json=asked)
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert aliases(steered) == before


def test_a_version_whose_files_were_changed_gets_no_alias(steered: World) -> None:
    steered.artifact("2", "model.onnx").write_bytes(b"something else")
    with administered(steered) as client:
        answer = client.post(ROLLBACK, json={"reason": "test"})
        assert answer.status_code == 422
        assert "sha256" in answer.json()["detail"]
        assert answering(client) == "3"
    assert aliases(steered)["champion"] == "3"


def test_a_version_without_the_pipelines_tags_gets_no_alias(steered: World) -> None:
    steered.register(model_files(-0.5), promote=False)
    with administered(steered) as client:
        answer = client.post(ROLLBACK, json={"version": "4", "reason": "test"})
    assert answer.status_code == 422
    assert "it lacks the tags candidate, recipe_id, as_of, data_version" in answer.json()["detail"]


def test_where_nobody_held_the_alias_before_a_version_must_be_named(world: World) -> None:
    for slope in (-0.1, -0.2):
        version = world.register(model_files(slope))
        tag(world, version, pipeline_tags("first", "r1", PROMOTED_LAST))
        tag(world, version, promotion(PROMOTED_LAST))
    world.promote(world.register(model_files(-0.3)))
    tag(world, "3", pipeline_tags("first", "r1", AS_OF))
    publish_both(world)
    with administered(world) as client:
        answer = client.post(ROLLBACK, json={"reason": "test"})
    assert answer.status_code == 422
    assert "no version of another recipe held the alias before it" in answer.json()["detail"]
    assert answer.json()["known"] == ["2", "1"]


def test_a_second_roll_back_does_not_return_to_what_was_rolled_back(steered: World) -> None:
    with administered(steered) as client:
        client.post(ROLLBACK, json={"reason": "first"}).raise_for_status()
        again = client.post(ROLLBACK, json={"reason": "second"})
    assert again.status_code == 422
    assert "each was rolled back itself" in again.json()["detail"]
    assert aliases(steered)["champion"] == "2"


def test_nothing_is_undone_before_what_the_registry_knows(steered: World) -> None:
    later = datetime.fromisoformat("2026-04-01T00:00:00+00:00")
    tag(steered, "3", promotion(later))
    with administered(steered) as client:
        answer = client.post(ROLLBACK, json={"reason": "test"})
    assert datetime.fromisoformat(answer.json()["as_of"]) == later
    assert aliases(steered)["origin-20260401"] == "2"


def test_files_have_the_snapshots_present(steered: World) -> None:
    publish_both(steered, data_mode="files")
    with administered(steered) as client:
        answer = client.post(ROLLBACK, json={"reason": "test"})
    assert datetime.fromisoformat(answer.json()["as_of"]) == AS_OF


def test_a_version_that_no_snapshot_feeds_yet_gets_the_alias_and_the_one_before_goes_on(
    steered: World,
) -> None:
    fourth = model_files(-0.4, candidate="fourth", recipe_id="r4")
    version = steered.register(fourth, promote=False)
    tag(steered, version, pipeline_tags("fourth", "r4", AS_OF))
    with administered(steered) as client:
        answer = client.post(ROLLBACK, json={"version": version, "reason": "test"})
        assert answer.status_code == 200
        assert "no band_quantile of fourth" in answer.json()["gap"]
        assert answering(client) == "3"
    holder = steered.client.get_model_version_by_alias(MODEL_NAME, "champion")
    assert str(holder.version) == version
