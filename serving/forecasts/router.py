"""HTTP of the forecast endpoints: routes, parameters, headers, and the hand-over to the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Body, Query, Request, Response

from serving.contract.prediction_log import Asked
from serving.dependencies import AppParts, Parts, ProblemPath
from serving.deployments import Deployment
from serving.errors import problem_responses
from serving.forecasts import service
from serving.forecasts.schemas import (
    PREDICT_EXAMPLES,
    SERIES,
    FeatureForecast,
    Forecast,
    ForecastAnswer,
    PredictRequest,
)
from serving.prediction_log import Answered
from serving.provenance import set_headers

router = APIRouter(tags=["forecasts"])


@router.get(
    "/forecasts/{problem}/latest",
    summary="The newest forecasts",
    responses=problem_responses(404, 422, 503),
)
async def latest_forecasts(
    problem: ProblemPath,
    parts: AppParts,
    request: Request,
    response: Response,
    series: Annotated[str | None, Query(max_length=200, description=SERIES)] = None,
) -> ForecastAnswer:
    """Forecasts of the champion from the newest published origin, with their bands.

    Where forecasts are shares, one series is computed with all series of its segment, so that its
    value is the same as in the answer for all, and the points of a segment add up to 100.
    """
    deployment = parts.deployments.serving(problem)
    now = parts.clock()
    forecasts = service.latest(deployment, series=series, now=now)
    await _note(request, parts, deployment, forecasts, now=now, asked=Asked.LATEST)
    set_headers(response, deployment)
    return ForecastAnswer(forecasts=forecasts)


@router.post(
    "/predict",
    summary="A forecast from an origin, or from features",
    responses=problem_responses(400, 404, 413, 422, 503),
)
async def predict(
    question: Annotated[PredictRequest, Body(openapi_examples=PREDICT_EXAMPLES)],
    parts: AppParts,
    request: Request,
    response: Response,
) -> ForecastAnswer | FeatureForecast:
    """Forecast with the champion.

    From the snapshot: give `problem`, and optionally `series` and `origin` (default: the newest).
    An origin before the model's training data ends is refused: the model has seen what came after.

    From features: give `features` and `last_value`. Every feature of the model's card is needed;
    `null` is a missing value. Calibration features (such as `band_quantile`) default to the newest
    published value; the answer lists them under `assumed`. Shares of a segment are forecast from
    the snapshot only, since one series' features give no sum to divide by.
    """
    deployment = parts.deployments.serving(question.problem)
    now = parts.clock()
    if question.features is not None and question.last_value is not None:
        forecast = service.from_features(
            deployment,
            series=question.series,
            features=question.features,
            last_value=question.last_value,
            now=now,
        )
        await _note(
            request,
            parts,
            deployment,
            [forecast],
            now=now,
            asked=Asked.FEATURES,
            series=question.series,
        )
        set_headers(response, deployment)
        return forecast
    if question.origin is not None:
        asked = Asked.ORIGIN
        forecasts = service.from_origin(
            deployment, series=question.series, origin=question.origin, now=now
        )
    else:
        asked = Asked.LATEST
        forecasts = service.latest(deployment, series=question.series, now=now)
    await _note(request, parts, deployment, forecasts, now=now, asked=asked)
    set_headers(response, deployment)
    return ForecastAnswer(forecasts=forecasts)


async def _note(
    request: Request,
    parts: Parts,
    deployment: Deployment,
    forecasts: Sequence[Forecast | FeatureForecast],
    *,
    now: datetime,
    asked: Asked,
    series: str | None = None,
) -> None:
    """Hand an answer to the prediction log, then count it.

    Raises:
        NotLoggedError: it cannot be logged, so it must not be given.
    """
    placed = [forecast for forecast in forecasts if isinstance(forecast, Forecast)]
    answered = Answered(
        answered_at=now,
        request_id=request.state.request_id,
        asked=asked,
        deployment=deployment,
        stale=deployment.snapshot.is_stale(now),
        quantiles=np.array([[f.lower, f.point, f.upper] for f in forecasts]),
        series=[f.series for f in placed] or [series],
        origin=[f.origin for f in placed] or None,
        valid_time=[f.valid_time for f in placed] or None,
        step=[f.step for f in placed] or None,
    )
    await parts.prediction_log.record(answered)
    version = deployment.model.registered.version
    problem = deployment.model.card.problem
    parts.metrics.forecasts.labels(problem, version).inc(len(forecasts))
