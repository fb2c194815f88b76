"""Puts the service together: the only assembly.

Here: which parts exist and how they are connected. Not here: what any of them does.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp

from serving.access.keys import KeyFollower
from serving.access.policy import Access
from serving.administration.router import router as administration_router
from serving.dependencies import Clock, Parts, utc_now
from serving.deployments import Deployments
from serving.documentation.router import describe
from serving.documentation.router import router as documentation_router
from serving.edge import Edge, LayeredApp
from serving.errors import install_error_handlers
from serving.evidence.router import router as evidence_router
from serving.fast_path import FastPath
from serving.forecasts.answering import Answering
from serving.forecasts.operations import ForecastOperations
from serving.health.router import router as health_router
from serving.inference_protocol.router import router as inference_protocol_router
from serving.instrumentation import Metrics, ServedState
from serving.log_database import LogDatabase
from serving.log_metrics import LogMetrics, LogState
from serving.memory import share_arenas
from serving.model_cache import ModelCache
from serving.model_metrics import ModelStoreState
from serving.model_store import ModelStore
from serving.models.router import router as models_router
from serving.observations.router import router as observations_router
from serving.past_forecasts.router import router as past_forecasts_router
from serving.pipeline_state import PipelineState
from serving.polling import Poller, Retries
from serving.prediction_log import PredictionLog
from serving.problems.router import router as problems_router
from serving.registry.address import connect
from serving.registry.reader import Registry
from serving.registry.writer import RegistryWriter
from serving.settings import ServingSettings, load_serving_settings
from serving.snapshot_cache import SnapshotCache
from serving.snapshots import SnapshotFollower
from serving.storage import PublishedStorage

_MEGA: Final = 1_000_000
_KILO: Final = 1_000
_FIRST_LOOK_SECONDS: Final = 5.0
"""No request is taken before the last good models are loaded from the disk, or this time is up."""
_SWITCH_SECONDS: Final = 0.0005
"""A thread in the background hands over to a waiting request after this time, not Python's 5 ms."""
_GARBAGE_THRESHOLDS: Final = (10_000, 20, 50)
"""Python's search for cycles runs seldom, and never through what was loaded at the start: requests
leave no cycles behind, and one whole search is a pause of 20 ms."""

_DESCRIPTION: Final = """\
Forecasts from the newest champion, with what they rest on: every answer names model, version,
alias, data version and run, in its fields and in its headers. Times are UTC. Errors are problem
documents after RFC 9457: value, rule, remedy.
"""


def create_app(settings: ServingSettings, *, clock: Clock = utc_now) -> FastAPI:
    """The application; it looks for snapshots and models once it is started."""
    parts = _build(settings, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.prediction_log.start()
        for poller in parts.pollers:
            poller.start()
        # What lies on the disk answers the first request; each worker process waits for its own.
        for poller in parts.pollers:
            await asyncio.to_thread(poller.wait_for_first, timeout_seconds=_FIRST_LOOK_SECONDS)
        try:
            yield
        finally:
            parts.prediction_log.close()
            for poller in parts.pollers:
                poller.close()

    app = LayeredApp(
        title="Forecasts",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.parts = parts
    app.state.answering = answering = Answering(parts)
    operations = ForecastOperations(answering).every()
    app.surround(lambda inner: FastPath(inner, operations=operations))
    app.surround(lambda inner: _edge(inner, parts))
    install_error_handlers(app)
    for router in (
        models_router,
        administration_router,
        inference_protocol_router,
        problems_router,
        observations_router,
        past_forecasts_router,
        evidence_router,
        health_router,
        documentation_router,
    ):
        app.include_router(router)
    describe(app, operations, parts.deployments)
    return app


def _edge(app: ASGIApp, parts: Parts) -> Edge:
    settings = parts.settings
    return Edge(
        app,
        metrics=parts.metrics,
        access=Access(
            parts.keys,
            host=settings.host,
            rate_per_second=settings.api_rate_per_second,
            clock=parts.clock,
        ),
        max_body_bytes=int(settings.api_max_body_kb * _KILO),
        timeout_seconds=settings.api_timeout_seconds,
        access_log=settings.api_access_log,
    )


def _build(settings: ServingSettings, clock: Clock) -> Parts:
    metrics = Metrics()
    shared = metrics.shared
    deployments = Deployments(metrics)
    snapshots, models, registry, writer = _followers(settings, deployments)
    prediction_log = PredictionLog(
        LogDatabase(settings.prediction_log) if settings.prediction_log_enabled else None,
        witness=LogMetrics(metrics.registry),
        complain=deployments.log_complains,
        capacity_rows=settings.prediction_log_queue_rows,
        wait_seconds=settings.prediction_log_wait_seconds,
    )
    for state in (
        ServedState(deployments),
        LogState(prediction_log),
        PipelineState(deployments, clock),
        ModelStoreState(models.held),
    ):
        metrics.registry.register(state)
    keys = KeyFollower(settings.keys, complain=deployments.keys_complain)
    pause = settings.api_poll_seconds
    return Parts(
        deployments=deployments,
        metrics=metrics,
        pollers=(
            Poller("snapshots", snapshots.poll, pause_seconds=pause, first=snapshots.restore),
            Poller("models", models.poll, pause_seconds=pause, first=models.restore),
            Poller("keys", keys.poll, pause_seconds=pause),
            *([Poller("metrics", shared.mirror, pause_seconds=1)] if shared else []),
        ),
        prediction_log=prediction_log,
        clock=clock,
        settings=settings,
        keys=keys,
        models=models,
        registry=registry,
        registry_writer=writer,
    )


def _followers(
    settings: ServingSettings, deployments: Deployments
) -> tuple[SnapshotFollower, ModelStore, Registry, RegistryWriter]:
    # Apart by data mode, also where the setting names one folder for several.
    cache = settings.cache / settings.data
    snapshots = SnapshotFollower(
        PublishedStorage(settings.storage),
        deployments,
        max_bytes=int(settings.api_max_snapshot_mb * _MEGA),
        retries=Retries(settings.api_recheck_polls),
        cache=SnapshotCache(cache),
    )
    max_model_bytes = int(settings.api_max_model_mb * _MEGA)
    registry, writer = connect(settings.tracking_uri, max_model_bytes=max_model_bytes)
    models = ModelStore(
        registry,
        deployments,
        retries=Retries(settings.api_recheck_polls),
        memory_bytes=int(settings.api_model_memory_mb * _MEGA),
        poll_seconds=settings.api_poll_seconds,
        cache=ModelCache(cache),
        max_model_bytes=max_model_bytes,
        look_first=snapshots.poll,
    )
    return snapshots, models, registry, writer


def app_from_environment() -> FastAPI:
    """The application with the settings of this process: uvicorn's factory.

    Raises:
        ServingSettingsError: a setting cannot be used.
    """
    share_arenas()
    sys.setswitchinterval(_SWITCH_SECONDS)
    app = create_app(load_serving_settings())
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    return app
