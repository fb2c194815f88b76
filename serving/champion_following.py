"""Follows the champion of each problem, and keeps the last good one on disk.

Here: when a version is loaded, refused and kept. Not here: the loading (`model_loading`), the swap
(`deployments`), what lies on disk (`model_cache`), and when is looked (`model_store`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from serving.atomic_files import CacheError
from serving.deployments import CHAMPION, Deployments, Topic
from serving.domain_errors import ModelRefusedError
from serving.held_models import HeldModels, ModelKey, charge
from serving.model_cache import ModelCache
from serving.model_files import ModelFiles, load_model
from serving.model_loading import ModelLoader
from serving.polling import Retries
from serving.registry.reader import RegisteredModel, Registry
from serving.served_model import RegisteredVersion

_LOG = logging.getLogger(__name__)


class ChampionFollower:
    """Offers each problem's champion; a refused version leaves the last one serving."""

    def __init__(
        self,
        registry: Registry,
        deployments: Deployments,
        *,
        held: HeldModels,
        loader: ModelLoader,
        retries: Retries,
        cache: ModelCache | None,
    ) -> None:
        """Follow `registry` on behalf of `deployments`; without a cache nothing is kept on disk."""
        self._registry = registry
        self._deployments = deployments
        self._held = held
        self._loader = loader
        self._retries = retries
        self._cache = cache
        self._cache_retries = Retries(retries.looks)
        self._kept: dict[str, tuple[RegisteredVersion, RegisteredModel]] = {}

    def restore(self, *, max_model_bytes: int) -> Iterator[tuple[str, RegisteredModel]]:
        """Offer the champions that were kept on disk; yields each problem with what was known."""
        if self._cache is None:
            return
        for problem in self._cache.problems:
            try:
                found = self._cache.read(problem, max_model_bytes=max_model_bytes)
                model = load_model(found.files, found.registered, problem=problem)
            except ModelRefusedError as error:
                message = f"the champion that was kept on disk is refused: {error}"
                _LOG.warning("%s: %s", problem, message)
                self._deployments.model_refused(problem, error.reason, message)
                continue
            key = _key(found.registered)
            self._held.pin(problem, {key})
            self._held.put(key, model, memory_bytes=charge(len(found.files.model)))
            self._deployments.offer_model(
                problem,
                model,
                complaint=f"version {key.version} of {key.name} was kept on disk, the registry has "
                "not confirmed it yet; bring it back or correct MLOPS_MLFLOW_TRACKING_URI if this "
                "stays",
            )
            yield problem, found.model

    def follow(self, problem: str, name: str, model: RegisteredModel | None) -> None:
        """Serve the version that the alias points to, as the registry has just described it.

        Raises:
            RegistryUnreachableError: the registry or the store of the files does not answer.
        """
        number = None if model is None else model.aliases.get(CHAMPION)
        version = None if number is None else self._registry.version(name, number)
        if model is None or version is None:
            self._deployments.model_settled(
                problem,
                f"no version of {name} has the alias {CHAMPION}; materialise `champion`",
            )
            return
        newest = self._deployments.newest_model(problem)
        if newest is not None and newest.registered == version:
            self._retries.forget(problem)
            self._deployments.model_settled(problem)
            self._keep(problem, version, model, None)
        elif not self._retries.must_wait(problem, version):
            self._load(problem, version, model)

    def keys(self, problem: str, model: RegisteredModel | None) -> set[ModelKey]:
        """What must be held for the champion: the one in service and the one that is to come."""
        deployment = self._deployments.deployed(problem)
        keys = set() if deployment is None else {_key(deployment.model.registered)}
        if model is not None and CHAMPION in model.aliases:
            keys.add(ModelKey(model.name, model.aliases[CHAMPION]))
        return keys

    def look_again(self, problem: str) -> None:
        """Try a refused version again at the next look."""
        self._retries.forget(problem)

    def _load(self, problem: str, version: RegisteredVersion, model: RegisteredModel) -> None:
        try:
            loaded = self._loader.load_described(problem, version)
        except ModelRefusedError as error:
            _LOG.warning("version %s of %s is refused: %s", version.version, version.name, error)
            self._retries.refused(problem, version)
            self._deployments.model_refused(
                problem,
                error.reason,
                f"version {version.version} of {version.name} is refused: {error}",
            )
        else:
            self._deployments.offer_model(problem, loaded.model)
            self._keep(problem, version, model, loaded.files)

    def _keep(
        self,
        problem: str,
        version: RegisteredVersion,
        model: RegisteredModel,
        files: ModelFiles | None,
    ) -> None:
        """Keep a champion on disk once it is in service, so that what is kept can serve."""
        deployment = self._deployments.deployed(problem)
        state = (version, model)
        if (
            self._cache is None
            or deployment is None
            or deployment.model.registered != version
            or self._kept.get(problem) == state
            or self._cache_retries.must_wait(problem, state)
        ):
            return
        try:
            if files is None and not self._cache.holds(problem, version):
                files = self._registry.files(version)
            self._cache.write(problem, version, model, files)
        except (CacheError, ModelRefusedError) as error:
            self._cache_retries.refused(problem, state)
            message = (
                f"the champion cannot be kept on disk ({error}); answers go on, but a start "
                "without the registry would have none; free the disk or correct MLOPS_API_CACHE"
            )
            if self._deployments.complain(problem, Topic.MODEL_CACHE, message):
                _LOG.warning("%s", message)
        else:
            self._kept[problem] = state
            self._deployments.complain(problem, Topic.MODEL_CACHE, None)


def _key(version: RegisteredVersion) -> ModelKey:
    return ModelKey(version.name, version.version)
