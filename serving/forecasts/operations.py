"""The addresses of forecasts: which question each of them asks.

Here: the operations under `/v1`, and the short addresses beside them. Not here: how a question is
answered (`answering`), and the layer that calls these (`fast_path`).
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from serving.contract.prediction_log import Asked
from serving.forecasts import examples
from serving.forecasts.answering import (
    Answering,
    body_of_columns,
    body_of_forecasts,
    body_of_row,
)
from serving.forecasts.features import GivenColumns, GivenRow
from serving.forecasts.schemas import (
    BatchForecast,
    BatchRequest,
    FeatureForecast,
    ForecastAnswer,
    LatestQuery,
    OriginsQuery,
    PredictRequest,
    SeriesQuestion,
    ShareQuestion,
)
from serving.forecasts.selection import Selection
from serving.forecasts.share_questions import ShareOfDay, problem_of_shares
from serving.operations import Call, Operation, Reply

_GET_PROBLEMS: Final = (400, 401, 404, 422, 429, 503)
_POST_PROBLEMS: Final = (400, 401, 404, 408, 413, 422, 429, 503)

_LATEST = """\
Forecasts from the newest published origin of each series, with their bands.

Where forecasts are shares, one series is computed with all series of its segment, so that its
value is the same as in the answer for all, and the points of a segment add up to 100."""
_ORIGINS = """\
Forecasts from one published origin, or from every origin in `[from, to)`; default: the newest.

An origin before the model's training data ends is refused: the model has seen what came after."""
_SERIES = """\
Forecasts of several series from one origin, in one call of the model. An answer has as many
forecasts as the service allows in one; more are refused."""
_PREDICT = """\
A forecast from the snapshot, or from features.

From the snapshot: give `problem`, and optionally `series`, `origin` (default: the newest) and
`horizon`. An origin before the model's training data ends is refused: the model has seen what came
after.

From features: give `features` and `last_value`. Every feature of the model's card is needed;
`null` is a missing value. Calibration features (such as `band_quantile`) default to the newest
published value; the answer lists them under `assumed`. Shares of a segment are forecast from
the snapshot only, since one series' features give no sum to divide by.

With `alias` or `version` that version answers. Without, the problem's traffic settings choose, by
the header `X-Caller-Key` if it is sent: the same key always meets the same version."""
_BATCH = """\
Forecasts from many rows of features, column by column: the same figures as one request a row would
give, in the order of the rows. Every column is as long as `last_value`."""
_SHARE = """\
The share of one brand among people of one age group and gender on one day, from the newest origin
that forecasts the day. A label may be shortened to what only one begins with: `20s` is `20대`."""


class _Unproblematic(msgspec.Struct):
    """Tells only whether a body has the key `problem`."""

    problem: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_READ_PREDICT: Final = msgspec.json.Decoder(PredictRequest)
_READ_BATCH: Final = msgspec.json.Decoder(BatchRequest)
_READ_SERIES: Final = msgspec.json.Decoder(SeriesQuestion)
_READ_SHARE: Final = msgspec.json.Decoder(ShareQuestion)
_READ_KIND: Final = msgspec.json.Decoder(_Unproblematic)


