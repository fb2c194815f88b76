"""HTTP of the endpoints that list problems and series; nothing else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from serving.dependencies import AppParts, ProblemPath
from serving.errors import problem_responses
from serving.paging import page_size
from serving.plain_queries import PLAIN_QUERY
from serving.problems import service
from serving.problems.schemas import ProblemList, SeriesPage
from serving.published_reading import PageQuery, answer, newest_snapshot

router = APIRouter(prefix="/v1", tags=["problems"], dependencies=[PLAIN_QUERY])


@router.get("/problems", summary="The published problems")
async def problems(parts: AppParts) -> ProblemList:
    """Every problem with unit, frequency, horizon and how fresh it is.

    A problem whose snapshot was refused is not listed; /health says why.
    """
    return service.list_problems(parts.deployments, parts.clock())


@router.get(
    "/problems/{problem}/series",
    summary="The series of a problem",
    response_model=SeriesPage,
    responses=problem_responses(404, 422, 503),
)
async def series(
    problem: ProblemPath, parts: AppParts, query: Annotated[PageQuery, Query()]
) -> Response:
    """Names and labels of the series, ascending by name, in pages."""
    snapshot = newest_snapshot(parts.deployments, problem)
    size = page_size(query.limit, parts.settings.api_max_rows)
    return answer(
        snapshot, parts.clock(), **service.series_page(snapshot, after=query.after, size=size)
    )
