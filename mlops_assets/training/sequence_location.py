"""A network on sequences as a location model: its parameters, fit, Python twin and graph.

Here: what the families `lstm` and `transformer` share once a network is given. Not here: the
networks, their training (`sequence_fit`) and their inputs (`sequence_inputs`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np
from pydantic import Field

from mlops_assets.problem import ProblemError
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.sequence_fit import (
    Network,
    Single,
    Trained,
    TrainingParameters,
    Window,
    fit_windows,
)
from mlops_assets.training.sequence_inputs import SequenceScaling, scaling_of

if TYPE_CHECKING:
    from mlops_assets.training.onnx_graph import GraphBuilder

LOWEST_LEVEL: Final = 0.01
"""A level that is forecast counts as at least this share of the last value: it has a logarithm."""


class SequenceParameters(TrainingParameters):
    """Parameters of every family of networks on sequences; the defaults suit hourly returns."""

    lookback: int = Field(ge=1, description="steps of a sequence, as in the feature set")
    input_scaling: Literal["standard", "range"] = "standard"
    input_clip: float | None = Field(
        default=5.0, gt=0, description="scaled inputs are cut at +- this; null: not at all"
    )
    zero_output: bool = Field(default=True, description="training starts from no change")
    level_input: int | None = Field(
        default=None,
        ge=0,
        description="number of the input that holds the last value, from 0: the network then "
        "learns the next level, scaled to 0 .. 1, and not the target as it is given",
    )


class ExportableNetwork(Network, Protocol):
    """A network with its twin in numpy and its graph."""

    def evaluate(self, weights: Mapping[str, Single], inputs: FloatArray) -> FloatArray:
        """What `apply` gives, in float64: (rows, steps, inputs) to (rows, width)."""
        ...

    def add_to_graph(self, graph: GraphBuilder, weights: Mapping[str, Single], inputs: str) -> str:
        """Add the same: from a float64 tensor (rows, steps, inputs) to one of (rows, width)."""
        ...


@dataclass(frozen=True)
class TargetScaling:
    """From the network's output to the location, by `x = center + spread * output`.

    Attributes:
        level: column of the flat features with the last value: x is then the next level, and the
            location the log return to it. None: x is the location.
    """

    center: float
    spread: float
    level: int | None = None

    def restore(self, features: FloatArray, output: FloatArray) -> FloatArray:
        """The location of each row, (rows,)."""
        value: FloatArray = self.center + self.spread * output
        if self.level is None:
            return value
        last = features[:, self.level]
        return np.log(np.maximum(value / last, LOWEST_LEVEL))

    def add_to_graph(self, graph: GraphBuilder, features: str, output: str) -> str:
        """Add `restore` to a graph; from (rows, 1) to (rows, 1)."""
        stretched = graph.node("Mul", output, graph.constant(np.array([[self.spread]])))
        value = graph.node("Add", stretched, graph.constant(np.array([[self.center]])))
        if self.level is None:
            return value
        ratio = graph.node("Div", value, graph.columns(features, [self.level]))
        floored = graph.node("Max", ratio, graph.constant(np.array([[LOWEST_LEVEL]])))
        return graph.node("Log", floored)


@dataclass(frozen=True)
class SequenceFit:
    """A trained network, averaged over its seeds."""

    network: ExportableNetwork
    inputs: SequenceScaling
    target: TargetScaling
    members: tuple[Trained, ...]

    def predict(self, features: FloatArray) -> FloatArray:
        """(rows, steps x inputs) to (rows,)."""
        scaled = self.inputs.apply(features)
        outputs = [
            self.network.evaluate(member.weights, scaled) @ member.weights["out_kernel"]
            + float(member.weights["out_bias"])
            for member in self.members
        ]
        return self.target.restore(features, np.mean(outputs, axis=0))

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add scaling, networks, their mean, and the way back to the location."""
        scaled = self.inputs.add_to_graph(graph, features)
        outputs = []
        for member in self.members:
            hidden = self.network.add_to_graph(graph, member.weights, scaled)
            kernel = member.weights["out_kernel"].astype(np.float64)[:, None]
            product = graph.node("MatMul", hidden, graph.constant(kernel))
            bias = graph.constant(np.full((1, 1), float(member.weights["out_bias"])))
            outputs.append(graph.node("Add", product, bias))
        total = graph.node("Sum", *outputs)
        mean = graph.node("Div", total, graph.constant(np.array([[float(len(outputs))]])))
        return self.target.add_to_graph(graph, features, mean)

    def describe(self) -> dict[str, float | int | str]:
        """Size of the network and how long it was trained."""
        return {
            "inputs": self.inputs.inputs,
            "weights": sum(w.size for w in self.members[0].weights.values()),
            "seeds": len(self.members),
            "mean_epochs": float(np.mean([member.epochs for member in self.members])),
        }


