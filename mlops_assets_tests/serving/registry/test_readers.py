"""Every reader says what MLflow's own client says of the same store."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlops_assets_tests.serving.mlflow_server import MlflowServer
from mlops_assets_tests.serving.published import MODEL_NAME, World, model_files
from serving.contract.model_card import CARD_FILE, MODEL_FILE, TAG_CARD_SHA256, TAG_MODEL_SHA256
from serving.domain_errors import ModelRefusedError, RefusalReason, RegistryUnreachableError
from serving.registry import rest
from serving.registry.address import connect
from serving.registry.reader import Registry, is_version_number

if TYPE_CHECKING:
    from mlflow import MlflowClient

MEGA = 10**6


def reader_of(address: str, *, max_model_bytes: int = MEGA) -> Registry:
    """The reader for an address."""
    return connect(address, max_model_bytes=max_model_bytes)[0]


def describe_alike(reader: Registry, client: MlflowClient, name: str) -> None:
    """Assert that reader and client agree on a model, its versions, aliases and tags."""
    theirs = client.get_registered_model(name)
    ours = reader.model(name)
    assert ours is not None
    assert (ours.name, ours.aliases, ours.tags) == (
        name,
        {alias: str(version) for alias, version in theirs.aliases.items()},
        theirs.tags,
    )
    listed = {str(v.version): v for v in client.search_model_versions(f"name='{name}'")}
    described = reader.versions(name)
    assert [v.version for v in described] == sorted(listed, key=int, reverse=True)
    for version in described:
        expected = client.get_model_version(name, version.version)
        assert version.source == expected.source
        assert version.run_id == expected.run_id
        assert version.tags == expected.tags
        assert int(version.created_at.timestamp() * 1000) == expected.creation_timestamp
        found = reader.version(name, version.version)
        assert found == version.registered
        assert found.model_sha256 == expected.tags[TAG_MODEL_SHA256]
        assert found.card_sha256 == expected.tags[TAG_CARD_SHA256]


def fill(client: MlflowClient, name: str) -> None:
    """Aliases, tags and a deleted version among three."""
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "challenger", "3")
    client.set_registered_model_alias(name, "origin-20260302", "2")
    client.set_registered_model_tag(name, "serving.traffic", '{"weights": {"champion": 1}}')
    client.set_model_version_tag(name, "1", "verdict", "promote\n'quoted' 자료")
    client.delete_model_version(name, "2")


def test_the_database_is_read_as_mlflow_reads_it(world: World) -> None:
    for slope in (-0.1, -0.2, -0.3):
        world.register(model_files(slope), promote=False)
    fill(world.client, MODEL_NAME)
    reader = reader_of(world.settings.tracking_uri)
    describe_alike(reader, world.client, MODEL_NAME)
    assert [v.version for v in reader.versions(MODEL_NAME)] == ["3", "1"]
    assert reader.version(MODEL_NAME, "2") is None
    first = reader.version(MODEL_NAME, "1")
    assert first is not None
    assert reader.files(first) == model_files(-0.1)


@pytest.mark.services
def test_a_server_is_read_as_mlflow_reads_it(server: MlflowServer) -> None:
    from mlflow import MlflowClient

    name = "server.it's"
    client = MlflowClient(server.address, registry_uri=server.address)
    for slope in (-0.1, -0.2, -0.3):
        server.register(model_files(slope), name)
    fill(client, name)
    reader = reader_of(server.address)
    ours = reader.model(name)
    assert ours is not None
    assert ours.aliases == {"champion": "1", "challenger": "3"}
    assert ours.tags == client.get_registered_model(name).tags
    assert [v.version for v in reader.versions(name)] == ["3", "1"]
    for number in ("1", "3"):
        expected = client.get_model_version(name, number)
        found = reader.version(name, number)
        assert found is not None
        assert found.source == expected.source
        assert found.source.startswith("mlflow-artifacts:/")
        assert found.model_sha256 == expected.tags[TAG_MODEL_SHA256]
    assert reader.version(name, "2") is None
    third = reader.version(name, "3")
    assert third is not None
    assert reader.files(third) == model_files(-0.3)


@pytest.mark.services
def test_a_server_hands_out_several_pages(
    server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [server.register(model_files(slope), "several") for slope in (-0.1, -0.2)]
    monkeypatch.setattr(rest, "_PAGE", 1)
    listed = reader_of(server.address).versions("several")
    assert [version.version for version in listed] == ["2", "1"] == numbers[::-1]


@pytest.mark.services
def test_a_server_refuses_files_above_the_cap_and_misses_absent_ones(server: MlflowServer) -> None:
    name = "capped"
    number = server.register(model_files(-0.1), name)
    version = reader_of(server.address).version(name, number)
    assert version is not None
    size = len(model_files(-0.1).model)
    with pytest.raises(ModelRefusedError, match=f"{MODEL_FILE} has {size} bytes") as large:
        reader_of(server.address, max_model_bytes=size - 1).files(version)
    assert large.value.reason is RefusalReason.SIZE
    elsewhere = replace(version, source=f"{version.source}/nowhere")
    with pytest.raises(ModelRefusedError, match=f"has no file {CARD_FILE}"):
        reader_of(server.address).files(elsewhere)


@pytest.mark.services
def test_what_a_server_does_not_know_is_none(server: MlflowServer) -> None:
    reader = reader_of(server.address)
    assert reader.model("nobody") is None
    assert reader.version("nobody", "1") is None
    assert reader.version("nobody", "one") is None
    assert reader.versions("nobody") == []


def test_what_a_database_does_not_know_is_none(world: World) -> None:
    reader = reader_of(world.settings.tracking_uri)
    assert reader.model("nobody") is None
    assert reader.version("nobody", "1") is None
    assert reader.version("nobody", "one") is None
    assert reader.versions("nobody") == []


def test_a_database_that_is_not_there_is_unreachable_and_is_not_made(world: World) -> None:
    world.database.unlink()
    with pytest.raises(RegistryUnreachableError, match="OperationalError"):
        reader_of(world.settings.tracking_uri).model(MODEL_NAME)
    assert not world.database.exists()


def test_a_database_without_mlflows_tables_is_unreachable(world: World) -> None:
    world.database.write_bytes(b"")
    with pytest.raises(RegistryUnreachableError, match="NoSuchTableError"):
        reader_of(world.settings.tracking_uri).model(MODEL_NAME)
    assert world.database.read_bytes() == b""


@pytest.mark.parametrize("address", ["ftp://somewhere", "a folder", ""])
def test_an_address_of_no_known_kind_is_unreachable(address: str) -> None:
    with pytest.raises(RegistryUnreachableError):
        reader_of(address).model(MODEL_NAME)


def test_a_server_that_does_not_listen_is_unreachable() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with pytest.raises(RegistryUnreachableError, match="ConnectError"):
            reader_of(f"http://127.0.0.1:{port}").model(MODEL_NAME)


@pytest.mark.parametrize(
    ("text", "is_number"),
    [
        ("1", True),
        ("999999999", True),
        ("1000000000", False),
        ("", False),
        ("-1", False),
        ("1.0", False),
        ("\u0661", False),
        ("champion", False),
    ],
)
def test_a_version_is_named_by_a_whole_number(text: str, is_number: bool) -> None:
    assert is_version_number(text) is is_number
