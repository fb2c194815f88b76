"""From a question to a logged, counted and encoded answer.

Here: who answers, the call of the model, the log, the metrics, the body and the headers, and the
shadows afterwards. Not here: what a question means (`selection`, `features`, `share_questions`) and
the addresses (`operations`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from serving.contract.prediction_log import Asked
from serving.dependencies import Parts
from serving.deployments import Deployment
from serving.forecasts.schemas import BatchForecast, FeatureForecast, Forecast, ForecastAnswer
from serving.forecasts.shadows import Shadows
from serving.forecasts.work import Computed, Question
from serving.operations import Call, Reply
from serving.prediction_log import Answered
from serving.provenance import HeaderBytes, headers_of, source_fields

_LARGE_ROWS: Final = 100
"""From so many rows on a thread computes, so that other answers need not wait."""
_ORIGIN: Final = b"x-origin"
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Standing:
    """What all answers of one deployment share, prepared once."""

    headers: tuple[HeaderBytes, ...]
    fields: Mapping[str, Any]
    """Fields of every forecast: provenance but `stale`, problem, unit, nominal coverage."""
    served: tuple[str, str]
    """Problem and version."""

    @classmethod
    def of(cls, deployment: Deployment) -> Standing:
        """Prepare a deployment's answers."""
        card, version = deployment.model.card, deployment.model.registered.version
        return cls(
            headers=headers_of(deployment),
            fields=source_fields(deployment)
            | {
                "problem": card.problem,
                "unit": card.unit,
                "nominal_coverage": card.nominal_coverage,
            },
            served=(card.problem, version),
        )


class Context(msgspec.Struct, frozen=True):
    """What a body tells besides its forecasts."""

    fields: Mapping[str, Any]
    stale: bool
    request_id: str


Body = Callable[[Computed, Context], bytes]
"""Encodes an answer."""


class Answering:
    """Answers questions with the parts of one application."""

    def __init__(self, parts: Parts) -> None:
        """Answer with `parts`."""
        self._parts = parts
        self._shadows = Shadows(parts.metrics.registry)
        self._standing: WeakKeyDictionary[Deployment, Standing] = WeakKeyDictionary()

    @property
    def parts(self) -> Parts:
        """The parts of the application."""
        return self._parts

    async def answer(
        self,
        call: Call,
        problem: str,
        question: Question,
        *,
        asked: Asked,
        body: Body,
        alias: str | None = None,
        version: str | None = None,
    ) -> Reply:
        """Answer a question.

        Raises:
            ServingError: nobody can answer it, or the answer cannot be logged.
        """
        parts = self._parts
        chosen = await parts.choose(problem, alias=alias, version=version, caller=call.caller)
        deployment = chosen.deployment
        standing = self._standing.get(deployment)
        if standing is None:
            standing = Standing.of(deployment)
            self._standing[deployment] = standing
        call.scope["state"]["served"] = standing.served
        now = parts.clock()
        stale = deployment.snapshot.is_stale(now)
        context = Context(standing.fields, stale, call.request_id)
        work = question(deployment)
        if work.rows < _LARGE_ROWS:
            computed = work.compute()
            content = body(computed, context)
        else:
            computed, content = await asyncio.to_thread(_compute, work.compute, body, context)
        await parts.prediction_log.record(
            _answered(computed, deployment, now=now, stale=stale, call=call, asked=asked)
        )
        parts.metrics.forecast(
            standing.served[0], deployment.alias, standing.served[1], len(computed.quantiles)
        )
        shadows = chosen.shadows
        return Reply(
            content,
            _headers(standing, computed),
            partial(self._shadows.ask, shadows, partial(self._whisper, call, question, asked))
            if shadows
            else None,
        )

    async def _whisper(
        self, call: Call, question: Question, asked: Asked, shadow: Deployment
    ) -> None:
        """Ask a shadow and log what it says, for nobody to see.

        Raises:
            ServingError: it cannot answer, or the answer cannot be logged.
        """
        now = self._parts.clock()
        computed = await asyncio.to_thread(lambda: question(shadow).compute())
        answered = _answered(
            computed,
            shadow,
            now=now,
            stale=shadow.snapshot.is_stale(now),
            call=call,
            asked=asked,
            returned=False,
        )
        await self._parts.prediction_log.record(answered)
        self._parts.metrics.forecast(
            shadow.model.card.problem,
            shadow.alias,
            shadow.model.registered.version,
            len(computed.quantiles),
            returned=False,
        )


def body_of_forecasts(computed: Computed, context: Context) -> bytes:
    """Forecasts from the snapshot, one entry each."""
    placed = computed.placed
    assert placed is not None, "forecasts from the snapshot are placed"
    fields, stale = context.fields, context.stale
    forecasts = [
        Forecast(
            series=series,
            origin=origin,
            last_observed=last_observed,
            valid_time=valid_time,
            step=step,
            point=point,
            lower=lower,
            upper=upper,
            stale=stale,
            **fields,
        )
        for series, origin, last_observed, valid_time, step, (lower, point, upper) in zip(
            placed.series,
            placed.origin,
            placed.last_observed,
            placed.valid_time,
            placed.step,
            computed.quantiles.tolist(),
            strict=True,
        )
    ]
    return _encode(ForecastAnswer(context.request_id, forecasts))


def body_of_row(last_value: float, computed: Computed, context: Context) -> bytes:
    """The forecast of one row of features."""
    ((lower, point, upper),) = computed.quantiles.tolist()
    return _encode(
        FeatureForecast(
            last_value=last_value,
            assumed=list(computed.assumed),
            point=point,
            lower=lower,
            upper=upper,
            stale=context.stale,
            request_id=context.request_id,
            **context.fields,
        )
    )


def body_of_columns(computed: Computed, context: Context) -> bytes:
    """The forecasts of many rows of features."""
    lower, point, upper = computed.quantiles.T.tolist()
    return _encode(
        BatchForecast(
            n=len(point),
            point=point,
            lower=lower,
            upper=upper,
            assumed=list(computed.assumed),
            stale=context.stale,
            request_id=context.request_id,
            **context.fields,
        )
    )


def _compute(
    compute: Callable[[], Computed], body: Body, context: Context
) -> tuple[Computed, bytes]:
    computed = compute()
    return computed, body(computed, context)


def _headers(standing: Standing, computed: Computed) -> Sequence[HeaderBytes]:
    """The provenance, and the origin where all forecasts have the same."""
    if computed.placed is None:
        return standing.headers
    origins = set(computed.placed.origin)
    if len(origins) != 1:
        return standing.headers
    text = origins.pop().isoformat().replace("+00:00", "Z")
    return (*standing.headers, (_ORIGIN, text.encode()))


def _answered(
    computed: Computed,
    deployment: Deployment,
    *,
    now: datetime,
    stale: bool,
    call: Call,
    asked: Asked,
    returned: bool = True,
) -> Answered:
    """The answer as the log takes it."""
    placed = computed.placed
    return Answered(
        answered_at=now,
        request_id=call.request_id,
        asked=asked,
        deployment=deployment,
        stale=stale,
        quantiles=computed.quantiles,
        series=[computed.series] * len(computed.quantiles) if placed is None else placed.series,
        origin=None if placed is None else placed.origin,
        valid_time=None if placed is None else placed.valid_time,
        step=None if placed is None else placed.step,
        caller=call.key_name,
        returned=returned,
    )
