"""The family `transformer`: a small encoder of self-attention (Vaswani et al. 2017).

Here: the network, once for JAX and numpy, and as an ONNX graph. Not here: training
(`sequence_fit`), scaling and the way to a location (`sequence_location`).

Layers are normalised before attention and feed-forward (Xiong et al. 2020), which trains without
a warm-up; what the encoder knows of a row is the normalised last step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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

EPSILON: Final = 1e-5
"""Added to the variance in a layer's normalisation."""


class TransformerParameters(SequenceParameters):
    """Parameters of `transformer`."""

    width: int = Field(default=16, ge=2, le=64)
    layers: int = Field(default=1, ge=1, le=2)


@dataclass(frozen=True)
class TransformerNetwork:
    """Embedding with learned positions, then layers of one attention head and a feed-forward.

    Weights: `embed` (inputs, width), `positions` (steps, width), and of layer k `k/query`,
    `k/key`, `k/value`, `k/mix` (width, width), `k/up` (width, 2 width), `k/up_bias`, `k/down`
    (2 width, width), `k/down_bias`, `k/before_gain`, `k/before_shift`, `k/between_gain`,
    `k/between_shift` (width,), and `last_gain`, `last_shift` (width,).
    """

    steps: int
    inputs: int
    size: int
    layers: int

    @property
    def width(self) -> int:
        """Size of a step's representation."""
        return self.size

    def start(self, rng: np.random.Generator) -> dict[str, Single]:
        """Uniform within `sqrt(3 / inputs of the product)`; positions small; gains 1."""
        width = self.size
        shapes = {"embed": (self.inputs, width)}
        plain: dict[str, FloatArray] = {"last_gain": np.ones(width), "last_shift": np.zeros(width)}
        for layer in range(self.layers):
            shapes |= {f"{layer}/{n}": (width, width) for n in ("query", "key", "value", "mix")}
            shapes |= {f"{layer}/up": (width, 2 * width), f"{layer}/down": (2 * width, width)}
            plain |= {
                f"{layer}/up_bias": np.zeros(2 * width),
                f"{layer}/down_bias": np.zeros(width),
            }
            for norm in ("before", "between"):
                plain |= {f"{layer}/{norm}_gain": np.ones(width)}
                plain |= {f"{layer}/{norm}_shift": np.zeros(width)}
        drawn = {n: rng.uniform(-1, 1, s) * np.sqrt(3 / s[0]) for n, s in shapes.items()}
        drawn["positions"] = rng.normal(0, 0.1, (self.steps, width))
        return {name: value.astype(np.float32) for name, value in {**drawn, **plain}.items()}

    def apply(self, weights: Mapping[str, jax.Array], inputs: jax.Array) -> jax.Array:
        """(rows, steps, inputs) to (rows, width)."""
        import jax.numpy as jnp

        encoded: jax.Array = self._encode(jnp, weights, inputs)
        return encoded

    def evaluate(self, weights: Mapping[str, Single], inputs: FloatArray) -> FloatArray:
        """The same in float64."""
        wide = {name: value.astype(np.float64) for name, value in weights.items()}
        encoded: FloatArray = self._encode(np, wide, inputs)
        return encoded

    def _encode(self, xp: Any, weights: Mapping[str, Any], inputs: Any) -> Any:  # noqa: ANN401 numpy or jax.numpy
        state = inputs @ weights["embed"] + weights["positions"]
        for layer in range(self.layers):
            w = {n.removeprefix(f"{layer}/"): v for n, v in weights.items()}
            seen = _normalised(xp, state, w["before_gain"], w["before_shift"])
            asked = xp.matmul(seen @ w["query"], xp.swapaxes(seen @ w["key"], 1, 2))
            asked = asked / np.sqrt(self.size)
            raised = xp.exp(asked - xp.max(asked, axis=2, keepdims=True))
            share = raised / xp.sum(raised, axis=2, keepdims=True)
            state = state + xp.matmul(share, seen @ w["value"]) @ w["mix"]
            seen = _normalised(xp, state, w["between_gain"], w["between_shift"])
            lifted = xp.maximum(seen @ w["up"] + w["up_bias"], 0.0)
            state = state + lifted @ w["down"] + w["down_bias"]
        return _normalised(xp, state[:, -1], weights["last_gain"], weights["last_shift"])

    def add_to_graph(self, graph: GraphBuilder, weights: Mapping[str, Single], inputs: str) -> str:
        """Add the same in float64."""
        own = {n: v for n, v in weights.items() if not n.startswith("out_")}
        made = {n: graph.constant(v.astype(np.float64)) for n, v in own.items()}
        root = graph.constant(np.array(np.sqrt(self.size)))
        state = graph.node("MatMul", inputs, made["embed"])
        state = graph.node("Add", state, made["positions"])
        for layer in range(self.layers):
            w = {n.removeprefix(f"{layer}/"): v for n, v in made.items()}
            seen = _add_normalised(graph, state, w["before_gain"], w["before_shift"])
            query, key, value = (
                graph.node("MatMul", seen, w[n]) for n in ("query", "key", "value")
            )
            turned = graph.node("Transpose", key, perm=[0, 2, 1])
            asked = graph.node("Div", graph.node("MatMul", query, turned), root)
            share = graph.node("Softmax", asked, axis=2)
            mixed = graph.node("MatMul", graph.node("MatMul", share, value), w["mix"])
            state = graph.node("Add", state, mixed)
            seen = _add_normalised(graph, state, w["between_gain"], w["between_shift"])
            up = graph.node("Add", graph.node("MatMul", seen, w["up"]), w["up_bias"])
            down = graph.node("MatMul", graph.node("Relu", up), w["down"])
            state = graph.node("Sum", state, down, w["down_bias"])
        newest = graph.node("Gather", state, graph.constant(np.array([self.steps - 1])), axis=1)
        last = graph.node("Squeeze", newest, graph.constant(np.array([1])))
        return _add_normalised(graph, last, made["last_gain"], made["last_shift"])


def transformer(
    features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]
) -> SequenceFit:
    """Fit one window; see `SequenceParameters` for layout, scaling and training.

    Raises:
        MissingExtraError: JAX or optax is not installed.
    """
    wanted = TransformerParameters.read("transformer", params)

    def network_of(steps: int, inputs: int) -> TransformerNetwork:
        return TransformerNetwork(steps, inputs, wanted.width, wanted.layers)

    return fit_sequences([(features, target)], wanted, family="transformer", network_of=network_of)[
        0
    ]


def _normalised(xp: Any, state: Any, gain: Any, shift: Any) -> Any:  # noqa: ANN401 numpy or jax.numpy
    centred = state - xp.mean(state, axis=-1, keepdims=True)
    variance = xp.mean(centred**2, axis=-1, keepdims=True)
    return centred / xp.sqrt(variance + EPSILON) * gain + shift


def _add_normalised(graph: GraphBuilder, state: str, gain: str, shift: str) -> str:
    return graph.node("LayerNormalization", state, gain, shift, axis=-1, epsilon=EPSILON)
