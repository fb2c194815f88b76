from __future__ import annotations

import asyncio
import threading

import pytest

from mlops_assets_tests.serving.published import (
    MODEL_NAME,
    PROBLEM,
    World,
    files_of,
    model_files,
)
from mlops_assets_tests.serving.published import card as card_of
from mlops_assets_tests.serving.running import until
from serving.domain_errors import ModelRefusedError, RegistryUnreachableError
from serving.held_models import HeldModels, ModelKey
from serving.model_files import ModelFiles
from serving.model_loading import ModelLoader, UnknownVersionError
from serving.registry.address import connect
from serving.registry.reader import RegisteredModel, Registry, VersionDescription
from serving.served_model import RegisteredVersion


class Gate:
    """A registry whose files are handed out only once it is open; counts who asks for them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.opened = threading.Event()
        self.asked = 0

    def model(self, name: str) -> RegisteredModel | None:
        return self._registry.model(name)

    def version(self, name: str, number: str) -> RegisteredVersion | None:
        return self._registry.version(name, number)

    def versions(self, name: str) -> list[VersionDescription]:
        return self._registry.versions(name)

    def files(self, version: RegisteredVersion) -> ModelFiles:
        self.asked += 1
        assert self.opened.wait(60)
        return self._registry.files(version)


class Loading:
    """A loader over a world's registry, behind a gate."""

    def __init__(self, world: World, *, memory_bytes: int = 10**8) -> None:
        self.gate = Gate(connect(world.settings.tracking_uri, max_model_bytes=10**6)[0])
        self.held = HeldModels(memory_bytes)
        self.loader = ModelLoader(self.gate, self.held)


def key(version: str) -> ModelKey:
    return ModelKey(MODEL_NAME, version)


def test_many_who_ask_at_once_cost_one_reading_of_the_files(world: World) -> None:
    version = world.register(model_files())
    loading = Loading(world)

    async def ask() -> set[int]:
        waiting = [
            asyncio.ensure_future(loading.loader.load(PROBLEM, key(version))) for _ in range(20)
        ]
        in_background = asyncio.ensure_future(
            asyncio.to_thread(loading.loader.load_now, PROBLEM, key(version))
        )
        await asyncio.to_thread(until, lambda: loading.gate.asked > 0, what="the files are read")
        loading.gate.opened.set()
        return {id(model) for model in await asyncio.gather(*waiting, in_background)}

    assert len(asyncio.run(ask())) == 1
    assert loading.gate.asked == 1
    loading.loader.load_now(PROBLEM, key(version))
    assert loading.gate.asked == 1


def test_a_caller_who_gives_up_does_not_end_the_loading_for_the_others(world: World) -> None:
    version = world.register(model_files())
    loading = Loading(world)

    async def ask() -> str:
        first = asyncio.ensure_future(loading.loader.load(PROBLEM, key(version)))
        second = asyncio.ensure_future(loading.loader.load(PROBLEM, key(version)))
        await asyncio.to_thread(until, lambda: loading.gate.asked > 0, what="the files are read")
        first.cancel()
        await asyncio.sleep(0)
        loading.gate.opened.set()
        return (await second).registered.version

    assert asyncio.run(ask()) == version
    assert loading.gate.asked == 1


def test_a_refused_version_is_read_again_only_after_refusals_are_forgotten(world: World) -> None:
    content = b"a pickle in place of the graph"
    version = world.register(files_of(content, card_of(content, slope=-0.1)))
    loading = Loading(world)
    loading.gate.opened.set()
    for _ in range(3):
        with pytest.raises(ModelRefusedError, match="no ONNX graph"):
            asyncio.run(loading.loader.load(PROBLEM, key(version)))
    assert loading.gate.asked == 1
    loading.loader.forget_refusals()
    with pytest.raises(ModelRefusedError, match="no ONNX graph"):
        loading.loader.load_now(PROBLEM, key(version))
    assert loading.gate.asked == 2


def test_a_version_that_is_not_registered_is_unknown(world: World) -> None:
    world.register(model_files())
    with pytest.raises(UnknownVersionError, match="version 7"):
        asyncio.run(Loading(world).loader.load(PROBLEM, key("7")))


def test_a_registry_that_is_gone_is_said_and_asked_again(world: World) -> None:
    version = world.register(model_files())
    loading = Loading(world)
    loading.gate.opened.set()
    aside = world.database.rename(world.database.with_suffix(".aside"))
    with pytest.raises(RegistryUnreachableError):
        asyncio.run(loading.loader.load(PROBLEM, key(version)))
    aside.rename(world.database)
    model = asyncio.run(loading.loader.load(PROBLEM, key(version)))
    assert model.registered.version == version


def test_a_model_is_not_given_to_another_problem(world: World) -> None:
    version = world.register(model_files())
    loading = Loading(world)
    loading.gate.opened.set()
    loading.loader.load_now(PROBLEM, key(version))
    with pytest.raises(ModelRefusedError, match="is of problem 'bitcoin_close'"):
        loading.loader.load_now("ether_close", key(version))
