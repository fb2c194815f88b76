"""The registry in PostgreSQL and MariaDB: tables made and read by MLflow, in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mlops_assets_tests.serving.logs import server_database
from serving.domain_errors import UnknownNameError
from serving.registry.address import connect
from serving.registry.writer import RegistryChange

MLFLOW = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1], registry_uri=sys.argv[1])
if sys.argv[2] == "make":
    client.create_registered_model("model", tags={"old": "tag"})
    for _ in range(3):
        client.create_model_version("model", source="/a/folder", tags={"model_sha256": "1"})
    client.delete_model_version("model", "3")
else:
    model = client.get_registered_model("model")
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    tags = client.get_model_version("model", "2").tags
    print(json.dumps([aliases, model.tags, tags]))
"""


@pytest.fixture(params=["mysql", "postgresql"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of a server; skips where none answers."""
    with server_database(str(request.param), "registry") as found:
        yield found


def mlflow(address: str, what: str) -> str:
    """What MLflow's own client prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MLFLOW, address, what], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.services
def test_a_database_server_is_read_and_written_as_mlflow_does(address: str) -> None:
    mlflow(address, "make")
    reader, writer = connect(address, max_model_bytes=1)
    writer.apply("model", RegistryChange(aliases={"champion": "1"}, tags={"note": "one"}))
    change = RegistryChange(
        aliases={"champion": "2", "challenger": "1"},
        tags={"note": "two", "old": None},
        version_tags={"2": {"verdict": "promote"}},
    )
    writer.apply("model", change)
    with pytest.raises(UnknownNameError):
        writer.apply("model", RegistryChange(tags={"note": "x"}, aliases={"champion": "3"}))
    aliases, tags, version_tags = json.loads(mlflow(address, "show"))
    assert aliases == {"champion": "2", "challenger": "1"}
    assert tags == {"note": "two"}
    assert version_tags == {"model_sha256": "1", "verdict": "promote"}
    model = reader.model("model")
    assert model is not None
    assert (model.aliases, model.tags) == (aliases, tags)
    assert [(v.version, v.source) for v in reader.versions("model")] == [
        ("2", "/a/folder"),
        ("1", "/a/folder"),
    ]
    assert reader.versions("model")[0].tags == version_tags
    assert reader.version("model", "3") is None
