"""The model file: one ONNX graph for a fitted recipe, and the proof that it says the same.

The graph takes every feature of the recipe and the band's calibration, in float64, and gives
lower, middle and upper on the model's scale. It is data, not code: serving never unpickles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.problem import ForecastProblem
from mlops_assets.training.bands import calibration_columns
from mlops_assets.training.fit import FittedRecipe, matrix
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.onnx_graph import GraphBuilder
from mlops_assets.training.target_units import model_output, segment_codes, steps_of
from serving.contract.steps import to_target_units

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


def model_inputs(fitted: FittedRecipe, problem: ForecastProblem) -> tuple[str, ...]:
    """Columns of the model's input tensor, in order; the band's calibration is last."""
    return (*fitted.recipe.columns, *calibration_columns(problem))


def input_matrix(fitted: FittedRecipe, rows: pl.DataFrame, problem: ForecastProblem) -> FloatArray:
    """Design rows with their calibration as the model's input tensor (rows, inputs)."""
    return matrix(rows, model_inputs(fitted, problem))


def export(fitted: FittedRecipe, problem: ForecastProblem) -> bytes:
    """The fitted recipe as a serialised, checked ONNX model."""
    recipe = fitted.recipe
    inputs = model_inputs(fitted, problem)
    position = {name: k for k, name in enumerate(inputs)}
    graph = GraphBuilder()
    # A model without features is as long as any column of its input.
    columns = [position[c] for c in recipe.features] or [len(inputs) - 1]
    location = fitted.location.add_to_graph(graph, graph.columns(INPUT, columns))
    calibration = [graph.columns(INPUT, [position[c]]) for c in calibration_columns(problem)]
    scale = None
    if fitted.scale is not None:
        scale_inputs = graph.columns(INPUT, [position[c] for c in recipe.scale_features])
        scale = graph.node("Exp", fitted.scale.linear.add_to_graph(graph, scale_inputs))
        if fitted.is_scaled:
            location = graph.node("Mul", location, scale)
    if problem.band.method == "angular":
        lower, upper = calibration
    else:
        half = graph.node("Mul", scale, calibration[0]) if scale else calibration[0]
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
    model: bytes, fitted: FittedRecipe, rows: pl.DataFrame, problem: ForecastProblem
) -> Parity:
    """Compare graph and Python twin, in target units, on design rows with their calibration.

    A row differs when any quantile is off by more than 1e-4 of that row's band width.

    Raises:
        ParityError: more than 0.1 % of the rows differ, or a value is not finite.
    """
    location, scale = fitted.predict(rows)
    calibration = rows.select(calibration_columns(problem)).to_numpy()
    twin = model_output(problem, location, scale, calibration)
    wanted = _in_target_units(twin, rows, problem)
    given = _in_target_units(run(model, input_matrix(fitted, rows, problem)), rows, problem)
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


def _in_target_units(
    output: FloatArray, rows: pl.DataFrame, problem: ForecastProblem
) -> FloatArray:
    """The output in target units; NaN throughout when it holds anything but numbers."""
    if not np.isfinite(output).all():
        return np.full(output.shape, np.nan)
    last = rows["last_value"].to_numpy()
    return to_target_units(steps_of(problem), output, last, segment_codes(rows))
