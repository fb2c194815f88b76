"""The LSTM: its arithmetic by hand, the same in JAX, numpy and ONNX, and that it learns."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mlops_assets.problem import ProblemError
from mlops_assets.training.forecaster import FloatArray, Location
from mlops_assets.training.lstm import LstmNetwork, lstm, lstm_of_windows
from mlops_assets.training.onnx_graph import GraphBuilder
from mlops_assets.training.sequence_location import SequenceFit
from mlops_assets_tests.training.networks import INPUTS, STEPS, in_graph, in_jax, sequences

PARAMS = {
    "lookback": STEPS, "hidden": 8, "seeds": 2, "epochs": 20, "batch": 64, "learning_rate": 0.01,
}  # fmt: skip
FEATURES, TARGET = sequences(600, missing=0.02)
FRESH, WANTED = sequences(300, seed=5)
LEVEL_PARAMS = {
    "lookback": 12,
    "hidden": 8,
    "epochs": 60,
    "patience": None,
    "dropout": 0.0,
    "batch": 64,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "input_scaling": "range",
    "input_clip": None,
    "zero_output": False,
    "level_input": 0,
}
"""A network that learns the next price itself from twelve prices and a second input."""


def test_one_step_of_a_cell_is_what_the_formula_says() -> None:
    network = LstmNetwork(inputs=1, hidden=1)
    weights = {
        "kernel": np.array([[0.0, 0.0, 0.0, 1.0]], np.float32),
        "recurrent": np.array([[0.0, 0.0, 0.0, 2.0]], np.float32),
        "bias": np.zeros(4, np.float32),
    }

    hidden = network.evaluate(weights, np.array([[[1.0], [0.5]]]))

    # All gates are sigmoid(0) = 1/2, so the cell is c1 = tanh(1) / 2 and h1 = tanh(c1) / 2; then
    # c2 = c1 / 2 + tanh(0.5 + 2 h1) / 2 and h2 = tanh(c2) / 2.
    first = np.tanh(1.0) / 2
    second = first / 2 + np.tanh(0.5 + 2 * np.tanh(first) / 2) / 2
    assert hidden == pytest.approx(np.array([[np.tanh(second) / 2]]), rel=1e-14)


@pytest.fixture(scope="module")
def fit() -> SequenceFit:
    return lstm(FEATURES, TARGET, params=PARAMS)


def mean_of_members(fit: SequenceFit, features: FloatArray) -> FloatArray:
    """The members in JAX, in float32, averaged."""
    scaled = fit.inputs.apply(features)
    parts = [in_jax(fit.network, member.weights, scaled) for member in fit.members]
    mean: FloatArray = fit.target.spread * np.mean(parts, axis=0)
    return mean


def test_jax_numpy_and_the_graph_agree_to_a_millionth(fit: SequenceFit) -> None:
    in_float32 = mean_of_members(fit, FRESH)

    assert np.abs(fit.predict(FRESH) - in_float32).max() < 1e-6
    assert np.abs(in_graph(fit, FRESH) - in_float32).max() < 1e-6
    assert np.abs(in_float32).max() > 0.5  # there is something to agree on


def test_the_graph_agrees_on_rows_with_gaps(fit: SequenceFit) -> None:
    holed, _ = sequences(200, seed=7, missing=0.3)

    assert np.abs(in_graph(fit, holed) - fit.predict(holed)).max() < 1e-6


def test_the_graph_holds_one_lstm_node_a_seed(fit: SequenceFit) -> None:
    graph = GraphBuilder()
    location = fit.add_to_graph(graph, "features")
    output = graph.node("Concat", location, location, location, axis=1)

    model = graph.model(
        input_name="features", columns=STEPS * INPUTS, output=output, output_name="quantiles"
    )

    assert [node.op_type for node in model.graph.node].count("LSTM") == 2
    assert fit.describe()["seeds"] == 2


def test_the_planted_signal_is_learned(fit: SequenceFit) -> None:
    assert np.corrcoef(fit.predict(FRESH), WANTED)[0, 1] > 0.95  # its best is 0.98: noise of .1


def test_a_target_without_signal_gives_no_change() -> None:
    # A target of zeros has nothing to learn, and the training starts from "no change".
    fit = lstm(FEATURES, np.zeros(len(FEATURES)), params=PARAMS)

    assert fit.predict(FRESH).tolist() == [0.0] * len(FRESH)


def test_the_first_of_several_seeds_is_the_only_one_of_one(fit: SequenceFit) -> None:
    alone = lstm(FEATURES, TARGET, params={**PARAMS, "seeds": 1})

    ours, theirs = fit.members[0], alone.members[0]
    assert {n: w.tobytes() for n, w in ours.weights.items()} == {
        n: w.tobytes() for n, w in theirs.weights.items()
    }


def test_a_fit_that_was_stored_forecasts_the_same_bits(fit: SequenceFit) -> None:
    again: Location = pickle.loads(pickle.dumps(fit))

    assert again.predict(FRESH).tobytes() == fit.predict(FRESH).tobytes()


def test_windows_fitted_together_are_those_fitted_alone(fit: SequenceFit) -> None:
    other = sequences(300, seed=3)

    together = lstm_of_windows([(FEATURES, TARGET), other], params=PARAMS)

    alone = [fit, lstm(*other, params=PARAMS)]
    assert [f.predict(FRESH).tobytes() for f in together] == [
        f.predict(FRESH).tobytes() for f in alone
    ]


def prices(rows: int) -> tuple[FloatArray, FloatArray]:
    """Twelve prices of a slow wave with a second input, and the log return to the next price."""
    price = 100 + 10 * np.sin(np.arange(rows + 13) / 8)
    steps = np.stack([price[k : k + rows] for k in range(12)], axis=1)
    features = np.stack([steps, np.ones_like(steps)], axis=2).reshape(rows, 24)
    return features, np.log(price[12 : 12 + rows] / price[11 : 11 + rows])


def test_a_network_may_learn_the_level_itself_and_still_gives_a_return() -> None:
    features, target = prices(500)

    fit = lstm(features, target, params=LEVEL_PARAMS)

    level = features[:, -2] * np.exp(fit.predict(features))
    wanted = features[:, -2] * np.exp(target)
    assert np.abs(level - wanted).max() < 3.0  # of a wave from 90 to 110
    assert np.abs(in_graph(fit, features) - fit.predict(features)).max() < 1e-6


def test_a_level_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(ProblemError, match=r"has 2 inputs and params\.level_input 2; .* 0 to 1"):
        lstm(FEATURES, TARGET, params={**PARAMS, "level_input": 2})
