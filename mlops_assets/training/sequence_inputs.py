"""Inputs of networks on sequences: flat feature columns, scaled and laid out in steps.

Here: the layout (rows, steps x inputs) -> (rows, steps, inputs), oldest step first, its scaling,
and both as nodes of an ONNX graph. Not here: the features (`features.builders.recent_bars`) and
the networks.

A sequence is ordinary feature columns, one for each step and input, and the reshape is part of
the model: feature table, design rows, backtest, snapshot and API then carry it like any other
feature, and there is one way from a bar to a model's input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mlops_assets.problem import ProblemError
from mlops_assets.training.forecaster import FloatArray

if TYPE_CHECKING:
    from mlops_assets.training.onnx_graph import GraphBuilder


@dataclass(frozen=True)
class SequenceScaling:
    """`clip((x - center) / spread, -limit, limit)`, an input missing in a row as its center.

    Attributes:
        steps: number of steps of a sequence.
        center, spread: (inputs,), shared by the steps.
        limit: infinite where nothing is clipped.
    """

    steps: int
    center: FloatArray
    spread: FloatArray
    limit: float

    @property
    def inputs(self) -> int:
        """Number of inputs of a step."""
        return int(self.center.size)

    def apply(self, features: FloatArray) -> FloatArray:
        """(rows, steps x inputs), missing as NaN, to (rows, steps, inputs)."""
        sequence = features.reshape(len(features), self.steps, self.inputs)
        filled = np.where(np.isnan(sequence), self.center, sequence)
        scaled: FloatArray = np.clip((filled - self.center) / self.spread, -self.limit, self.limit)
        return scaled

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add the same; gives the name of a float64 tensor (rows, steps, inputs)."""
        shape = graph.constant(np.array([-1, self.steps, self.inputs], np.int64))
        sequence = graph.node("Reshape", features, shape)
        center = graph.constant(self.center[None, None, :])
        missing = graph.node("IsNaN", sequence)
        filled = graph.node("Where", missing, center, sequence)
        centred = graph.node("Sub", filled, center)
        scaled = graph.node("Div", centred, graph.constant(self.spread[None, None, :]))
        if np.isinf(self.limit):
            return scaled
        above = graph.node("Max", scaled, graph.constant(np.array(-self.limit)))
        return graph.node("Min", above, graph.constant(np.array(self.limit)))


def scaling_of(
    features: FloatArray, *, family: str, lookback: int, method: Literal["standard", "range"],
    clip: float | None,
) -> SequenceScaling:  # fmt: skip
    """The scaling of training rows.

    Args:
        features: (rows, lookback x inputs), missing as NaN.
        family: named in the message.
        lookback: steps of a sequence.
        method: `standard` centres on the mean and divides by the standard deviation; `range` takes
            the smallest value to 0 and the largest to 1. Both over all steps of an input.
        clip: scaled inputs are cut at +- this; None leaves them.

    Raises:
        ProblemError: the columns are no whole number of inputs for each step.
    """
    columns = features.shape[1]
    if columns == 0 or columns % lookback:
        raise ProblemError(
            f"family {family!r} has {columns} features and params.lookback {lookback}; it needs "
            "one column for each of the steps and inputs, so a multiple of the lookback; give it a "
            "feature set of the columns of one `recent_bars` group with the same lookback"
        )
    inputs = columns // lookback
    values = features.reshape(-1, inputs)
    known = ~np.isnan(values)
    if method == "range":
        low = np.where(known, values, np.inf).min(axis=0)
        high = np.where(known, values, -np.inf).max(axis=0)
        center, spread = np.where(np.isfinite(low), low, 0.0), high - low
    else:
        count = np.maximum(known.sum(axis=0), 1)
        center = np.where(known, values, 0.0).sum(axis=0) / count
        deviation = np.where(known, values - center, 0.0)
        spread = np.sqrt((deviation**2).sum(axis=0) / count)
    usable = np.isfinite(spread) & (spread > 0)
    limit = np.inf if clip is None else clip
    return SequenceScaling(lookback, center, np.where(usable, spread, 1.0), limit)
