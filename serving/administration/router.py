"""HTTP of administration: traffic, rolling back, looking at once; who may is decided before.

Here: routes and the order of reading, checking and writing. Not here: the rules (`service`,
`rollback`, `traffic`), API keys and roles (`access`).
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Body, Request

from serving.administration import rollback, service
from serving.administration.schemas import (
    ROLLBACK_EXAMPLES,
    TRAFFIC_EXAMPLES,
    ReloadAnswer,
    RollbackAnswer,
    RollbackRequest,
    TrafficAnswer,
    TrafficRequest,
)
from serving.dependencies import AppParts, Parts, ProblemPath
from serving.deployments import misfit
from serving.domain_errors import UnusableInputError
from serving.errors import problem_responses
from serving.models.registry_questions import ask, ask_model, registered_name
from serving.registry.reader import RegisteredModel
from serving.registry.writer import RegistryChange

router = APIRouter(tags=["administration"])

_LOOK_SECONDS: Final = 10.0
_REMAINING: Final = (
    "The pipeline's table of verdicts takes this roll back up at its next look, before it decides, "
    "and bars the recipe that lost the alias for the cooldown; until then Dagster's page does not "
    "show it."
)


@router.get(
    "/v1/traffic/{problem}",
    summary="Who answers the callers of a problem",
    responses=problem_responses(404, 422, 503),
)
async def traffic(problem: ProblemPath, parts: AppParts) -> TrafficAnswer:
    """The settings as the registry holds them now; without any the champion answers everybody."""
    model = await ask_model(parts.registry, registered_name(parts.deployments, problem))
    return service.describe_traffic(problem, model)


@router.put(
    "/v1/traffic/{problem}",
    summary="Split the callers between variants, or let one shadow",
    responses=problem_responses(400, 401, 403, 404, 422, 503),
)
async def set_traffic(
    problem: ProblemPath,
    asked: Annotated[TrafficRequest, Body(openapi_examples=TRAFFIC_EXAMPLES)],
    parts: AppParts,
) -> TrafficAnswer:
    """Write the settings to the registry; every worker follows at its next look, without restart.

    An alias that answers must point to a version that can: its files pass every check, and the
    newest snapshot feeds it.
    """
    name = registered_name(parts.deployments, problem)
    model = await ask_model(parts.registry, name)
    change = service.plan_traffic(asked, model)
    for alias in dict.fromkeys((*asked.weights, *asked.shadow)):
        version = model.aliases[alias]
        if (gap := await _gap(parts, problem, version)) is not None:
            raise UnusableInputError(
                value=f"alias {alias}, version {version}",
                rule=f"it must be able to answer: {gap}",
                remedy="point the alias to another version, or leave it out",
            )
    return await _changed(parts, problem, model, change)


@router.delete(
    "/v1/traffic/{problem}",
    summary="Let the champion answer everybody",
    responses=problem_responses(401, 403, 404, 422, 503),
)
async def remove_traffic(problem: ProblemPath, parts: AppParts) -> TrafficAnswer:
    """Remove the settings from the registry; every worker follows at its next look."""
    model = await ask_model(parts.registry, registered_name(parts.deployments, problem))
    if service.describe_traffic(problem, model).configured:
        return await _changed(parts, problem, model, service.champion_alone())
    return service.describe_traffic(problem, model)


@router.post(
    "/v1/rollback/{problem}",
    summary="Take the champion's alias back",
    responses=problem_responses(400, 401, 403, 404, 422, 503),
)
async def roll_back(
    problem: ProblemPath,
    asked: Annotated[RollbackRequest, Body(openapi_examples=ROLLBACK_EXAMPLES)],
    parts: AppParts,
    request: Request,
) -> RollbackAnswer:
    """Give the alias to a version, or to the recipe that held it before, and say why and by whom.

    A version whose files are refused gets no alias. One that the newest snapshot cannot feed gets
    it, and the one before goes on answering until a snapshot does.
    """
    name = registered_name(parts.deployments, problem)
    model = await ask_model(parts.registry, name)
    versions = await ask(parts.registry.versions, name)
    before, now = rollback.choose_target(model, versions, to=asked.version)
    gap = await _gap(parts, problem, now.version)
    as_of = rollback.instant_of(_present(parts, problem), before, versions)
    done = rollback.plan_roll_back(
        before, now, versions, reason=asked.reason, by=_who(request), as_of=as_of
    )
    await ask(parts.registry_writer.apply, name, done.change)
    await _look(parts, problem)
    return RollbackAnswer(
        problem=problem,
        model_name=name,
        before=before.version,
        now=now.version,
        as_of=as_of,
        reasons=list(done.reasons),
        gap=gap,
        remaining=_REMAINING,
    )


@router.post(
    "/v1/admin/reload",
    summary="Look at snapshots and registry now",
    responses=problem_responses(401, 403),
)
async def reload(parts: AppParts) -> ReloadAnswer:
    """Look at once instead of at the next turn, and say what is served before and after.

    What is served stays in service until something that can take its place is loaded and checked:
    no request fails meanwhile. Other workers look at their own next turn.
    """
    before = service.served_pairs(parts.deployments)
    finished = await _look(parts)
    after = service.served_pairs(parts.deployments)
    return ReloadAnswer(
        finished=finished,
        changed=service.differ(before, after),
        before=before,
        after=after,
        complaints=list(parts.deployments.complaints()),
    )


@router.post(
    "/reload",
    summary="As /v1/admin/reload",
    tags=["short addresses"],
    responses=problem_responses(401, 403),
)
async def reload_short(parts: AppParts) -> ReloadAnswer:
    """Look at snapshots and registry now; what is served stays in service meanwhile."""
    return await reload(parts)


async def _changed(
    parts: Parts, problem: str, model: RegisteredModel, change: RegistryChange
) -> TrafficAnswer:
    """Write a change of traffic, and answer with what the registry holds then."""
    await ask(parts.registry_writer.apply, model.name, change)
    await _look(parts, problem)
    return service.describe_traffic(problem, await ask_model(parts.registry, model.name))


async def _gap(parts: Parts, problem: str, version: str) -> str | None:
    """Why the newest snapshot cannot feed a version; None when it can.

    Raises:
        UnusableInputError: its files are refused.
    """
    model = await parts.models.load(problem, version)
    snapshot = parts.deployments.newest_snapshot(problem)
    return None if snapshot is None else misfit(model.card, snapshot)


async def _look(parts: Parts, problem: str | None = None) -> bool:
    """Look at snapshots and registry; False when that goes on in the background."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await parts.models.look_now(problem)
    except TimeoutError:
        return False
    return True


def _present(parts: Parts, problem: str) -> datetime:
    """The problem's present: that of its data where they are files, else the clock's."""
    snapshot = parts.deployments.newest_snapshot(problem)
    if snapshot is not None and snapshot.manifest.data_mode == "files":
        return snapshot.manifest.as_of
    return parts.clock()


def _who(request: Request) -> str:
    name: str = getattr(request.state, "caller", "")
    return f"API key {name}" if name else "a caller without an API key"
