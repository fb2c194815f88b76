"""Verified models of many problems and versions: looks at the registry, loads what is asked for.

Here: the look itself, what it last saw, and the versions that requests name. Not here: how the
registry is asked (`registry`), the champion (`champion_following`), traffic settings
(`traffic_following`), single flight (`model_loading`), memory (`held_models`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from serving.champion_following import ChampionFollower
from serving.deployments import CHAMPION, Deployment, Deployments
from serving.domain_errors import (
    ModelRefusedError,
    NotReadyError,
    RegistryUnreachableError,
    UnknownNameError,
    UnusableInputError,
)
from serving.held_models import HeldModels, ModelKey
from serving.model_cache import ModelCache
from serving.model_loading import ModelLoader, UnknownVersionError
from serving.pairing import Pairing
from serving.polling import Retries
from serving.registry.reader import RegisteredModel, Registry, VersionDescription
from serving.served_model import ServedModel
from serving.traffic_following import TrafficFollower
from serving.variants import Variants

_LOG = logging.getLogger(__name__)

_SHOWN: Final = 10
"""Known names that an error lists."""


class ModelStore:
    """The models of every published problem; see the module."""

    def __init__(
        self,
        registry: Registry,
        deployments: Deployments,
        *,
        retries: Retries,
        memory_bytes: int = 512_000_000,
        poll_seconds: float = 2.0,
        cache: ModelCache | None = None,
        max_model_bytes: int = 512_000_000,
        look_first: Callable[[], None] | None = None,
    ) -> None:
        """Follow `registry` on behalf of `deployments`.

        Args:
            registry: where versions are.
            deployments: where the champions go.
            retries: when a refused version is tried again.
            memory_bytes: for models that are held, as `held_models.charge` counts.
            poll_seconds: age at which a list of versions is asked for again.
            cache: keeps the last good champions on disk; None: nothing is kept.
            max_model_bytes: a larger model file on disk is refused.
            look_first: looks at the snapshots, before `look_now` looks at the registry.
        """
        self.held = HeldModels(memory_bytes)
        self.variants = Variants(deployments)
        self._registry = registry
        self._deployments = deployments
        self._poll_seconds = poll_seconds
        self._max_model_bytes = max_model_bytes
        self._look_first = look_first
        self._loader = ModelLoader(registry, self.held)
        self._pairing = Pairing(deployments, self.held)
        self._champions = ChampionFollower(
            registry,
            deployments,
            held=self.held,
            loader=self._loader,
            retries=retries,
            cache=cache,
        )
        self._traffic = TrafficFollower(
            deployments, loader=self._loader, pairing=self._pairing, variants=self.variants
        )
        self._looks_left = self._looks = retries.looks
        self._looking = threading.Lock()
        self._seen: dict[str, RegisteredModel | None] = {}
        self._listed: dict[str, tuple[float, list[VersionDescription]]] = {}
        self._listing = asyncio.Lock()

    def restore(self) -> None:
        """Offer the champions that were kept on disk, before the registry is asked."""
        for problem, model in self._champions.restore(max_model_bytes=self._max_model_bytes):
            self._seen[problem] = model

    def poll(self) -> None:
        """Look once at aliases, tags and champion of every problem that has a snapshot."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        self._looks_left -= 1
        if self._looks_left <= 0:
            self._looks_left = self._looks
            self._loader.forget_refusals()
        try:
            for problem in self._deployments.problems:
                self._follow(problem)
        except RegistryUnreachableError as error:
            if self._deployments.registry_complains(
                f"the model registry does not answer ({error}); the last models keep serving; "
                "bring it back or correct MLOPS_MLFLOW_TRACKING_URI"
            ):
                _LOG.warning("the model registry does not answer", exc_info=error)
        else:
            self._deployments.registry_complains(None)

    def _follow(self, problem: str) -> None:
        snapshot = self._deployments.newest_snapshot(problem)
        if snapshot is None:
            return
        name = snapshot.manifest.registered_model
        model = self._registry.model(name)
        self._seen[problem] = model
        self._pin(problem, model)
        self._champions.follow(problem, name, model)
        self._traffic.follow(problem, model)
        # Once more: a champion that has lost the alias need not be held any longer.
        self._pin(problem, model)

    def _pin(self, problem: str, model: RegisteredModel | None) -> None:
        champion = self._champions.keys(problem, model)
        self.held.pin(problem, champion | self._traffic.keys(model))

    async def look_now(self, problem: str | None = None) -> None:
        """Look at snapshots and registry at once, also at what was refused lately.

        Args:
            problem: whose refused version is tried again; None: every problem's.
        """
        for name in (problem,) if problem is not None else self._deployments.problems:
            self._champions.look_again(name)
        self._loader.forget_refusals()
        self._listed.clear()
        await asyncio.to_thread(self._look_at_everything)

    def _look_at_everything(self) -> None:
        if self._look_first is not None:
            self._look_first()
        self.poll()

    def registry(self, problem: str) -> RegisteredModel | None:
        """The registered model as the last look, or the disk, has it; None before any."""
        return self._seen.get(problem)

    async def versions(self, problem: str) -> list[VersionDescription]:
        """Every version, newest first; up to `poll_seconds` old, older while the registry is down.

        Raises:
            UnknownNameError: nothing is published under that name.
            NotReadyError: the registry does not answer, and never has.
        """
        name = self._name(problem)
        async with self._listing:
            asked, listed = self._listed.get(problem, (None, []))
            now = time.monotonic()
            if asked is not None and now - asked < self._poll_seconds:
                return listed
            try:
                listed = await asyncio.to_thread(self._registry.versions, name)
            except RegistryUnreachableError as error:
                if asked is None:
                    raise _no_registry(error) from error
            self._listed[problem] = (now, listed)
            return listed

    async def load(self, problem: str, version: str) -> ServedModel:
        """A version of a problem's model, held or loaded.

        Raises:
            UnknownNameError: nothing is published under that name, or there is no such version.
            UnusableInputError: the version is refused; says why.
            NotReadyError: it must be loaded, and the registry does not answer.
        """
        key = ModelKey(self._name(problem), version)
        try:
            return await self._loader.load(problem, key)
        except UnknownVersionError as error:
            known = [v.version for v in (await self.versions(problem))[:_SHOWN]]
            raise UnknownNameError(
                value=f"version {version[:60]}",
                rule=f"it must be registered for {key.name}",
                remedy="ask for one of the known versions, or for none to have the champion",
                known=known,
            ) from error
        except ModelRefusedError as error:
            raise UnusableInputError(
                value=f"version {version} of {key.name}",
                rule=f"a refused model does not answer: {error}",
                remedy="ask for another version, or for none to have the champion",
            ) from error
        except RegistryUnreachableError as error:
            raise _no_registry(error) from error

    async def deployment(
        self, problem: str, *, alias: str | None = None, version: str | None = None
    ) -> Deployment:
        """Who answers under an alias or a version; one of them is given.

        Raises:
            UnknownNameError: nothing is published or registered under that name.
            UnusableInputError: the version is refused, or no snapshot feeds it; says why.
            NotReadyError: nothing can answer at the moment.
        """
        if alias == CHAMPION:
            return self._deployments.serving(problem)
        number = self._number(problem, alias) if version is None else version
        key = ModelKey(self._name(problem), number)
        if (known := self._pairing.known(problem, key, alias)) is not None:
            return known
        model = await self.load(problem, number)
        return await asyncio.to_thread(self._pairing.pair, problem, model, alias)

    def _number(self, problem: str, alias: str | None) -> str:
        name = self._name(problem)
        model = self._seen.get(problem)
        if model is None:
            raise NotReadyError(
                value=f"alias {alias}",
                rule=f"the registry has told nothing of {name} yet",
                remedy="ask again in a few seconds",
            )
        if alias is None or alias not in model.aliases:
            raise UnknownNameError(
                value=f"alias {(alias or '')[:60]}",
                rule=f"it must point to a version of {name}",
                remedy="ask for a known alias, or for none to have the champion",
                known=sorted(model.aliases)[:_SHOWN],
            )
        return model.aliases[alias]

    def _name(self, problem: str) -> str:
        """The registered model of a problem."""
        snapshots = self._deployments.snapshots(problem)
        if not snapshots:
            return self._deployments.serving(problem).model.registered.name
        return snapshots[-1].manifest.registered_model


def _no_registry(error: RegistryUnreachableError) -> NotReadyError:
    return NotReadyError(
        value="the model registry",
        rule=f"it must answer ({error}) for a version that is not held",
        remedy="ask for the champion, which goes on answering, or ask again later",
    )