class ForecastOperations:
    """The operations over one application's parts."""

    def __init__(self, answering: Answering) -> None:
        """Let `answering` answer."""
        self._answering = answering
        self._deployments = answering.parts.deployments
        self._max_rows = answering.parts.settings.api_max_rows

    async def latest(self, call: Call) -> Reply:
        """The newest forecasts of a problem."""
        asked = call.query(LatestQuery)
        question = Selection(
            series=None if asked.series is None else (asked.series,),
            horizon=asked.horizon,
            max_rows=self._max_rows,
        )
        return await self._answering.answer(
            call,
            call.name,
            question,
            asked=Asked.LATEST,
            body=body_of_forecasts,
            alias=asked.alias,
            version=asked.version,
        )

    async def origins(self, call: Call) -> Reply:
        """Forecasts of a problem from an origin, or from a range of origins."""
        asked = call.query(OriginsQuery)
        question = Selection(
            series=None if asked.series is None else (asked.series,),
            origin=asked.origin,
            begin=asked.begin,
            end=asked.end,
            horizon=asked.horizon,
            max_rows=self._max_rows,
        )
        newest = asked.origin is None and asked.begin is None
        return await self._answering.answer(
            call,
            call.name,
            question,
            asked=Asked.LATEST if newest else Asked.ORIGIN,
            body=body_of_forecasts,
            alias=asked.alias,
            version=asked.version,
        )

    async def series(self, call: Call) -> Reply:
        """Forecasts of several series."""
        asked = _READ_SERIES.decode(call.body)
        return await self._answering.answer(
            call,
            call.name,
            Selection(
                series=asked.series,
                origin=asked.origin,
                horizon=asked.horizon,
                max_rows=self._max_rows,
            ),
            asked=Asked.LATEST if asked.origin is None else Asked.ORIGIN,
            body=body_of_forecasts,
            alias=asked.alias,
            version=asked.version,
        )

    async def predict(self, call: Call) -> Reply:
        """A forecast from the snapshot or from features."""
        asked = _READ_PREDICT.decode(call.body)
        if asked.features is not None and asked.last_value is not None:
            return await self._answering.answer(
                call,
                asked.problem,
                GivenRow(asked.features, asked.last_value, asked.series),
                asked=Asked.FEATURES,
                body=partial(body_of_row, asked.last_value),
                alias=asked.alias,
                version=asked.version,
            )
        question = Selection(
            series=None if asked.series is None else (asked.series,),
            origin=asked.origin,
            horizon=asked.horizon,
            max_rows=self._max_rows,
        )
        return await self._answering.answer(
            call,
            asked.problem,
            question,
            asked=Asked.LATEST if asked.origin is None else Asked.ORIGIN,
            body=body_of_forecasts,
            alias=asked.alias,
            version=asked.version,
        )

    async def batch(self, call: Call) -> Reply:
        """Forecasts from many rows of features."""
        asked = _READ_BATCH.decode(call.body)
        return await self._answering.answer(
            call,
            asked.problem,
            GivenColumns(asked.features, asked.last_value, asked.series, self._max_rows),
            asked=Asked.FEATURES,
            body=body_of_columns,
            alias=asked.alias,
            version=asked.version,
        )

    async def share(self, call: Call) -> Reply:
        """A share by its labels, asked by query."""
        return await self._share(call, call.query(ShareQuestion))

    async def predict_or_share(self, call: Call) -> Reply:
        """A share by its labels, or, with a problem, the ordinary question."""
        if _READ_KIND.decode(call.body).problem is not msgspec.UNSET:
            return await self.predict(call)
        return await self._share(call, _READ_SHARE.decode(call.body))

    async def _share(self, call: Call, asked: ShareQuestion) -> Reply:
        return await self._answering.answer(
            call,
            problem_of_shares(self._deployments),
            ShareOfDay(asked),
            asked=Asked.ORIGIN,
            body=body_of_forecasts,
            alias=asked.alias,
            version=asked.version,
        )

    def every(self) -> tuple[Operation, ...]:
        """All operations, with their descriptions."""
        return (*self._get_operations(), *self._post_operations())

    def _get_operations(self) -> tuple[Operation, ...]:
        latest = partial(
            Operation,
            method="GET",
            summary="The newest forecasts",
            description=_LATEST,
            answer=self.latest,
            answers=(ForecastAnswer,),
            problems=_GET_PROBLEMS,
            query=LatestQuery,
            examples=examples.LATEST,
        )
        return (
            latest(path="/v1/forecasts/{problem}/latest"),
            Operation(
                method="GET",
                path="/v1/forecasts/{problem}",
                summary="Forecasts from an origin, or from a range of origins",
                description=_ORIGINS,
                answer=self.origins,
                answers=(ForecastAnswer,),
                problems=_GET_PROBLEMS,
                query=OriginsQuery,
                examples=examples.ORIGINS,
            ),
            latest(path="/forecasts/{problem}/latest", tag="short addresses"),
            Operation(
                method="GET",
                path="/predict",
                summary="A share by day, age group, gender and brand",
                description=_SHARE,
                answer=self.share,
                answers=(ForecastAnswer,),
                problems=_GET_PROBLEMS,
                query=ShareQuestion,
                examples=examples.SHARE,
                tag="short addresses",
            ),
        )

    def _post_operations(self) -> tuple[Operation, ...]:
        post = partial(Operation, method="POST", problems=_POST_PROBLEMS)
        return (
            post(
                path="/v1/forecasts/{problem}",
                summary="Forecasts of several series",
                description=_SERIES,
                answer=self.series,
                answers=(ForecastAnswer,),
                bodies=(SeriesQuestion,),
                examples=examples.SERIES,
            ),
            post(
                path="/v1/predict",
                summary="A forecast from an origin, or from features",
                description=_PREDICT,
                answer=self.predict,
                answers=(ForecastAnswer, FeatureForecast),
                bodies=(PredictRequest,),
                examples=examples.PREDICT,
            ),
            post(
                path="/v1/predict/batch",
                summary="Forecasts from many rows of features",
                description=_BATCH,
                answer=self.batch,
                answers=(BatchForecast,),
                bodies=(BatchRequest,),
                examples=examples.BATCH,
            ),
            post(
                path="/predict",
                summary="As /v1/predict, or a share by its labels",
                description=_PREDICT + "\n\n" + _SHARE,
                answer=self.predict_or_share,
                answers=(ForecastAnswer, FeatureForecast),
                bodies=(PredictRequest, ShareQuestion),
                examples=examples.PREDICT_OR_SHARE,
                tag="short addresses",
            ),
        )
