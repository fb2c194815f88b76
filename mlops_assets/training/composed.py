"""Locations that are made of others or of single features: they learn little or nothing.

Here: a feature taken as it is, the best of several features, an average of other candidates, and a
location that is learned as the difference to a reference. Not here: which candidates are averaged
(`recipe`), and how their parts are fitted (`fit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from mlops_assets.problem import ProblemError
from mlops_assets.training.baselines import NoParameters
from mlops_assets.training.forecaster import FloatArray, Location
from mlops_assets.training.parameters import Parameters

if TYPE_CHECKING:
    from mlops_assets.training.onnx_graph import GraphBuilder


class AverageParameters(Parameters):
    """Parameters of `average`."""

    members: dict[str, float] = Field(
        min_length=2, description="candidate -> its weight; weights are divided by their sum"
    )

    @model_validator(mode="after")
    def _positive(self) -> AverageParameters:
        if any(weight <= 0 for weight in self.members.values()):
            raise ValueError("weights must be above 0; leave a member out instead")
        return self


@dataclass(frozen=True)
class OneFeature:
    """The location is one column of the input; `fill` replaces what is missing, NaN keeps it."""

    position: int
    fill: float = float("nan")

    def predict(self, features: FloatArray) -> FloatArray:
        """(rows, features) to (rows,)."""
        column = features[:, self.position]
        return np.where(np.isnan(column), self.fill, column)

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add the choice of that column, filled."""
        return graph.fill_missing(graph.columns(features, [self.position]), np.array([self.fill]))

    def describe(self) -> dict[str, float | int | str]:
        """Which column."""
        return {"position": self.position}


def feature(features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]) -> OneFeature:
    """The one feature of the set is the forecast: a mean, the value a season ago, a filter.

    Raises:
        ProblemError: the feature set has another number of features than one.
    """
    NoParameters.read("feature", params)
    if features.shape[1] != 1:
        raise ProblemError(
            f"family 'feature' has {features.shape[1]} features; the one feature of its set is the "
            "forecast; name a set with exactly one"
        )
    return OneFeature(0)


def best_feature(
    features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]
) -> OneFeature:
    """The feature with the lowest mean absolute error over the training rows (ties: the first).

    A feature that is missing throughout cannot win; rows that lack one of the others are left out.
    In a forecast a missing value is replaced by the feature's mean over those rows. On exponential
    means of several rates this is exponential smoothing with its rate estimated.
    """
    NoParameters.read("best_feature", params)
    delivered = np.flatnonzero(~np.isnan(features).all(axis=0))
    known = ~np.isnan(features[:, delivered]).any(axis=1)
    errors = np.abs(features[known][:, delivered] - target[known, None]).mean(axis=0)
    best = int(delivered[np.argmin(errors)])
    return OneFeature(best, fill=float(features[known, best].mean()))


@dataclass(frozen=True)
class Part:
    """One summand of an average: its weight, its columns of the input, its location."""

    weight: float
    positions: tuple[int, ...]
    location: Location


@dataclass(frozen=True)
class WeightedAverage:
    """`sum_k weight_k location_k(own columns)`, weights summing to 1."""

    parts: tuple[Part, ...]

    def predict(self, features: FloatArray) -> FloatArray:
        """(rows, features) to (rows,)."""
        total = np.zeros(len(features))
        for part in self.parts:
            total += part.weight * part.location.predict(features[:, part.positions])
        return total

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add the parts and their weighted sum."""
        weighted = []
        for part in self.parts:
            own = graph.columns(features, list(part.positions)) if part.positions else features
            location = part.location.add_to_graph(graph, own)
            weighted.append(graph.node("Mul", location, graph.constant(np.array([[part.weight]]))))
        return graph.node("Sum", *weighted)

    def describe(self) -> dict[str, float | int | str]:
        """Number of parts."""
        return {"parts": len(self.parts)}


@dataclass(frozen=True)
class AboveReference:
    """`reference + location(columns)`: what was learned is the difference to one of the columns."""

    reference: int
    location: Location

    def predict(self, features: FloatArray) -> FloatArray:
        """(rows, features) to (rows,)."""
        return features[:, self.reference] + self.location.predict(features)

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add the location and the reference."""
        location = self.location.add_to_graph(graph, features)
        return graph.node("Add", graph.columns(features, [self.reference]), location)

    def describe(self) -> dict[str, float | int | str]:
        """Figures of what was learned."""
        return self.location.describe()
