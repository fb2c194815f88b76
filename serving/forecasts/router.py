"""HTTP of the forecast endpoints: routes, parameters, headers; nothing else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from serving.dependencies import AppParts, ProblemPath
from serving.errors import problem_responses
from serving.forecasts import service
from serving.forecasts.schemas import (
    PREDICT_EXAMPLES,
    SERIES,
    FeatureForecast,
    ForecastAnswer,
    PredictRequest,
)
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
    response: Response,
    series: Annotated[str | None, Query(max_length=200, description=SERIES)] = None,
) -> ForecastAnswer:
    """Forecasts of the champion from the newest published origin, with their bands.

    Where forecasts are shares, one series is computed with all series of its segment, so that its
    value is the same as in the answer for all, and the points of a segment add up to 100.
    """
    deployment = parts.deployments.serving(problem)
    forecasts = service.latest(deployment, series=series, now=parts.clock())
    parts.metrics.forecasts.labels(problem, deployment.model.registered.version).inc(len(forecasts))
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
    answer: ForecastAnswer | FeatureForecast
    if question.features is not None and question.last_value is not None:
        answer = service.from_features(
            deployment,
            series=question.series,
            features=question.features,
            last_value=question.last_value,
            now=parts.clock(),
        )
    elif question.origin is not None:
        answer = ForecastAnswer(
            forecasts=service.from_origin(
                deployment, series=question.series, origin=question.origin, now=parts.clock()
            )
        )
    else:
        answer = ForecastAnswer(
            forecasts=service.latest(deployment, series=question.series, now=parts.clock())
        )
    count = len(answer.forecasts) if isinstance(answer, ForecastAnswer) else 1
    parts.metrics.forecasts.labels(question.problem, deployment.model.registered.version).inc(count)
    set_headers(response, deployment)
    return answer
