"""The family `lstm`: one layer of long short-term memory (Hochreiter & Schmidhuber 1997).

Here: the network in JAX, in numpy and as an ONNX LSTM node. Not here: training (`sequence_fit`),
scaling and the way to a location (`sequence_location`).

The graph holds one LSTM node a seed. onnxruntime runs it in float32, like the training; the numpy
twin runs in float64, and the two differ by some 1e-7 of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.sequence_fit import Single
from mlops_assets.training.sequence_location import (
    SequenceFit,
    SequenceParameters,
    fit_sequences,
)

if TYPE_CHECKING:
    import jax

    from mlops_assets.training.onnx_graph import GraphBuilder


class LstmParameters(SequenceParameters):
    """Parameters of `lstm`."""

    hidden: int = Field(default=16, ge=1, le=256)


@dataclass(frozen=True)
class LstmNetwork:
    """One LSTM layer; its last hidden state is what it knows of a row.

    Weights: `kernel` (inputs, 4 hidden), `recurrent` (hidden, 4 hidden), `bias` (4 hidden,), each
    in the order of ONNX: input gate, output gate, forget gate, cell.
    """

    inputs: int
    hidden: int

    @property
    def width(self) -> int:
        """Size of the hidden state."""
        return self.hidden

    def start(self, rng: np.random.Generator) -> dict[str, Single]:
        """Uniform within `1 / sqrt(hidden)`."""
        reach, gates = 1 / np.sqrt(self.hidden), 4 * self.hidden
        shapes = {"kernel": (self.inputs, gates), "recurrent": (self.hidden, gates)}
        drawn = {name: rng.uniform(-reach, reach, shape) for name, shape in shapes.items()}
        drawn["bias"] = rng.uniform(-reach, reach, gates)
        return {name: value.astype(np.float32) for name, value in drawn.items()}

    def apply(self, weights: Mapping[str, jax.Array], inputs: jax.Array) -> jax.Array:
        """(rows, steps, inputs) to the last hidden state (rows, hidden)."""
        import jax.numpy as jnp
        from jax import lax, nn

        driven = inputs @ weights["kernel"] + weights["bias"]
        still = jnp.zeros((inputs.shape[0], self.hidden), inputs.dtype)

        def step(
            state: tuple[jax.Array, jax.Array], drive: jax.Array
        ) -> tuple[tuple[jax.Array, jax.Array], None]:
            hidden, cell = state
            gates = jnp.split(drive + hidden @ weights["recurrent"], 4, axis=1)
            let_in, let_out, keep = (nn.sigmoid(gate) for gate in gates[:3])
            cell = keep * cell + let_in * jnp.tanh(gates[3])
            return (let_out * jnp.tanh(cell), cell), None

        (hidden, _), _ = lax.scan(step, (still, still), jnp.swapaxes(driven, 0, 1))
        return hidden

    def evaluate(self, weights: Mapping[str, Single], inputs: FloatArray) -> FloatArray:
        """The same in float64."""
        wide = {name: value.astype(np.float64) for name, value in weights.items()}
        hidden = np.zeros((len(inputs), self.hidden))
        cell = np.zeros_like(hidden)
        for step in range(inputs.shape[1]):
            drive = inputs[:, step] @ wide["kernel"] + wide["bias"] + hidden @ wide["recurrent"]
            let_in, let_out, keep, new = np.split(drive, 4, axis=1)
            cell = _sigmoid(keep) * cell + _sigmoid(let_in) * np.tanh(new)
            hidden = _sigmoid(let_out) * np.tanh(cell)
        return hidden

    def add_to_graph(self, graph: GraphBuilder, weights: Mapping[str, Single], inputs: str) -> str:
        """Add one LSTM node: in float32, the steps first, as onnxruntime wants them."""
        steps_first = graph.node("Transpose", graph.narrowed(inputs), perm=[1, 0, 2])
        bias = np.concatenate([weights["bias"], np.zeros_like(weights["bias"])])
        last = graph.node(
            "LSTM",
            steps_first,
            graph.constant(np.ascontiguousarray(weights["kernel"].T)[None]),
            graph.constant(np.ascontiguousarray(weights["recurrent"].T)[None]),
            graph.constant(bias[None]),
            place=1,
            hidden_size=self.hidden,
        )
        squeezed = graph.node("Squeeze", last, graph.constant(np.array([0], np.int64)))
        return graph.widened(squeezed)


def lstm(features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]) -> SequenceFit:
    """Fit one window; see `SequenceParameters` for layout, scaling and training.

    Raises:
        MissingExtraError: JAX or optax is not installed.
    """
    return lstm_of_windows([(features, target)], params=params)[0]


def lstm_of_windows(
    windows: Sequence[tuple[FloatArray, FloatArray]],
    *,
    params: Mapping[str, Any],
    log: Callable[[str], None] | None = None,
) -> list[SequenceFit]:
    """Fit many windows of features and targets in one program; each as `lstm` would alone.

    Raises:
        MissingExtraError: JAX or optax is not installed.
    """
    wanted = LstmParameters.read("lstm", params)

    def network_of(steps: int, inputs: int) -> LstmNetwork:
        return LstmNetwork(inputs, wanted.hidden)

    return fit_sequences(windows, wanted, family="lstm", network_of=network_of, log=log)


def _sigmoid(values: FloatArray) -> FloatArray:
    half: FloatArray = 0.5 * (1 + np.tanh(0.5 * values))
    return half
