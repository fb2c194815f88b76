"""Tree ensembles of scikit-learn as location models: random forest and gradient boosting.

Inputs are cast to float32 before training, since ONNX compares in float32 and a threshold must
split the same rows on both sides. Missing inputs are filled with the training median for the
forest, and handled natively by gradient boosting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.parameters import Parameters

if TYPE_CHECKING:
    from mlops_assets.training.onnx_graph import GraphBuilder


class ForestParameters(Parameters):
    """Parameters of `random_forest`."""

    trees: int = Field(ge=1, le=100, description="more than 100 trees cost time and change nothing")
    max_depth: int = Field(ge=1)
    min_samples_leaf: int = Field(ge=1)
    max_features: Literal["sqrt"] | float = "sqrt"
    seed: int = 0


class BoostingParameters(Parameters):
    """Parameters of `hist_gradient_boosting`."""

    iterations: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    max_leaf_nodes: int = Field(ge=2)
    min_samples_leaf: int = Field(ge=1)
    l2: float = Field(default=0.0, ge=0)
    seed: int = 0


@dataclass(frozen=True)
class TreeFit:
    """A fitted ensemble; `fill` (features,) replaces missing inputs, where NaN keeps them."""

    estimator: Any
    fill: FloatArray
    size: dict[str, float | int | str]

    def predict(self, features: FloatArray) -> FloatArray:
        """(rows, features) to (rows,)."""
        filled = np.where(np.isnan(features), self.fill, features).astype(np.float32)
        return np.asarray(self.estimator.predict(filled), dtype=np.float64)

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add the filled, converted ensemble."""
        keeps_missing = bool(np.isnan(self.fill).all())
        filled = features if keeps_missing else graph.fill_missing(features, self.fill)
        return graph.scikit_learn(self.estimator, filled, columns=self.fill.size)

    def describe(self) -> dict[str, float | int | str]:
        """Size of the ensemble."""
        return dict(self.size)


def random_forest(
    features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]
) -> TreeFit:
    """A forest of at most 100 trees."""
    from sklearn.ensemble import RandomForestRegressor

    wanted = ForestParameters.read("random_forest", params)
    known = np.where(np.isnan(features).all(axis=0), 0.0, features)
    fill = np.nanmedian(known, axis=0)
    inputs = np.where(np.isnan(features), fill, features).astype(np.float32)
    forest = RandomForestRegressor(
        n_estimators=wanted.trees,
        max_depth=wanted.max_depth,
        min_samples_leaf=wanted.min_samples_leaf,
        max_features=wanted.max_features,
        random_state=wanted.seed,
        n_jobs=2,
    ).fit(inputs, target)
    forest.n_jobs = 1  # threads would add up the trees in any order, and so change the last bits
    nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    return TreeFit(forest, fill, {"trees": wanted.trees, "nodes": nodes})


def hist_gradient_boosting(
    features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]
) -> TreeFit:
    """Histogram gradient boosting on squared error."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    wanted = BoostingParameters.read("hist_gradient_boosting", params)
    # scikit-learn finds no bins for a column that is missing throughout; a constant one is unused.
    inputs = np.where(np.isnan(features).all(axis=0), 0.0, features).astype(np.float32)
    boosting = HistGradientBoostingRegressor(
        max_iter=wanted.iterations,
        learning_rate=wanted.learning_rate,
        max_leaf_nodes=wanted.max_leaf_nodes,
        min_samples_leaf=wanted.min_samples_leaf,
        l2_regularization=wanted.l2,
        early_stopping=False,
        random_state=wanted.seed,
    ).fit(inputs, target)
    keep = np.full(features.shape[1], np.nan)
    return TreeFit(boosting, keep, {"iterations": int(boosting.n_iter_)})
