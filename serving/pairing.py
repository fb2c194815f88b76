"""Pairs a held model with a snapshot, under the alias or version by which it was asked for.

Here: which snapshot feeds a variant, and the memory of such pairs. Not here: the champion's pair,
which is swapped in for everybody, and what makes a pair unfit (both in `deployments`).
"""

from __future__ import annotations

from serving.deployments import Deployment, Deployments, misfit
from serving.domain_errors import NotReadyError, UnusableInputError
from serving.held_models import HeldModels, ModelKey
from serving.served_model import ServedModel


class Pairing:
    """Deployments of models other than the champion."""

    def __init__(self, deployments: Deployments, held: HeldModels) -> None:
        """Pair models of `held` with the snapshots of `deployments`."""
        self._deployments = deployments
        self._held = held

    def known(self, problem: str, key: ModelKey, alias: str | None) -> Deployment | None:
        """A pair that was made before and whose snapshot is still in use; else None.

        Raises:
            UnknownNameError: nothing is published under that name.
            NotReadyError: nothing is published at all.
        """
        pair = self._held.pair(key, alias)
        if pair is None or pair.model.card.problem != problem:
            return None
        in_use = self._deployments.snapshots(problem)
        return pair if any(pair.snapshot is snapshot for snapshot in in_use) else None

    def pair(self, problem: str, model: ServedModel, alias: str | None) -> Deployment:
        """The model with the snapshot in service, or, if that does not fit, with the newest one.

        Takes milliseconds where there are many series: not for the event loop.

        Raises:
            UnknownNameError: nothing is published under that name.
            NotReadyError: no snapshot of the problem is published.
            UnusableInputError: no snapshot feeds the model; says why.
        """
        key = ModelKey(model.registered.name, model.registered.version)
        known = self.known(problem, key, alias)
        if known is not None and known.model is model:
            return known
        reason: str | None = None
        for snapshot in self._deployments.snapshots(problem):
            reason = misfit(model.card, snapshot)
            if reason is None:
                deployment = Deployment.of(model, snapshot, alias=alias)
                self._held.note_pair(key, deployment)
                return deployment
        if reason is None:
            raise NotReadyError(
                value=f"problem {problem}",
                rule="no snapshot of it is published",
                remedy=f"materialise its assets, for example with `mlops run {problem}`",
            )
        raise UnusableInputError(
            value=f"version {key.version} of {key.name}",
            rule=f"a snapshot must feed it: {reason}",
            remedy="ask for another version, or for none to be answered by the champion",
        )
