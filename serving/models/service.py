"""Registered models and the served one, described; pure functions of what was read.

Not here: who asks the registry (`registry_questions`, `router`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from serving.deployments import Deployment
from serving.models.schemas import (
    ProblemModel,
    ServedModelAnswer,
    VersionSummary,
    VersionVerdict,
)
from serving.registry.reader import VersionDescription


def served_model(deployment: Deployment, *, now: datetime) -> ServedModelAnswer:
    """Card, version, alias and verdict of the model that takes the traffic."""
    card, registered = deployment.model.card, deployment.model.registered
    snapshot = deployment.snapshot
    return ServedModelAnswer(
        problem=card.problem,
        model_name=registered.name,
        version=registered.version,
        alias=deployment.alias,
        candidate=card.candidate,
        refit_at=card.refit_at,
        refit_age_seconds=(now - card.refit_at).total_seconds(),
        snapshot_id=snapshot.manifest.snapshot_id,
        verdict=None if snapshot.verdict is None else dict(snapshot.verdict),
        card=card,
    )


def problem_model(
    problem: str,
    deployment: Deployment | None,
    *,
    model_name: str | None,
    aliases: Mapping[str, str],
) -> ProblemModel:
    """A problem in the list of all."""
    return ProblemModel(
        problem=problem,
        model_name=model_name,
        ready=deployment is not None,
        version=None if deployment is None else deployment.model.registered.version,
        candidate=None if deployment is None else deployment.model.card.candidate,
        aliases=dict(aliases),
    )


def describe_version(
    version: VersionDescription, *, aliases: Mapping[str, str], loaded: Collection[str]
) -> VersionSummary:
    """What the registry says of a version.

    Args:
        version: with its tags.
        aliases: alias -> version, of the registered model.
        loaded: versions that are held ready.
    """
    tags = version.tags
    return VersionSummary(
        version=version.version,
        candidate=tags.get("candidate"),
        recipe_id=tags.get("recipe_id"),
        as_of=tags.get("as_of"),
        created_at=version.created_at,
        run_id=version.run_id,
        data_version=tags.get("data_version"),
        aliases=sorted(alias for alias, number in aliases.items() if number == version.version),
        verdict=_verdict(tags),
        rolled_back_as_of=tags.get("rolled_back_as_of"),
        loaded=version.version in loaded,
    )


def page_of(
    versions: list[VersionDescription], *, after: int | None, limit: int
) -> tuple[list[VersionDescription], str | None]:
    """The versions below `after`, newest first, at most `limit`; and where the next page begins."""
    below = [v for v in versions if after is None or int(v.version) < after]
    page = below[:limit]
    return page, page[-1].version if len(below) > limit else None


def _verdict(tags: Mapping[str, str]) -> VersionVerdict | None:
    if "verdict" not in tags:
        return None
    return VersionVerdict(
        decision=tags["verdict"],
        as_of=tags.get("verdict_as_of", ""),
        reasons=tags.get("verdict_reasons", "").split("\n"),
        by=tags.get("verdict_by"),
    )
