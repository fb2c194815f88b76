"""Traffic settings and what is served, as answers; and the change of settings.

Here: pure functions of the registered model and the deployments. Not here: the settings' own rules
(`traffic`), roll backs (`rollback`), who writes (`registry.writer`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.administration.schemas import ServedPair, TrafficAnswer, TrafficRequest
from serving.deployments import CHAMPION, Deployments
from serving.domain_errors import UnusableInputError
from serving.registry.reader import RegisteredModel
from serving.registry.writer import RegistryChange
from serving.traffic import TAG, Traffic, TrafficError


def describe_traffic(problem: str, model: RegisteredModel) -> TrafficAnswer:
    """The settings that the registry holds; the champion alone where it holds none."""
    text = model.tags.get(TAG)
    traffic, fault = Traffic.of({CHAMPION: 1.0}), None
    if text is not None:
        try:
            traffic = Traffic.parse(text)
        except TrafficError as error:
            fault = str(error)
    return TrafficAnswer(
        problem=problem,
        model_name=model.name,
        weights=dict(traffic.weights),
        shadow=list(traffic.shadow),
        configured=text is not None,
        fault=fault,
        aliases=dict(model.aliases),
    )


def plan_traffic(asked: TrafficRequest, model: RegisteredModel) -> RegistryChange:
    """The change that puts settings into force.

    Raises:
        UnusableInputError: the weights do not sum to 1, or an alias points to nothing.
    """
    try:
        traffic = Traffic.of(asked.weights, asked.shadow)
    except TrafficError as error:
        raise UnusableInputError(value=error.value, rule=error.rule, remedy=error.remedy) from error
    if unknown := [alias for alias in traffic.aliases if alias not in model.aliases]:
        raise UnusableInputError(
            value=f"alias {', '.join(unknown)}"[:200],
            rule=f"it must be an alias of {model.name}, or its share of the callers has no answer",
            remedy="use known aliases, or set it in the registry first",
            known=sorted(model.aliases),
        )
    return RegistryChange(tags={TAG: traffic.to_json()})


def champion_alone() -> RegistryChange:
    """The change that removes every setting."""
    return RegistryChange(tags={TAG: None})


def served_pairs(deployments: Deployments) -> list[ServedPair]:
    """What answers at the moment, problem by problem."""
    return [_pair(deployments, problem) for problem in deployments.problems]


def _pair(deployments: Deployments, problem: str) -> ServedPair:
    deployment = deployments.deployed(problem)
    return ServedPair(
        problem=problem,
        version=None if deployment is None else deployment.model.registered.version,
        candidate=None if deployment is None else deployment.model.card.candidate,
        snapshot_id=None if deployment is None else deployment.snapshot.manifest.snapshot_id,
        complaints=list(deployments.complaints(problem)),
    )


def differ(before: Sequence[ServedPair], after: Sequence[ServedPair]) -> bool:
    """Whether another model or snapshot took the traffic of any problem."""
    return _identities(before) != _identities(after)


def _identities(pairs: Sequence[ServedPair]) -> Mapping[str, tuple[str | None, str | None]]:
    return {pair.problem: (pair.version, pair.snapshot_id) for pair in pairs}
