"""HTTP of the evidence: routes, parameters; nothing else."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response

from serving.dependencies import AppParts, ProblemPath
from serving.errors import problem_responses
from serving.evidence import service
from serving.evidence.schemas import (
    DriftAnswer,
    LeaderboardAnswer,
    LiveScorePage,
    LiveScoreQuery,
    ReplayAnswer,
    ReplayList,
    VariantTable,
    VerdictPage,
)
from serving.paging import page_size
from serving.plain_queries import PLAIN_QUERY
from serving.published_reading import PageQuery, answer, newest_snapshot

router = APIRouter(prefix="/v1", tags=["evidence"], dependencies=[PLAIN_QUERY])

_ERRORS: Final[dict[int | str, dict[str, Any]]] = problem_responses(404, 422, 503)

ReplayPath = Annotated[
    str, Path(max_length=200, description="id of a published replay", examples=["spring"])
]


@router.get(
    "/leaderboard/{problem}",
    summary="The candidates in the backtest",
    response_model=LeaderboardAnswer,
    responses=_ERRORS,
)
async def leaderboard(problem: ProblemPath, parts: AppParts) -> Response:
    """Scores of every candidate on the same rows, best first by the problem's loss."""
    snapshot = newest_snapshot(parts.deployments, problem)
    return answer(snapshot, parts.clock(), **service.leaderboard(snapshot))


@router.get(
    "/verdicts/{problem}",
    summary="The gate's verdicts",
    response_model=VerdictPage,
    responses=_ERRORS,
)
async def verdicts(
    problem: ProblemPath, parts: AppParts, query: Annotated[PageQuery, Query()]
) -> Response:
    """Who took the alias when and why, the newest first, with every test's figures.

    At most 200 verdicts are published.
    """
    snapshot = newest_snapshot(parts.deployments, problem)
    size = page_size(query.limit, parts.settings.api_max_rows)
    page = service.verdicts(snapshot, after=query.after, size=size)
    return answer(snapshot, parts.clock(), **page)


@router.get(
    "/live-scores/{problem}",
    summary="Forecasts that came true, by day",
    response_model=LiveScorePage,
    responses=_ERRORS,
)
async def live_scores(
    problem: ProblemPath, parts: AppParts, query: Annotated[LiveScoreQuery, Query()]
) -> Response:
    """Errors and coverage of each version by day in [from, to), beside the last value's errors."""
    snapshot = newest_snapshot(parts.deployments, problem)
    size = page_size(query.limit, parts.settings.api_max_rows)
    page = await asyncio.to_thread(service.live_scores, snapshot, query, size=size)
    return await asyncio.to_thread(answer, snapshot, parts.clock(), **page)


@router.get(
    "/drift/{problem}",
    summary="Drift of inputs and errors",
    response_model=DriftAnswer,
    responses=_ERRORS,
)
async def drift(problem: ProblemPath, parts: AppParts) -> Response:
    """The newest drift report by column, and the earlier ones in short."""
    snapshot = newest_snapshot(parts.deployments, problem)
    return answer(snapshot, parts.clock(), **service.drift(snapshot))


@router.get(
    "/replays/{problem}",
    summary="Replays on a past clock",
    response_model=ReplayList,
    responses=_ERRORS,
)
async def replays(problem: ProblemPath, parts: AppParts) -> Response:
    """Which spans were replayed with the live code, by id."""
    snapshot = newest_snapshot(parts.deployments, problem)
    return answer(snapshot, parts.clock(), **service.replays(snapshot))


@router.get(
    "/replays/{problem}/{replay}",
    summary="One replay, step by step",
    response_model=ReplayAnswer,
    responses=_ERRORS,
)
async def replay(problem: ProblemPath, replay: ReplayPath, parts: AppParts) -> Response:
    """What each origin of a replay came to: why it trained, the verdict, who held the alias."""
    snapshot = newest_snapshot(parts.deployments, problem)
    return answer(snapshot, parts.clock(), **service.replay(snapshot, replay))


@router.get(
    "/answers/{problem}",
    summary="The service's answers that came true, by variant",
    response_model=VariantTable,
    responses=_ERRORS,
)
async def answers(problem: ProblemPath, parts: AppParts) -> Response:
    """Live accuracy of each variant that answered, shadows included, side by side."""
    snapshot = newest_snapshot(parts.deployments, problem)
    return answer(snapshot, parts.clock(), **service.answers(snapshot))
