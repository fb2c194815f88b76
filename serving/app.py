"""Puts the service together: the only assembly.

Here: which parts exist and how they are connected. Not here: what any of them does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI

from serving.dependencies import Clock, Parts, utc_now
from serving.deployments import Deployments
from serving.documentation.router import describe
from serving.documentation.router import router as documentation_router
from serving.errors import install_error_handlers
from serving.forecasts.router import router as forecasts_router
from serving.health.router import router as health_router
from serving.instrumentation import Metrics, RequestLayer, ServedState
from serving.log_database import LogDatabase
from serving.log_metrics import LogMetrics, LogState
from serving.model_store import MlflowRegistry, ModelStore
from serving.models.router import router as models_router
from serving.pipeline_state import PipelineState
from serving.polling import Poller, Retries
from serving.prediction_log import PredictionLog
from serving.settings import ServingSettings, load_serving_settings
from serving.snapshots import SnapshotFollower
from serving.storage import PublishedStorage

_MEGA: Final = 1_000_000
_KILO: Final = 1_000

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
        try:
            yield
        finally:
            parts.prediction_log.close()
            for poller in parts.pollers:
                poller.close()

    app = FastAPI(
        title="Forecasts",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.parts = parts
    app.add_middleware(
        RequestLayer,
        metrics=parts.metrics,
        max_body_bytes=int(settings.api_max_body_kb * _KILO),
    )
    install_error_handlers(app)
    for router in (forecasts_router, models_router, health_router, documentation_router):
        app.include_router(router)
    describe(app)
    return app


def _build(settings: ServingSettings, clock: Clock) -> Parts:
    metrics = Metrics()
    deployments = Deployments(metrics)
    snapshots = SnapshotFollower(
        PublishedStorage(settings.storage),
        deployments,
        max_bytes=int(settings.api_max_snapshot_mb * _MEGA),
        retries=Retries(settings.api_recheck_polls),
    )
    registry = MlflowRegistry(
        settings.tracking_uri, max_model_bytes=int(settings.api_max_model_mb * _MEGA)
    )
    models = ModelStore(registry, deployments, retries=Retries(settings.api_recheck_polls))
    prediction_log = PredictionLog(
        LogDatabase(settings.prediction_log),
        witness=LogMetrics(metrics.registry),
        complain=deployments.log_complains,
        capacity_rows=settings.prediction_log_queue_rows,
        wait_seconds=settings.prediction_log_wait_seconds,
    )
    for state in (
        ServedState(deployments),
        LogState(prediction_log),
        PipelineState(deployments, clock),
    ):
        metrics.registry.register(state)
    pause = settings.api_poll_seconds
    return Parts(
        deployments=deployments,
        metrics=metrics,
        pollers=(
            Poller("snapshots", snapshots.poll, pause_seconds=pause),
            Poller("models", models.poll, pause_seconds=pause),
        ),
        prediction_log=prediction_log,
        clock=clock,
        settings=settings,
    )


def app_from_environment() -> FastAPI:
    """The application with the settings of this process: uvicorn's factory.

    Raises:
        ServingSettingsError: a setting cannot be used.
    """
    return create_app(load_serving_settings())
