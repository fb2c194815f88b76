"""Follows the traffic settings of each problem: loads the variants and puts them in force.

Here: from the tag of the registered model to a plan, and what is wrong with it. Not here: the
settings' form (`traffic`), the choice by caller (`variants`), the loading (`model_loading`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from serving.deployments import CHAMPION, Deployment, Deployments, Topic
from serving.domain_errors import ModelRefusedError, ServingError
from serving.held_models import ModelKey
from serving.model_loading import ModelLoader, UnknownVersionError
from serving.pairing import Pairing
from serving.registry.reader import RegisteredModel
from serving.traffic import TAG, Traffic, TrafficError
from serving.variants import TrafficPlan, Variants

_LOG = logging.getLogger(__name__)


class TrafficFollower:
    """Puts traffic settings in force; where one cannot be used, the champion answers."""

    def __init__(
        self,
        deployments: Deployments,
        *,
        loader: ModelLoader,
        pairing: Pairing,
        variants: Variants,
    ) -> None:
        """Load and pair variants, and hand the plans to `variants`."""
        self._deployments = deployments
        self._loader = loader
        self._pairing = pairing
        self._variants = variants

    def keys(self, model: RegisteredModel | None) -> set[ModelKey]:
        """What must be held for the variants of a registered model."""
        traffic = None if model is None else _readable(model)
        if model is None or traffic is None:
            return set()
        return {ModelKey(model.name, model.aliases[a]) for a in _variants(traffic, model)}

    def follow(self, problem: str, model: RegisteredModel | None) -> None:
        """Put the settings in force that the registry has just told.

        Raises:
            RegistryUnreachableError: a variant must be loaded, and its files cannot be had.
        """
        text = None if model is None else model.tags.get(TAG)
        if model is None or text is None:
            self._variants.put(problem, None)
            self._deployments.complain(problem, Topic.TRAFFIC, None)
            return
        try:
            traffic = Traffic.parse(text)
        except TrafficError as error:
            self._variants.put(problem, None)
            self._complain(problem, [f"the tag {TAG} of {model.name} cannot be used: {error}"])
            return
        faults = [
            f"alias {alias} points to no version of {model.name}; set the alias or change {TAG}"
            for alias in traffic.aliases
            if alias != CHAMPION and alias not in model.aliases
        ]
        ready: dict[str, Deployment] = {}
        for alias in _variants(traffic, model):
            found = self._deployment(problem, ModelKey(model.name, model.aliases[alias]), alias)
            if isinstance(found, str):
                faults.append(f"alias {alias} cannot answer: {found}")
            else:
                ready[alias] = found
        self._variants.put(problem, TrafficPlan(traffic, ready))
        self._complain(problem, faults)

    def _deployment(self, problem: str, key: ModelKey, alias: str) -> Deployment | str:
        """Who answers under an alias, or why nobody does."""
        try:
            return self._pairing.pair(problem, self._loader.load_now(problem, key), alias)
        except (ModelRefusedError, UnknownVersionError, ServingError) as error:
            return str(error)

    def _complain(self, problem: str, faults: list[str]) -> None:
        message = f"{'; '.join(faults)}; the champion answers in its place" if faults else None
        if self._deployments.complain(problem, Topic.TRAFFIC, message) and message:
            _LOG.warning("%s: %s", problem, message)


def _readable(model: RegisteredModel) -> Traffic | None:
    try:
        return Traffic.parse(model.tags[TAG]) if TAG in model.tags else None
    except TrafficError:
        # `follow` says so.
        return None


def _variants(traffic: Traffic, model: RegisteredModel) -> Iterator[str]:
    return (a for a in traffic.aliases if a != CHAMPION and a in model.aliases)
