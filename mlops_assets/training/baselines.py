"""Baselines: forecasts that use no features. They are models like any other and may be champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.parameters import Parameters

if TYPE_CHECKING:
    from mlops_assets.training.onnx_graph import GraphBuilder


class NoParameters(Parameters):
    """Baselines take no parameters."""


@dataclass(frozen=True)
class Constant:
    """The same location for every row."""

    value: float

    def predict(self, features: FloatArray) -> FloatArray:
        """`value` for each row of (rows, features)."""
        return np.full(features.shape[0], self.value)

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add a column of `value` as long as `features`."""
        return graph.constant_column(features, self.value)

    def describe(self) -> dict[str, float | int | str]:
        """The constant."""
        return {"location": self.value}


def last_value(features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]) -> Constant:
    """The random walk: the target moves by nothing."""
    NoParameters.read("last_value", params)
    return Constant(0.0)


def drift(features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]) -> Constant:
    """The random walk with drift: the target moves by its mean over the training window.

    On log returns this is the line through the first and the last value (Hyndman &
    Athanasopoulos, Forecasting: Principles and Practice, section 5.2).
    """
    NoParameters.read("drift", params)
    return Constant(float(np.mean(target)))
