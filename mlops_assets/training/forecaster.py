"""The interface of a model family.

A family fits the location of the scaled target from a matrix of features; scale, band and the
way back to target units are the same for all and live in `fit` and `intervals`. Adding a family is
one module with a function of the type `Family`, and one line in `families`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mlops_assets.training.onnx_graph import GraphBuilder

FloatArray = npt.NDArray[np.float64]


class Location(Protocol):
    """A fitted model of the target's location."""

    def predict(self, features: FloatArray) -> FloatArray:
        """The location of each row: (rows, features), missing as NaN, to (rows,)."""
        ...

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add the same computation to an ONNX graph.

        Args:
            graph: takes the nodes.
            features: name of a float64 tensor (rows, features) in the graph.

        Returns:
            Name of a float64 tensor (rows, 1).
        """
        ...

    def describe(self) -> dict[str, float | int | str]:
        """Figures of the fit worth recording, such as coefficients or sizes."""
        ...


class Family(Protocol):
    """Fits a location model."""

    def __call__(
        self, features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]
    ) -> Location:
        """Fit on (rows, features), missing as NaN, and a finite target (rows,).

        Raises:
            ProblemError: a parameter is unknown, missing or out of range.
        """
        ...
