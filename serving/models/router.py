"""HTTP of the model endpoints: routes, parameters, headers; nothing else."""

from __future__ import annotations

from fastapi import APIRouter, Response

from serving.dependencies import AppParts, ProblemPath
from serving.errors import problem_responses
from serving.models import service
from serving.models.schemas import ServedModelAnswer
from serving.provenance import set_headers

router = APIRouter(tags=["models"])


@router.get(
    "/models/{problem}",
    summary="The served model and the verdict behind it",
    responses=problem_responses(404, 422, 503),
)
async def served_model(
    problem: ProblemPath, parts: AppParts, response: Response
) -> ServedModelAnswer:
    """The champion's card (features with units, training data, versions) and the gate's verdict."""
    deployment = parts.deployments.serving(problem)
    set_headers(response, deployment)
    return service.served_model(deployment, now=parts.clock())
