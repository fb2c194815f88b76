from __future__ import annotations

import pytest

from mlops_assets_tests.serving.published import (
    MODEL_NAME,
    PROBLEM,
    World,
    files_of,
    model_files,
    onnx_model,
)
from mlops_assets_tests.serving.published import card as card_of
from serving.contract.model_card import MODEL_FILE
from serving.deployments import Deployments
from serving.domain_errors import NotReadyError
from serving.instrumentation import Metrics
from serving.model_store import ModelStore
from serving.polling import Retries
from serving.registry.address import connect
from serving.snapshots import SnapshotFollower
from serving.storage import PublishedStorage


class Store:
    """A model store over a world with one snapshot."""

    def __init__(self, world: World, *, max_model_bytes: int = 10**6, looks: int = 1) -> None:
        world.publish()
        self.metrics = Metrics()
        self.deployments = Deployments(self.metrics)
        SnapshotFollower(
            PublishedStorage(world.settings.storage),
            self.deployments,
            max_bytes=10**6,
            retries=Retries(1),
        ).poll()
        registry, _ = connect(world.settings.tracking_uri, max_model_bytes=max_model_bytes)
        self.store = ModelStore(
            registry,
            self.deployments,
            retries=Retries(looks),
        )

    def version(self) -> str | None:
        """The version in service after one more look."""
        self.store.poll()
        deployment = self.deployments.deployed(PROBLEM)
        return None if deployment is None else deployment.model.registered.version

    def complaint(self) -> str:
        """What is wrong with the problem's model."""
        (complaint,) = self.deployments.complaints(PROBLEM)
        return complaint

    def refusals(self, reason: str) -> float | None:
        """How many refusals for a reason were counted."""
        return self.metrics.registry.get_sample_value(
            "serving_model_refusals_total", {"problem": PROBLEM, "reason": reason}
        )


def test_the_champion_is_followed_when_its_alias_moves_forward_and_back(world: World) -> None:
    store = Store(world)
    assert store.version() is None
    assert store.complaint() == (
        f"no version of {MODEL_NAME} has the alias champion; materialise `champion`"
    )
    first = world.register(model_files(-0.1))
    assert store.version() == first
    second = world.register(model_files(-0.2), promote=False)
    assert store.version() == first
    world.promote(second)
    assert store.version() == second
    world.promote(first)
    assert store.version() == first
    assert store.deployments.complaints(PROBLEM) == ()


def test_a_version_that_was_tampered_with_is_refused_and_the_last_one_keeps_serving(
    world: World,
) -> None:
    store = Store(world, looks=3)
    first = world.register(model_files(-0.1))
    assert store.version() == first
    second = world.register(model_files(-0.2), promote=False)
    artifact = world.artifact(second, MODEL_FILE)
    original = artifact.read_bytes()
    artifact.write_bytes(onnx_model(-0.3).SerializeToString())
    world.promote(second)
    assert store.version() == first
    assert f"version 2 of {MODEL_NAME} is refused: {MODEL_FILE} has sha256" in store.complaint()
    assert store.refusals("checksum") == 1
    artifact.write_bytes(original)
    # Refused at the first look, it is tried again three looks later.
    assert [store.version() for _ in range(3)] == [first, first, second]
    assert store.refusals("checksum") == 1
    assert store.deployments.complaints(PROBLEM) == ()


def test_moving_the_alias_away_from_a_refused_version_ends_the_complaint(world: World) -> None:
    store = Store(world, looks=100)
    first = world.register(model_files(-0.1))
    assert store.version() == first
    content = b"a pickle in place of the graph"
    second = world.register(files_of(content, card_of(content, slope=-0.2)))
    assert store.version() == first
    assert store.refusals("format") == 1
    world.promote(first)
    assert store.version() == first
    assert store.deployments.complaints(PROBLEM) == ()
    world.promote(second)
    assert store.version() == first
    assert store.refusals("format") == 2


def test_a_model_above_the_cap_is_refused_before_it_is_fetched(world: World) -> None:
    store = Store(world, max_model_bytes=100)
    world.register(model_files())
    assert store.version() is None
    assert "100 are allowed" in store.complaint()
    assert "MLOPS_API_MAX_MODEL_MB" in store.complaint()
    assert store.refusals("size") == 1


def test_a_version_whose_file_is_gone_is_refused(world: World) -> None:
    store = Store(world)
    version = world.register(model_files())
    world.artifact(version, MODEL_FILE).unlink()
    assert store.version() is None
    assert f"has no file {MODEL_FILE}" in store.complaint()


def test_a_version_without_checksum_tags_is_refused(world: World) -> None:
    store = Store(world)
    version = world.register(model_files())
    world.client.delete_model_version_tag(MODEL_NAME, version, "card_sha256")
    assert store.version() is None
    assert store.refusals("tags") == 1


def test_a_registry_that_is_gone_leaves_the_last_model_serving_and_is_not_recreated(
    world: World,
) -> None:
    store = Store(world)
    first = world.register(model_files())
    assert store.version() == first
    aside = world.database.rename(world.database.with_suffix(".aside"))
    assert store.version() == first
    (complaint,) = store.deployments.complaints()
    assert "the model registry does not answer" in complaint
    assert not world.database.exists()
    aside.rename(world.database)
    assert store.version() == first
    assert store.deployments.complaints() == ()


def test_a_removed_alias_leaves_the_last_model_serving(world: World) -> None:
    store = Store(world)
    first = world.register(model_files())
    assert store.version() == first
    world.client.delete_registered_model_alias(MODEL_NAME, "champion")
    assert store.version() == first
    assert "has the alias champion" in store.complaint()


def test_without_a_model_the_answer_names_the_refusal(world: World) -> None:
    store = Store(world, max_model_bytes=100)
    world.register(model_files())
    assert store.version() is None
    with pytest.raises(NotReadyError, match=r"is refused: model\.onnx has"):
        store.deployments.serving(PROBLEM)
