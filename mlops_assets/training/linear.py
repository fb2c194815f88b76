"""Ridge regression on standardised, clipped inputs: the location model and the scale model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.parameters import Parameters

if TYPE_CHECKING:
    from mlops_assets.training.onnx_graph import GraphBuilder


class RidgeParameters(Parameters):
    """Parameters of the location model `ridge`."""

    alpha: float = Field(gt=0)
    clip_quantile: float = Field(default=0.0, ge=0, lt=0.5)


@dataclass(frozen=True)
class LinearFit:
    """`intercept + sum_j coef_j * (clip(x_j, lower_j, upper_j) - center_j) / spread_j`.

    A missing input is replaced by its center, which takes it out of the sum. All arrays have
    shape (features,).
    """

    center: FloatArray
    spread: FloatArray
    lower: FloatArray
    upper: FloatArray
    coef: FloatArray
    intercept: float

    def predict(self, features: FloatArray) -> FloatArray:
        """(rows, features) to (rows,)."""
        filled = np.where(np.isnan(features), self.center, features)
        clipped = np.clip(filled, self.lower, self.upper)
        return ((clipped - self.center) / self.spread) @ self.coef + self.intercept

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add the formula above in float64."""
        filled = graph.fill_missing(features, self.center)
        above = graph.node("Max", filled, graph.constant(self.lower[None, :]))
        clipped = graph.node("Min", above, graph.constant(self.upper[None, :]))
        centred = graph.node("Sub", clipped, graph.constant(self.center[None, :]))
        scaled = graph.node("Div", centred, graph.constant(self.spread[None, :]))
        product = graph.node("MatMul", scaled, graph.constant(self.coef[:, None]))
        return graph.node("Add", product, graph.constant(np.array([[self.intercept]])))

    def describe(self) -> dict[str, float | int | str]:
        """Intercept, number of inputs and size of the coefficients."""
        return {
            "intercept": self.intercept,
            "inputs": int(self.coef.size),
            "coef_norm": float(np.linalg.norm(self.coef)),
        }


def ridge(features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]) -> LinearFit:
    """Ridge with inputs clipped at the `clip_quantile` and `1 - clip_quantile` training points."""
    wanted = RidgeParameters.read("ridge", params)
    tails = [wanted.clip_quantile, 1 - wanted.clip_quantile]
    known = np.where(np.isnan(features).all(axis=0), 0.0, features)
    lower, upper = np.nanquantile(known, tails, axis=0)
    return _fit(
        features, target, alpha=wanted.alpha, moments=_moments(features), limits=(lower, upper)
    )


def ridge_clipped_at_sd(
    features: FloatArray, target: FloatArray, *, alpha: float, clip_sd: float
) -> LinearFit:
    """Ridge with inputs clipped at `clip_sd` standard deviations from their mean."""
    center, spread = _moments(features)
    reach = clip_sd * spread
    limits = (center - reach, center + reach)
    return _fit(features, target, alpha=alpha, moments=(center, spread), limits=limits)


def _moments(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each column with missing values at the mean.

    A column that is missing throughout has center 0; one without variation has spread 1.
    """
    known = ~np.isnan(features)
    count = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, features, 0.0).sum(axis=0) / count
    deviation = np.where(known, features - center, 0.0)
    spread = np.sqrt((deviation**2).mean(axis=0))
    return center, np.where(spread > 0, spread, 1.0)


def _fit(
    features: FloatArray,
    target: FloatArray,
    *,
    alpha: float,
    moments: tuple[FloatArray, FloatArray],
    limits: tuple[FloatArray, FloatArray],
) -> LinearFit:
    from sklearn.linear_model import Ridge

    (center, spread), (lower, upper) = moments, limits
    filled = np.where(np.isnan(features), center, features)
    inputs = (np.clip(filled, lower, upper) - center) / spread
    fitted = Ridge(alpha=alpha, solver="cholesky").fit(inputs, target)
    return LinearFit(
        center=center,
        spread=spread,
        lower=lower,
        upper=upper,
        coef=np.asarray(fitted.coef_, dtype=np.float64),
        intercept=float(fitted.intercept_),
    )