def fit_sequences(
    windows: Sequence[tuple[FloatArray, FloatArray]],
    spec: SequenceParameters,
    *,
    family: str,
    network_of: Callable[[int, int], ExportableNetwork],
    log: Callable[[str], None] | None = None,
) -> list[SequenceFit]:
    """Fit a network to each of several windows of training rows.

    Args:
        windows: features (rows, steps x inputs), missing as NaN, and targets (rows,), oldest first.
        spec: layout, scaling and training.
        family: named in messages.
        network_of: steps and inputs of a sequence to the network.
        log: takes one line of progress after each window, or few of them.

    Raises:
        ProblemError: the columns do not fit the lookback, or the level is no input.
        MissingExtraError: JAX or optax is not installed.
    """
    scalings = [
        (_input_scaling(features, spec, family), _target_scaling(features, target, spec, family))
        for features, target in windows
    ]
    prepared = [
        Window(
            inputs.apply(features).astype(np.float32),
            _learned(features, target, scaling).astype(np.float32),
        )
        for (features, target), (inputs, scaling) in zip(windows, scalings, strict=True)
    ]
    network = network_of(spec.lookback, scalings[0][0].inputs)
    trained = fit_windows(network, prepared, spec, zero_output=spec.zero_output, log=log)
    return [
        SequenceFit(network, inputs, scaling, tuple(members))
        for (inputs, scaling), members in zip(scalings, trained, strict=True)
    ]


def _input_scaling(features: FloatArray, spec: SequenceParameters, family: str) -> SequenceScaling:
    return scaling_of(
        features,
        family=family,
        lookback=spec.lookback,
        method=spec.input_scaling,
        clip=spec.input_clip,
    )


def _target_scaling(
    features: FloatArray, target: FloatArray, spec: SequenceParameters, family: str
) -> TargetScaling:
    """By the root mean square of the target, by which "no change" stays zero, or by the range."""
    if spec.level_input is None:
        size = float(np.sqrt(np.mean(target**2)))
        return TargetScaling(0.0, size if size > 0 else 1.0)
    inputs = features.shape[1] // spec.lookback
    if spec.level_input >= inputs:
        raise ProblemError(
            f"family {family!r} has {inputs} inputs and params.level_input {spec.level_input}; it "
            f"is the number of the input that holds the last value, 0 to {inputs - 1}; correct it"
        )
    level = (spec.lookback - 1) * inputs + spec.level_input
    values = features[:, level] * np.exp(target)
    low, high = float(np.min(values)), float(np.max(values))
    return TargetScaling(low, high - low if high > low else 1.0, level)


def _learned(features: FloatArray, target: FloatArray, scaling: TargetScaling) -> FloatArray:
    """What the network is trained on, (rows,): the inverse of `TargetScaling.restore`."""
    values = target
    if scaling.level is not None:
        values = features[:, scaling.level] * np.exp(target)
    return (values - scaling.center) / scaling.spread
