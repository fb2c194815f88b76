"""HTTP of forecasts as they were made: routes, parameters; nothing else."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from serving.dependencies import AppParts, Parts, ProblemPath
from serving.errors import problem_responses
from serving.paging import page_size
from serving.past_forecasts import service
from serving.past_forecasts.schemas import (
    ChampionPage,
    ChampionQuery,
    DemoChampionQuery,
    ForecastPage,
    HistoryQuery,
)
from serving.plain_queries import PLAIN_QUERY
from serving.published_reading import answer, newest_snapshot

router = APIRouter(tags=["past forecasts"], dependencies=[PLAIN_QUERY])

_ERRORS: Final[dict[int | str, dict[str, Any]]] = problem_responses(404, 422, 503)


@router.get(
    "/v1/forecasts/{problem}/history",
    summary="Forecasts as they were made",
    response_model=ForecastPage,
    responses=_ERRORS,
)
async def history(
    problem: ProblemPath, parts: AppParts, query: Annotated[HistoryQuery, Query()]
) -> Response:
    """The pipeline's forecasts with origin in [from, to), never rewritten since.

    Published are the champions of their time and each candidate's newest version, of at most 90
    days and 200,000 rows, the newest origins.
    """
    snapshot = newest_snapshot(parts.deployments, problem)
    size = page_size(query.limit, parts.settings.api_max_rows)
    page = await asyncio.to_thread(service.history, snapshot, query, size=size)
    return await asyncio.to_thread(answer, snapshot, parts.clock(), **page)


@router.get(
    "/v1/forecasts/{problem}/champion",
    summary="Each origin's champion, stitched",
    response_model=ChampionPage,
    responses=_ERRORS,
)
async def champion(
    problem: ProblemPath, parts: AppParts, query: Annotated[ChampionQuery, Query()]
) -> Response:
    """What the champion of each origin in [from, to) said, beside what came true.

    Whoever held the alias at an origin speaks for it, so that the rows show what a caller was told
    at the time; each names its version and candidate.
    """
    return await _stitched(parts, problem, query)


@router.get(
    "/predict-champion",
    summary="Each origin's champion, stitched (the demo's address)",
    response_model=ChampionPage,
    responses=_ERRORS,
)
async def predict_champion(
    parts: AppParts, query: Annotated[DemoChampionQuery, Query()]
) -> Response:
    """The same as /v1/forecasts/{problem}/champion."""
    return await _stitched(parts, query.problem, query)


async def _stitched(parts: Parts, problem: str, query: ChampionQuery) -> Response:
    snapshot = newest_snapshot(parts.deployments, problem)
    size = page_size(query.limit, parts.settings.api_max_rows)
    page = await asyncio.to_thread(service.stitched, snapshot, query, size=size)
    return await asyncio.to_thread(answer, snapshot, parts.clock(), **page)
