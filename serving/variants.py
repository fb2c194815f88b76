"""Who answers a request that names neither alias nor version: the champion, or a variant of it.

Here: the variants in force and the choice by caller, on the request path. Not here: how the traffic
settings are read and their models loaded (`model_store`), the hash (`traffic`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serving.deployments import CHAMPION, Chosen, Deployment, Deployments
from serving.traffic import Traffic


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """The traffic settings of a problem with the deployments that can answer under them."""

    traffic: Traffic
    ready: Mapping[str, Deployment]
    """Alias -> who answers under it, without the champion; one that cannot answer is absent."""


class Variants:
    """The plans in force, problem by problem; each is replaced by one assignment."""

    def __init__(self, deployments: Deployments) -> None:
        """Choose among `deployments`' champions and the variants that are put in force."""
        self._deployments = deployments
        self._plans: Mapping[str, TrafficPlan] = {}

    def put(self, problem: str, plan: TrafficPlan | None) -> None:
        """Let a plan take effect, or (None) let the champion answer everything."""
        others = {name: held for name, held in self._plans.items() if name != problem}
        # A new dictionary, so that requests never see one that changes.
        self._plans = others if plan is None else {**others, problem: plan}

    def plan(self, problem: str) -> TrafficPlan | None:
        """The plan in force; None where the champion answers everything."""
        return self._plans.get(problem)

    def choose(self, problem: str, caller: str) -> Chosen:
        """Who answers a caller, and who else computes the answer for the log alone.

        An alias that cannot answer leaves its callers to the champion.

        Raises:
            UnknownNameError: nothing is published under that name.
            NotReadyError: nothing can answer at the moment.
        """
        plan = self._plans.get(problem)
        if plan is None:
            return self._deployments.champion(problem)
        champion = self._deployments.serving(problem)
        alias = plan.traffic.alias_for(problem, caller)
        answers = plan.ready.get(alias, champion)
        shadows = tuple(
            champion if shadow == CHAMPION else plan.ready[shadow]
            for shadow in plan.traffic.shadow
            if shadow != answers.alias and (shadow == CHAMPION or shadow in plan.ready)
        )
        return Chosen(answers, shadows)
