"""HTTP of the observed values: route, parameters; nothing else."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from serving.dependencies import AppParts, ProblemPath
from serving.errors import problem_responses
from serving.observations import service
from serving.observations.schemas import ObservationPage, ObservationQuery
from serving.paging import page_size
from serving.plain_queries import PLAIN_QUERY
from serving.published_reading import answer, newest_snapshot

router = APIRouter(prefix="/v1", tags=["observations"], dependencies=[PLAIN_QUERY])


@router.get(
    "/observations/{problem}",
    summary="Observed values, for charts",
    response_model=ObservationPage,
    responses=problem_responses(404, 422, 503),
)
async def observations(
    problem: ProblemPath, parts: AppParts, query: Annotated[ObservationQuery, Query()]
) -> Response:
    """Candles or values with valid time in [from, to), ascending by (series, valid_time).

    The newest 90 days are published, as they are known now: a corrected value takes the place of
    the one that was known first.
    """
    snapshot = newest_snapshot(parts.deployments, problem)
    size = page_size(query.limit, parts.settings.api_max_rows)
    page = await asyncio.to_thread(service.observations, snapshot, query, size=size)
    return await asyncio.to_thread(answer, snapshot, parts.clock(), **page)
