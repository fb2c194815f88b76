"""The transformer: its arithmetic by hand, the same in JAX, numpy and ONNX, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.training.transformer import EPSILON, TransformerNetwork, transformer
from mlops_assets_tests.training.networks import STEPS, in_graph, in_jax, sequences

PARAMS = {"lookback": STEPS, "width": 8, "epochs": 25, "batch": 64, "learning_rate": 0.01}
FEATURES, TARGET = sequences(600, missing=0.02)
FRESH, WANTED = sequences(300, seed=5)


def test_without_layers_worth_the_name_the_last_step_is_embedded_and_normalised() -> None:
    network = TransformerNetwork(steps=2, inputs=1, size=2, layers=1)
    weights = network.start(np.random.default_rng(0))
    weights["embed"] = np.array([[1.0, 3.0]], np.float32)
    weights["positions"] = np.array([[5.0, 5.0], [0.0, 1.0]], np.float32)
    weights |= {f"0/{name}": np.zeros_like(weights[f"0/{name}"]) for name in ("mix", "down")}

    encoded = network.evaluate(weights, np.array([[[9.0], [2.0]]]))

    # 2 (1, 3) + (0, 1) = (2, 7): mean 4.5, deviations -2.5 and 2.5, variance 6.25.
    height = 2.5 / np.sqrt(6.25 + EPSILON)
    assert encoded == pytest.approx(np.array([[-height, height]]), rel=1e-12)


def test_attention_with_equal_scores_takes_the_mean_of_the_steps() -> None:
    network = TransformerNetwork(steps=2, inputs=2, size=2, layers=1)
    weights = network.start(np.random.default_rng(0))
    one = np.eye(2, dtype=np.float32)
    weights |= {"embed": one, "positions": np.zeros((2, 2), np.float32)}
    weights |= {"0/query": 0 * one, "0/key": one, "0/value": one, "0/mix": one}
    weights["0/down"] = np.zeros_like(weights["0/down"])

    encoded = network.evaluate(weights, np.array([[[4.0, 0.0], [0.0, 2.0]]]))

    # Normalised, the steps are about (1, -1) and (-1, 1): their mean is about nothing, so the last
    # step stays as it is, (0, 2), and is normalised to about (-1, 1).
    assert encoded == pytest.approx(np.array([[-1.0, 1.0]]), abs=1e-4)


@pytest.mark.parametrize("layers", [1, 2])
def test_jax_numpy_and_the_graph_agree(layers: int) -> None:
    fit = transformer(FEATURES, TARGET, params={**PARAMS, "layers": layers, "epochs": 3})

    scaled, twin = fit.inputs.apply(FRESH), fit.predict(FRESH)
    in_float32 = fit.target.spread * in_jax(fit.network, fit.members[0].weights, scaled)

    assert np.abs(twin - in_float32).max() < 5e-6
    assert np.abs(in_graph(fit, FRESH) - twin).max() < 1e-11
    assert np.abs(twin).max() > 0.1  # there is something to agree on


def test_the_planted_signal_is_learned() -> None:
    given = transformer(FEATURES, TARGET, params=PARAMS).predict(FRESH)

    assert np.corrcoef(given, WANTED)[0, 1] > 0.9
