"""What tests of networks on sequences share: training rows with a planted signal, and running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime

from mlops_assets.training.forecaster import FloatArray, Location
from mlops_assets.training.onnx_graph import GraphBuilder
from mlops_assets.training.sequence_fit import Network, Single

STEPS, INPUTS = 6, 2


def sequences(rows: int, *, seed: int = 0, missing: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Flat sequences of two inputs, and a target that is the newest value of the first, halved.

    Noise with a standard deviation of a tenth is added to the target.
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, STEPS * INPUTS))
    target = 0.5 * features[:, -INPUTS] + 0.1 * rng.normal(size=rows)
    return np.where(rng.random(features.shape) < missing, np.nan, features), target


def in_graph(fit: Location, features: FloatArray) -> FloatArray:
    """What onnxruntime makes of a fit's graph, (rows,)."""
    graph = GraphBuilder()
    location = fit.add_to_graph(graph, "features")
    output = graph.node("Concat", location, location, location, axis=1)
    columns = features.shape[1]
    model = graph.model(
        input_name="features", columns=columns, output=output, output_name="quantiles"
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    given = session.run(None, {"features": features})[0]
    assert given.shape == (len(features), 3)
    return np.asarray(given[:, 0], dtype=np.float64)


def in_jax(network: Network, weights: Mapping[str, Single], inputs: FloatArray) -> FloatArray:
    """What JAX makes of scaled inputs in float32 with a linear output on top, (rows,)."""
    hidden: Any = network.apply(weights, inputs.astype(np.float32))  # type: ignore[arg-type]  # numpy arrays are accepted
    return np.asarray(hidden @ weights["out_kernel"] + weights["out_bias"], dtype=np.float64)
