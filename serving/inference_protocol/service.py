"""What tensors mean to a served model: rows of features in, three quantiles for each row out.

Here: pure functions of a deployment and the tensors of a request, and the description of a model in
the protocol's words. Not here: tensors as bytes (`messages`, `tensors`), HTTP (`router`), the steps
to target units (`contract.steps`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from serving.contract.model_card import ModelCard
from serving.contract.steps import FloatArray, IntArray, Step, needs_segment
from serving.deployments import Deployment, Deployments
from serving.domain_errors import UnusableInputError
from serving.forecasts.answering import Context
from serving.forecasts.schemas import AssumedInput
from serving.forecasts.work import Computed, Work
from serving.inference_protocol.messages import (
    AskedOutput,
    InferenceRequest,
    encode_answer,
    shown,
)
from serving.inference_protocol.schemas import ModelMetadata, TensorMetadata
from serving.inference_protocol.tensors import Tensor

FEATURES: Final = "features"
LAST_VALUE: Final = "last_value"
SEGMENT: Final = "segment"
OUTPUTS: Final[dict[str, int]] = {"point": 1, "lower": 0, "upper": 2}
"""Output -> column of the quantiles."""

PLATFORM: Final = "onnxruntime_onnx"

_FROM_LAST_VALUE: Final = frozenset({Step.INVERSE_LOG_RETURN, Step.INVERSE_DIFFERENCE})
_SHOWN_NAMES: Final = 10


@dataclass(frozen=True, slots=True)
class GivenTensors:
    """Rows of features as the tensors of a request."""

    tensors: Mapping[str, Tensor]

    def __call__(self, deployment: Deployment) -> Work:
        """The rows as the model of `deployment` takes them.

        The features come as one tensor in the order of the card, or as one tensor for each feature;
        in that form calibration features may be left out where one set of them is published.

        Raises:
            UnusableInputError: a tensor is unknown, absent, of the wrong type or shape, or a number
                does not fit the model.
        """
        card, tensors = deployment.model.card, self.tensors
        names = [feature.name for feature in card.features]
        _refuse_unknown(tensors, names)
        assumed: Sequence[AssumedInput] = ()
        if FEATURES in tensors:
            features = _matrix(tensors, card)
        else:
            assumed = _assumed(deployment, tensors)
            features = _by_name(tensors, names, {a.feature: a.value for a in assumed})
        _refuse_large(features, card)
        rows = len(features)
        last_value = _last_value(tensors, card, rows=rows)
        segment = _segment(tensors, card, rows=rows)
        return Work(rows, partial(_compute, deployment, features, last_value, segment, assumed))


def _compute(
    deployment: Deployment,
    features: FloatArray,
    last_value: FloatArray,
    segment: IntArray | None,
    assumed: Sequence[AssumedInput],
) -> Computed:
    """Forecasts of rows of features.

    Raises:
        UnusableInputError: one is not finite.
    """
    try:
        quantiles = deployment.model.quantiles(features, last_value, segment)
    except ValueError as error:
        raise UnusableInputError(
            value=f"inputs of problem {deployment.model.card.problem}",
            rule=f"they must give finite forecasts: {error}",
            remedy="give plausible values in the units of the card; this model may need some that "
            "are missing",
        ) from error
    return Computed(quantiles, assumed=assumed)


def problem_of(deployments: Deployments, model: str) -> str:
    """The problem that a model of the protocol stands for: its own name or the registered one."""
    for problem in deployments.problems:
        snapshot = deployments.newest_snapshot(problem)
        if snapshot is not None and snapshot.manifest.registered_model == model:
            return problem
    return model


def model_metadata(name: str, card: ModelCard, versions: Sequence[str]) -> ModelMetadata:
    """A model's tensors, in the protocol's words.

    Args:
        name: as it was asked for.
        card: of the model that answers.
        versions: numbers that can be asked for, newest first.
    """
    columns = [feature.name for feature in card.features]
    inputs = [
        TensorMetadata(
            name=FEATURES,
            datatype="FP64",
            shape=[-1, len(columns)],
            parameters={"columns": columns},
        )
    ]
    if _needs_last_value(card):
        inputs.append(TensorMetadata(name=LAST_VALUE, datatype="FP64", shape=[-1]))
    if needs_segment(card.steps):
        inputs.append(TensorMetadata(name=SEGMENT, datatype="INT64", shape=[-1]))
    return ModelMetadata(
        name=name,
        versions=list(versions),
        platform=PLATFORM,
        inputs=inputs,
        outputs=[
            TensorMetadata(name=output, datatype="FP64", shape=[-1], parameters={"unit": card.unit})
            for output in OUTPUTS
        ],
    )


def example_inputs(card: ModelCard) -> list[dict[str, object]]:
    """The card's example as the inputs of a request."""
    example = card.example
    rows = len(example.features)
    flat = [value for row in example.features for value in row]

    def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, object]:
        return {"name": name, "datatype": datatype, "shape": shape, "data": data}

    inputs = [tensor(FEATURES, "FP64", [rows, len(card.features)], flat)]
    if _needs_last_value(card):
        inputs.append(tensor(LAST_VALUE, "FP64", [rows], example.last_value))
    if needs_segment(card.steps):
        inputs.append(tensor(SEGMENT, "INT64", [rows], example.segment))
    return inputs


