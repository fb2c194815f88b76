"""What callers see when the registry, the storage or the cache on disk is not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets_tests.serving.mlflow_server import mlflow_server
from mlops_assets_tests.serving.published import (
    MODEL_NAME,
    PROBLEM,
    World,
    model_files,
    onnx_model,
)
from mlops_assets_tests.serving.running import is_ready, listening, served, started, until
from serving.app import create_app
from serving.contract.model_card import MODEL_FILE
from serving.contract.snapshot import INPUTS
from serving.settings import ServingSettings

LATEST = f"/v1/forecasts/{PROBLEM}/latest"


def cache_of(world: World) -> Path:
    """The folder of what is kept."""
    return world.namespace / "serving-cache" / "sample"


def kept(world: World) -> bool:
    """Whether a champion and a snapshot are kept."""
    names = ("models", "snapshots/published")
    files = ("champion.json", "latest.json")
    return all(
        (cache_of(world) / name / PROBLEM / file).exists()
        for name, file in zip(names, files, strict=True)
    )


def serve_once(world: World) -> None:
    """Run the service until it has kept what it serves."""
    world.register(model_files(-0.1))
    world.publish()
    with served(world):
        until(lambda: kept(world), what="champion and snapshot are kept on disk")


def reasons(client: httpx.Client) -> str:
    """Everything that health complains of."""
    health = client.get("/health").json()
    return " | ".join(health["reasons"] + [r for p in health["problems"] for r in p["reasons"]])


def status(client: httpx.Client) -> str:
    return str(client.get("/health").json()["status"])


@contextmanager
def without(*paths: Path) -> Iterator[None]:
    """Files and folders put aside for a while."""
    asides = [path.rename(path.with_name(f"{path.name}.aside")) for path in paths]
    yield
    for path, aside in zip(paths, asides, strict=True):
        aside.rename(path)


def test_a_start_without_registry_and_storage_answers_from_the_disk_and_says_so(
    world: World,
) -> None:
    serve_once(world)
    storage = world.namespace / "storage"
    with without(world.database, storage):
        with started(world) as client:
            until(lambda: is_ready(client), what="the service is ready")
            answer = client.get(LATEST)
            assert answer.status_code == 200
            assert answer.headers["X-Model-Version"] == "1"
            assert answer.headers["X-Data-Version"] == "data-1"
            until(
                lambda: "registry does not answer" in reasons(client),
                what="the registry is missed",
            )
            assert status(client) == "degraded"
            assert "was kept on disk, the registry has not confirmed it yet" in reasons(client)
            assert "was kept on disk, the storage has not confirmed it yet" in reasons(client)
            assert str(world.home) not in reasons(client)
        assert not world.database.exists()
    with started(world) as client:
        until(lambda: status(client) == "ok", what="registry and storage confirm what was kept")
        assert reasons(client) == ""


def test_what_was_kept_gives_way_to_what_has_happened_meanwhile(world: World) -> None:
    serve_once(world)
    second = world.register(model_files(-0.2))
    world.publish()
    with started(world) as client:
        until(
            lambda: (
                client.get(LATEST).headers.get("X-Model-Version") == second
                and client.get(LATEST).headers["X-Data-Version"] == "data-2"
            ),
            what="the second version and snapshot answer",
        )
        until(lambda: status(client) == "ok", what="nothing is wrong")


def test_a_kept_model_that_was_tampered_with_never_answers(world: World) -> None:
    serve_once(world)
    (model,) = cache_of(world).glob(f"models/{PROBLEM}/*/{MODEL_FILE}")
    model.write_bytes(onnx_model(-9.0).SerializeToString())
    with without(world.database), started(world) as client:
        until(lambda: "is refused" in reasons(client), what="the refusal is said")
        assert "the champion that was kept on disk is refused: model.onnx has sha256" in reasons(
            client
        )
        assert client.get(LATEST).status_code == 503
        refusals = 'serving_model_refusals_total{problem="bitcoin_close",reason="checksum"} 1.0'
        assert refusals in client.get("/metrics").text
    with started(world) as client:
        until(lambda: status(client) == "ok", what="the registry's own model answers")
        assert client.get(LATEST).status_code == 200
        until(
            lambda: model.read_bytes() == model_files(-0.1).model,
            what="the kept file is replaced by a good one",
        )


def test_a_kept_snapshot_that_was_tampered_with_never_answers(world: World) -> None:
    serve_once(world)
    (inputs,) = cache_of(world).glob(f"snapshots/published/{PROBLEM}/*/{INPUTS}")
    inputs.write_bytes(inputs.read_bytes() + b" ")
    with without(world.namespace / "storage"), started(world) as client:
        until(
            lambda: "the snapshot that was kept on disk is refused" in reasons(client),
            what="the refusal is said",
        )
        assert "a file that was changed is not served" in reasons(client)
        assert client.get(LATEST).status_code == 503


def test_a_disk_that_takes_nothing_costs_no_answer_and_is_said_until_it_does(
    world: World, tmp_path: Path
) -> None:
    world.register(model_files(-0.1))
    world.publish()
    blocked = tmp_path / "cache"
    blocked.write_bytes(b"a file where the folder should be")
    settings = ServingSettings(
        home=world.home, api_poll_seconds=0.03, api_cache=blocked, api_recheck_polls=3
    )
    with started(world, settings=settings) as client:
        until(
            lambda: (
                "the champion cannot be kept on disk" in reasons(client)
                and "the snapshot cannot be kept on disk" in reasons(client)
            ),
            what="the disk is complained of",
        )
        assert "MLOPS_API_CACHE" in reasons(client)
        assert str(tmp_path) not in reasons(client)
        assert client.get(LATEST).status_code == 200
        blocked.unlink()
        until(lambda: status(client) == "ok", what="the disk takes both")
        assert (blocked / "sample" / "models" / PROBLEM / "champion.json").exists()


def test_a_storage_folder_that_is_gone_is_degraded_and_forecasts_go_on(world: World) -> None:
    world.register(model_files())
    world.publish()
    with served(world) as client:
        shutil.rmtree(world.namespace / "storage")
        until(lambda: status(client) == "degraded", what="the storage is missed")
        assert "the storage no longer has snapshots of bitcoin_close" in reasons(client)
        assert client.get(LATEST).status_code == 200


def test_aliases_and_traffic_are_known_before_the_registry_answers(world: World) -> None:
    world.register(model_files(-0.1))
    world.client.set_registered_model_alias(MODEL_NAME, "challenger", "1")
    world.publish()
    with served(world):
        until(lambda: kept(world), what="the champion is kept")
    entry: dict[str, Any] = json.loads(
        (cache_of(world) / "models" / PROBLEM / "champion.json").read_text(encoding="utf-8")
    )
    assert entry["aliases"] == {"champion": "1", "challenger": "1"}
    with without(world.database), started(world) as client:
        until(lambda: is_ready(client), what="the service is ready")
        answer = client.get(LATEST, params={"alias": "challenger"})
        assert (answer.status_code, answer.headers["X-Model-Alias"]) == (200, "challenger")


@pytest.mark.services
def test_an_mlflow_server_that_is_killed_is_degraded_before_and_after_a_restart(
    world: World, tmp_path: Path
) -> None:
    with mlflow_server(tmp_path, world.database) as server:
        server.register(model_files(-0.1), MODEL_NAME)
        world.promote("1")
        world.publish()
        settings = ServingSettings(
            home=world.home, api_poll_seconds=0.03, mlflow_tracking_uri=server.address
        )
        with listening(create_app(settings)) as client:
            until(lambda: status(client) == "ok", what="the server's model is served")
            until(lambda: kept(world), what="champion and snapshot are kept on disk")
            server.kill()
            until(lambda: status(client) == "degraded", what="the server is missed")
            assert "the model registry does not answer" in reasons(client)
            assert client.get(LATEST).headers["X-Model-Version"] == "1"
        with listening(create_app(settings)) as client:
            until(lambda: is_ready(client), what="the service is ready again")
            assert client.get(LATEST).headers["X-Model-Version"] == "1"
            assert status(client) == "degraded"
