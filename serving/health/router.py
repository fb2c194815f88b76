"""HTTP of health and metrics: routes and status codes; nothing else."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serving.dependencies import AppParts
from serving.errors import problem_responses
from serving.health import service
from serving.health.schemas import Health, Liveness, Readiness

router = APIRouter(tags=["health"])


@router.get("/health", summary="The state of the service")
async def health(parts: AppParts) -> Health:
    """Live, ready, and for each problem the model and snapshot in service; always status 200."""
    return service.health(parts.deployments, stopped=parts.stopped, now=parts.clock())


@router.get(
    "/health/live",
    summary="Whether the process is at work",
    responses={503: {"model": Liveness, "description": "A follower has stopped: restart"}},
)
async def live(parts: AppParts, response: Response) -> Liveness:
    """Status 200, or 503 when a background thread has died and only a restart helps."""
    running = not parts.stopped
    response.status_code = 200 if running else 503
    return Liveness(live=running)


@router.get(
    "/health/ready",
    summary="Whether forecasts can be answered",
    responses=problem_responses(503),
)
async def ready(parts: AppParts) -> Readiness:
    """Status 200 once at least one problem has a champion and inputs; else 503 with the remedy."""
    service.require_ready(parts.deployments)
    return Readiness(ready=True)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(parts: AppParts) -> Response:
    """Counters, histograms and gauges in Prometheus' text format, of all workers together."""
    # Files of the other workers are read, so not on the event loop.
    text = await asyncio.to_thread(parts.metrics.text)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