def asked_outputs(request: InferenceRequest) -> list[tuple[str, bool]]:
    """Names of the outputs to return, and whether each goes behind the JSON.

    Raises:
        UnusableInputError: an output is not one of `OUTPUTS`, occurs twice, or shall be classes.
    """
    binary = request.parameters.binary_data_output
    asked = request.outputs or [AskedOutput(name=name) for name in OUTPUTS]
    names = [output.name for output in asked]
    for output in asked:
        if output.name not in OUTPUTS or names.count(output.name) > 1:
            raise UnusableInputError(
                value=f"output {shown(output.name)}",
                rule="each output may be asked for once, by its name",
                remedy="ask for known outputs, or leave outputs out for all",
                known=tuple(OUTPUTS),
            )
        if output.parameters.classification:
            raise UnusableInputError(
                value=f"output {output.name}",
                rule="a forecast is a number and has no classes",
                remedy="leave the parameter classification out",
            )
    return [
        (output.name, binary if (own := output.parameters.binary_data) is None else own)
        for output in asked
    ]


class AnswerBody:
    """Encodes one answer, and knows afterwards where its JSON ends."""

    def __init__(
        self, model: str, request_id: str | None, outputs: Sequence[tuple[str, bool]]
    ) -> None:
        """Answer in the name of `model`, with outputs by name, each in JSON or behind it."""
        self._model = model
        self._id = request_id
        self._outputs = outputs
        self.json_length: int | None = None
        """Bytes of JSON where raw tensors follow; None before the answer or without such."""

    def __call__(self, computed: Computed, context: Context) -> bytes:
        """The answer's bytes; what it rests on stands in its parameters."""
        parameters = {
            **{name: value for name, value in context.fields.items() if value is not None},
            "stale": context.stale,
            "request_id": context.request_id,
            **{f"assumed.{a.feature}": a.value for a in computed.assumed},
        }
        answer = {
            "model_name": self._model,
            "model_version": context.fields["version"],
            **({} if self._id is None else {"id": self._id}),
            "parameters": parameters,
        }
        content, self.json_length = encode_answer(
            answer,
            [(name, computed.quantiles[:, OUTPUTS[name]], raw) for name, raw in self._outputs],
        )
        return content


def _needs_last_value(card: ModelCard) -> bool:
    return not _FROM_LAST_VALUE.isdisjoint(card.steps)


def _refuse_unknown(tensors: Mapping[str, Tensor], features: Sequence[str]) -> None:
    together = FEATURES in tensors
    known = (LAST_VALUE, SEGMENT, FEATURES, *(() if together else features))
    if unknown := [name for name in tensors if name not in known]:
        raise UnusableInputError(
            value=f"input {', '.join(shown(name) for name in unknown[:_SHOWN_NAMES])}",
            rule=f"beside one tensor {FEATURES} there is only {LAST_VALUE} and {SEGMENT}"
            if together
            else f"inputs are one tensor {FEATURES} or one for each feature of the model, with "
            f"{LAST_VALUE} and {SEGMENT}",
            remedy="leave it out; the model's metadata lists its inputs",
            known=known,
        )


def _numbers(tensors: Mapping[str, Tensor], name: str) -> FloatArray:
    values = tensors[name]
    if values.dtype != np.float64:
        raise UnusableInputError(
            value=f"input {name}",
            rule="it must be of datatype FP64 or FP32",
            remedy="send it as FP64",
        )
    return np.asarray(values, dtype=np.float64)


def _column(values: Tensor, name: str, *, rows: int) -> Tensor:
    """A tensor of shape (rows,) or (rows, 1) as (rows,)."""
    if values.shape not in {(rows,), (rows, 1)}:
        raise UnusableInputError(
            value=f"input {shown(name)} of shape {list(values.shape)}",
            rule=f"it must have shape [{rows}] or [{rows}, 1], one value for each row",
            remedy="send as many values as there are rows",
        )
    return values.reshape(rows)


