"""The model file: one ONNX graph for a fitted recipe, and the proof that it says the same.

The graph takes every feature of the recipe and the trailing band quantile, in float64, and gives
p05, p50, p95 on the model's scale. It is data, not code: serving never unpickles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.training.fit import FittedRecipe, matrix
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.intervals import quantiles
from mlops_assets.training.onnx_graph import GraphBuilder
from serving.contract.snapshot import BAND_QUANTILE

INPUT: Final = "features"
OUTPUT: Final = "quantiles"
RELATIVE_TOLERANCE: Final = 1e-4
ALLOWED_SHARE: Final = 0.001
"""At most this share of rows may differ by more than `RELATIVE_TOLERANCE`."""


class ParityError(ValueError):
    """The exported graph and its Python twin disagree; the model must not be registered."""


@dataclass(frozen=True)
class Parity:
    """How far graph and Python twin differ over a set of rows."""

    rows: int
    differing_rows: int
    largest_relative: float

    @property
    def share(self) -> float:
        """Share of rows that differ by more than the tolerance."""
        return self.differing_rows / self.rows


def model_inputs(fitted: FittedRecipe) -> tuple[str, ...]:
    """Columns of the model's input tensor, in order; the band quantile is last."""
    return (*fitted.recipe.columns, BAND_QUANTILE)


def input_matrix(fitted: FittedRecipe, rows: pl.DataFrame, band_quantile: FloatArray) -> FloatArray:
    """Design rows as the model's input tensor (rows, inputs)."""
    return np.column_stack([matrix(rows, fitted.recipe.columns), band_quantile])


def export(fitted: FittedRecipe) -> bytes:
    """The fitted recipe as a serialised, checked ONNX model."""
    recipe = fitted.recipe
    inputs = model_inputs(fitted)
    position = {name: k for k, name in enumerate(inputs)}
    graph = GraphBuilder()
    scale_inputs = graph.columns(INPUT, [position[c] for c in recipe.scale_features])
    scale = graph.node("Exp", fitted.scale.linear.add_to_graph(graph, scale_inputs))
    location_inputs = graph.columns(INPUT, [position[c] for c in recipe.features])
    location = fitted.location.add_to_graph(
        graph, location_inputs if recipe.features else scale_inputs
    )
    if recipe.candidate.scaled_target:
        location = graph.node("Mul", location, scale)
    band_quantile = graph.columns(INPUT, [position[BAND_QUANTILE]])
    half = graph.node("Mul", scale, band_quantile)
    lower, upper = graph.node("Sub", location, half), graph.node("Add", location, half)
    output = graph.node("Concat", lower, location, upper, axis=1)
    model = graph.model(input_name=INPUT, columns=len(inputs), output=output, output_name=OUTPUT)
    return bytes(model.SerializeToString(deterministic=True))


def run(model: bytes, inputs: FloatArray) -> FloatArray:
    """Run a model file on (rows, inputs) with onnxruntime; gives (rows, 3)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT], {INPUT: inputs})[0], dtype=np.float64)


def require_parity(
    model: bytes, fitted: FittedRecipe, rows: pl.DataFrame, band_quantile: FloatArray
) -> Parity:
    """Compare graph and Python twin on design rows.

    A row differs when any quantile is off by more than 1e-4 of that row's band width.

    Raises:
        ParityError: more than 0.1 % of the rows differ, or a value is not finite.
    """
    location, scale = fitted.predict(rows)
    wanted = quantiles(location, scale, band_quantile)
    given = run(model, input_matrix(fitted, rows, band_quantile))
    width = np.maximum(wanted[:, 2] - wanted[:, 0], np.finfo(np.float64).tiny)
    relative = np.max(np.abs(given - wanted), axis=1) / width
    parity = Parity(
        rows=len(rows),
        differing_rows=int(np.sum(~(relative <= RELATIVE_TOLERANCE))),
        largest_relative=float(np.max(relative)),
    )
    if parity.share > ALLOWED_SHARE:
        raise ParityError(
            f"{fitted.recipe.name}: {parity.differing_rows} of {parity.rows} rows differ between "
            f"ONNX and Python by more than {RELATIVE_TOLERANCE:g} of the band's width; at most "
            f"{ALLOWED_SHARE:.1%} may; check the family's add_to_graph"
        )
    return parity
