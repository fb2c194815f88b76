"""HTTP of the model endpoints: routes, parameters, headers; nothing else."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response

from serving.dependencies import AppParts, Parts, ProblemPath
from serving.deployments import CHAMPION, Deployment, misfit
from serving.domain_errors import UnusableInputError
from serving.errors import problem_responses
from serving.models import service
from serving.models.registry_questions import ask, ask_model, registered_name, version_of
from serving.models.schemas import (
    AliasesAnswer,
    ModelsAnswer,
    ServedModelAnswer,
    VersionAnswer,
    VersionsAnswer,
)
from serving.plain_queries import PLAIN_QUERY
from serving.provenance import set_headers

router = APIRouter(tags=["models"], dependencies=[PLAIN_QUERY])

_DEFAULT_LIMIT: Final = 20
_MOST_VERSIONS: Final = 200

VersionPath = Annotated[
    str, Path(max_length=20, description="a version in the registry", examples=["1"])
]
AliasQuery = Annotated[
    str | None,
    Query(max_length=255, description="the version of this alias; default: the champion"),
]
VersionQuery = Annotated[
    str | None, Query(max_length=20, description="this version, instead of an alias")
]


@router.get("/v1/models", summary="Every published problem and its registered model")
async def models(parts: AppParts) -> ModelsAnswer:
    """Which version answers for each problem, and where the aliases point.

    Aliases are as of the service's last look at the registry; `/v1/models/{problem}/aliases` asks
    it again.
    """
    answers = []
    for problem in parts.deployments.problems:
        snapshot = parts.deployments.newest_snapshot(problem)
        model = parts.models.registry(problem)
        answers.append(
            service.problem_model(
                problem,
                parts.deployments.deployed(problem),
                model_name=None if snapshot is None else snapshot.manifest.registered_model,
                aliases={} if model is None else model.aliases,
            )
        )
    return ModelsAnswer(models=answers)


@router.get(
    "/v1/models/{problem}",
    summary="The served model and the verdict behind it",
    responses=problem_responses(404, 422, 503),
)
async def served_model(
    problem: ProblemPath,
    parts: AppParts,
    response: Response,
    alias: AliasQuery = None,
    version: VersionQuery = None,
) -> ServedModelAnswer:
    """A model's card (features with units, training data, versions) and the gate's verdict."""
    deployment = await _deployment(parts, problem, alias=alias, version=version)
    set_headers(response, deployment)
    return service.served_model(deployment, now=parts.clock())


@router.get(
    "/models/{problem}",
    summary="As /v1/models/{problem}, of the champion",
    tags=["short addresses"],
    responses=problem_responses(404, 422, 503),
)
async def champion_model(
    problem: ProblemPath, parts: AppParts, response: Response
) -> ServedModelAnswer:
    """The champion's card (features with units, training data, versions) and the gate's verdict."""
    deployment = await _deployment(parts, problem, alias=None, version=None)
    set_headers(response, deployment)
    return service.served_model(deployment, now=parts.clock())


@router.get(
    "/v1/models/{problem}/aliases",
    summary="Where the aliases point",
    responses=problem_responses(404, 422, 503),
)
async def aliases(problem: ProblemPath, parts: AppParts) -> AliasesAnswer:
    """Every alias of the registered model with its version, asked of the registry now."""
    name = registered_name(parts.deployments, problem)
    model = await ask_model(parts.registry, name)
    return AliasesAnswer(problem=problem, model_name=name, aliases=dict(model.aliases))


@router.get(
    "/v1/models/{problem}/versions",
    summary="The versions of a registered model, newest first",
    responses=problem_responses(404, 422, 503),
)
async def versions(
    problem: ProblemPath,
    parts: AppParts,
    limit: Annotated[
        int, Query(ge=1, le=_MOST_VERSIONS, description="versions on a page")
    ] = _DEFAULT_LIMIT,
    after: Annotated[
        int | None,
        Query(ge=1, le=10**9, description="`next` of the page before; default: the newest"),
    ] = None,
) -> VersionsAnswer:
    """Each version with its recipe, its aliases and the newest verdict about it."""
    name = registered_name(parts.deployments, problem)
    model = await ask_model(parts.registry, name)
    page, following = service.page_of(
        await ask(parts.registry.versions, name), after=after, limit=limit
    )
    loaded = _loaded(parts, name)
    return VersionsAnswer(
        problem=problem,
        model_name=name,
        versions=[
            service.describe_version(found, aliases=model.aliases, loaded=loaded) for found in page
        ],
        next=following,
    )


@router.get(
    "/v1/models/{problem}/versions/{version}",
    summary="One version: card, tags, verdict",
    responses=problem_responses(404, 422, 503),
)
async def version_of_model(
    problem: ProblemPath, version: VersionPath, parts: AppParts
) -> VersionAnswer:
    """A version as the registry knows it, with its card where its files pass every check.

    A version that is refused, or that the newest snapshot cannot feed, says why.
    """
    name = registered_name(parts.deployments, problem)
    model = await ask_model(parts.registry, name)
    found = version_of(await ask(parts.registry.versions, name), version)
    card, refusal, unfed = None, None, None
    try:
        card = (await parts.models.load(problem, found.version)).card
    except UnusableInputError as error:
        refusal = error.rule
    else:
        snapshot = parts.deployments.newest_snapshot(problem)
        unfed = None if snapshot is None else misfit(card, snapshot)
    described = service.describe_version(found, aliases=model.aliases, loaded=_loaded(parts, name))
    return VersionAnswer(
        **described.model_dump(),
        problem=problem,
        model_name=name,
        tags=dict(found.tags),
        card=card,
        refusal=refusal,
        misfit=unfed,
    )


def _loaded(parts: Parts, name: str) -> set[str]:
    """The versions of a registered model that are held ready."""
    return {key.version for key in parts.models.held.keys if key.name == name}


async def _deployment(
    parts: Parts, problem: str, *, alias: str | None, version: str | None
) -> Deployment:
    """Who answers under an alias or a version; the champion where neither is named."""
    if alias is None and version is None:
        alias = CHAMPION
    return (await parts.choose(problem, alias=alias, version=version)).deployment