def _matrix(tensors: Mapping[str, Tensor], card: ModelCard) -> FloatArray:
    values = _numbers(tensors, FEATURES)
    columns = len(card.features)
    if values.ndim != 2 or values.shape[1] != columns:
        raise UnusableInputError(
            value=f"input {FEATURES} of shape {list(values.shape)}",
            rule=f"it must have shape [rows, {columns}], one column for each feature of the model",
            remedy="send all features in the order of the card, which the model's metadata lists",
            known=[feature.name for feature in card.features],
        )
    return values


def _by_name(
    tensors: Mapping[str, Tensor], names: Sequence[str], assumed: Mapping[str, float]
) -> FloatArray:
    absent = [name for name in names if name not in tensors and name not in assumed]
    given = [name for name in names if name in tensors]
    if absent or not given:
        raise UnusableInputError(
            value=f"inputs {', '.join((absent or names)[:_SHOWN_NAMES])}",
            rule=f"the {len(names)} features of the model are needed, as one tensor {FEATURES} or "
            "as one tensor each",
            remedy="add them; NaN, in JSON null, stands for a missing value",
            known=names,
        )
    rows = len(tensors[given[0]])
    features = np.empty((rows, len(names)))
    for position, name in enumerate(names):
        features[:, position] = (
            _column(_numbers(tensors, name), name, rows=rows) if name in tensors else assumed[name]
        )
    return features


def _assumed(deployment: Deployment, tensors: Mapping[str, Tensor]) -> list[AssumedInput]:
    """The newest published value of each calibration feature that was not given."""
    absent = [name for name in deployment.calibration if name not in tensors]
    if not absent:
        return []
    snapshot = deployment.snapshot
    series = snapshot.series
    origin = snapshot.newest_origin(series[0])
    rows = snapshot.inputs.at(series[0], origin)
    if len(series) > 1 or len(rows) > 1:
        raise UnusableInputError(
            value=f"inputs {', '.join(absent)}",
            rule=f"calibration differs by series and step, and {len(series)} series with "
            f"{len(rows)} steps are published",
            remedy="give these features",
        )
    return [
        AssumedInput(
            feature=name,
            value=float(deployment.calibration[name][rows[0]]),
            series=series[0],
            origin=origin,
        )
        for name in absent
    ]


def _refuse_large(features: FloatArray, card: ModelCard) -> None:
    too_large = np.abs(features) > np.finfo(card.input_type).max
    if too_large.any():
        row, column = np.argwhere(too_large)[0].tolist()
        raise UnusableInputError(
            value=f"feature {card.features[column].name} = {features[row, column]!r} in row {row}",
            rule=f"it must fit {card.input_type}",
            remedy="give it in the unit of the card",
        )


def _last_value(tensors: Mapping[str, Tensor], card: ModelCard, *, rows: int) -> FloatArray:
    if LAST_VALUE not in tensors:
        if _needs_last_value(card):
            raise UnusableInputError(
                value=f"input {LAST_VALUE}",
                rule="the model forecasts a change from the newest known value, and needs it",
                remedy=f"add a tensor {LAST_VALUE} of shape [{rows}], in {card.unit}",
            )
        return np.zeros(rows)
    values = _column(_numbers(tensors, LAST_VALUE), LAST_VALUE, rows=rows)
    positive = Step.INVERSE_LOG_RETURN in card.steps
    usable = values > 0 if positive else np.isfinite(values)
    if not usable.all():
        row = int(np.argmin(usable))
        raise UnusableInputError(
            value=f"input {LAST_VALUE}, row {row}: {values[row]}",
            rule=f"it must be a number{' above 0' if positive else ''}",
            remedy=f"give the newest known value, in {card.unit}",
        )
    return np.asarray(values, dtype=np.float64)


def _segment(tensors: Mapping[str, Tensor], card: ModelCard, *, rows: int) -> IntArray | None:
    if not needs_segment(card.steps):
        return None
    if SEGMENT not in tensors or tensors[SEGMENT].dtype != np.int64:
        raise UnusableInputError(
            value=f"input {SEGMENT}",
            rule="the model forecasts shares, and needs to know which rows add up to a whole",
            remedy=f"add a tensor {SEGMENT} of datatype INT64 and shape [{rows}]: one code for "
            "all rows of one segment, origin and step",
        )
    return np.asarray(_column(tensors[SEGMENT], SEGMENT, rows=rows), dtype=np.int64)
