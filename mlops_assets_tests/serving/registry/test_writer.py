"""What the service writes is what MLflow's own client then reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlops_assets_tests.serving.mlflow_server import MlflowServer
from mlops_assets_tests.serving.published import MODEL_NAME, World, model_files
from serving.domain_errors import (
    RegistryUnreachableError,
    ServingError,
    UnknownNameError,
    UnusableInputError,
)
from serving.registry.address import connect
from serving.registry.writer import RegistryChange, RegistryWriter

if TYPE_CHECKING:
    from mlflow import MlflowClient


def writer_of(address: str) -> RegistryWriter:
    """The writer for an address."""
    return connect(address, max_model_bytes=1)[1]


def change_is_seen(writer: RegistryWriter, client: MlflowClient, name: str) -> None:
    """Assert that aliases and tags are set, moved, replaced and removed."""
    writer.apply(
        name,
        RegistryChange(
            aliases={"champion": "1", "challenger": "2"},
            tags={"serving.traffic": "one", "note": "자료"},
            version_tags={"1": {"verdict": "promote"}},
        ),
    )
    model = client.get_registered_model(name)
    assert {a: str(v) for a, v in model.aliases.items()} == {"champion": "1", "challenger": "2"}
    assert model.tags == {"serving.traffic": "one", "note": "자료"}
    assert client.get_model_version(name, "1").tags["verdict"] == "promote"
    assert "verdict" not in client.get_model_version(name, "2").tags
    writer.apply(
        name,
        RegistryChange(
            aliases={"champion": "2"},
            tags={"serving.traffic": "two", "note": None, "never set": None},
            version_tags={"1": {"verdict": "roll_back"}},
        ),
    )
    model = client.get_registered_model(name)
    assert {a: str(v) for a, v in model.aliases.items()} == {"champion": "2", "challenger": "2"}
    assert model.tags == {"serving.traffic": "two"}
    assert client.get_model_version(name, "1").tags["verdict"] == "roll_back"


def test_a_change_of_the_database_is_seen_by_mlflow(world: World) -> None:
    for slope in (-0.1, -0.2):
        world.register(model_files(slope), promote=False)
    change_is_seen(writer_of(world.settings.tracking_uri), world.client, MODEL_NAME)


@pytest.mark.services
def test_a_change_through_a_server_is_seen_by_mlflow(server: MlflowServer) -> None:
    from mlflow import MlflowClient

    name = "written"
    for slope in (-0.1, -0.2):
        server.register(model_files(slope), name)
    client = MlflowClient(server.address, registry_uri=server.address)
    change_is_seen(writer_of(server.address), client, name)


UNKNOWN = [
    ("nobody", RegistryChange(tags={"note": "x"})),
    (MODEL_NAME, RegistryChange(aliases={"champion": "77"})),
    (MODEL_NAME, RegistryChange(version_tags={"77": {"verdict": "x"}})),
]


@pytest.mark.parametrize(("name", "change"), UNKNOWN)
def test_a_database_is_not_told_of_models_and_versions_that_it_has_not(
    world: World, name: str, change: RegistryChange
) -> None:
    world.register(model_files())
    with pytest.raises(UnknownNameError, match="it must be registered"):
        writer_of(world.settings.tracking_uri).apply(name, change)
    assert world.client.get_registered_model(MODEL_NAME).tags == {}


@pytest.mark.services
@pytest.mark.parametrize(("name", "change"), UNKNOWN)
def test_a_server_is_not_told_of_models_and_versions_that_it_has_not(
    server: MlflowServer, name: str, change: RegistryChange
) -> None:
    with pytest.raises(UnknownNameError, match="it must be registered"):
        writer_of(server.address).apply(name, change)


def test_a_change_that_fails_halfway_leaves_a_database_as_it_was(world: World) -> None:
    version = world.register(model_files())
    change = RegistryChange(
        aliases={"challenger": "77"},
        tags={"note": "x"},
        version_tags={version: {"verdict": "x"}},
    )
    with pytest.raises(UnknownNameError, match="version 77"):
        writer_of(world.settings.tracking_uri).apply(MODEL_NAME, change)
    model = world.client.get_registered_model(MODEL_NAME)
    assert set(model.aliases) == {"champion"}
    assert model.tags == {}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (RegistryChange(aliases={"a/b": "1"}), "letters, digits, _ and -"),
        (RegistryChange(aliases={"latest": "1"}), "letters, digits, _ and -"),
        (RegistryChange(aliases={"V2": "1"}), "letters, digits, _ and -"),
        (RegistryChange(aliases={"champion": "one"}), "a version is a whole number"),
        (RegistryChange(tags={"": "x"}), "keys have 1 to 250 characters"),
        (RegistryChange(tags={"k" * 251: "x"}), "keys have 1 to 250 characters"),
        (RegistryChange(tags={"k": "x" * 5001}), "values up to 5000"),
    ],
)
def test_what_mlflow_would_not_allow_is_refused_before_anything_is_asked(
    change: RegistryChange, rule: str
) -> None:
    with pytest.raises(UnusableInputError) as refused:
        writer_of("sqlite:////nowhere/at-all.db").apply(MODEL_NAME, change)
    assert rule in refused.value.rule
    assert refused.value.remedy


def test_a_database_that_is_gone_is_unreachable_and_no_answer_about_names(world: World) -> None:
    world.database.unlink()
    with pytest.raises(RegistryUnreachableError) as refused:
        writer_of(world.settings.tracking_uri).apply(
            MODEL_NAME, RegistryChange(aliases={"champion": "1"})
        )
    assert not isinstance(refused.value, ServingError)
    assert not world.database.exists()
