"""Flat columns become scaled sequences, oldest step first, in Python and in the graph."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnxruntime
import pytest

from mlops_assets.problem import ProblemError
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.onnx_graph import GraphBuilder
from mlops_assets.training.sequence_inputs import SequenceScaling, scaling_of

TWO_STEPS = np.array([[1.0, 10.0, 3.0, 30.0], [5.0, 50.0, 7.0, np.nan]])
"""Two rows of two steps with two inputs: the first holds 1, 3, 5, 7, the second 10, 30, 50."""


def scaling(
    method: Literal["standard", "range"] = "standard", clip: float | None = None
) -> SequenceScaling:
    return scaling_of(TWO_STEPS, family="lstm", lookback=2, method=method, clip=clip)


def in_graph(made: SequenceScaling, features: FloatArray) -> FloatArray:
    graph = GraphBuilder()
    sequence = made.add_to_graph(graph, "features")
    flat = graph.node("Reshape", sequence, graph.constant(np.array([-1, made.steps * made.inputs])))
    output = graph.columns(flat, [0, 1, 2])
    model = graph.model(
        input_name="features", columns=features.shape[1], output=output, output_name="quantiles"
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"features": features})[0], dtype=np.float64)


def test_an_input_is_centred_and_divided_by_its_deviation_over_all_steps() -> None:
    made = scaling()

    assert made.center.tolist() == [4.0, 30.0]  # (1 + 3 + 5 + 7) / 4 and (10 + 30 + 50) / 3
    root = np.sqrt(5.0)  # of (9 + 1 + 1 + 9) / 4
    assert made.spread == pytest.approx([root, np.sqrt(800 / 3)])
    assert made.apply(TWO_STEPS)[0, :, 0] == pytest.approx([-3 / root, -1 / root])


def test_the_range_takes_the_smallest_value_to_0_and_the_largest_to_1() -> None:
    scaled = scaling("range").apply(TWO_STEPS)

    assert scaled[:, :, 0] == pytest.approx(np.array([[0, 1 / 3], [2 / 3, 1]]))
    assert scaled[0, :, 1] == pytest.approx([0.0, 0.5])


def test_the_oldest_step_comes_first_and_inputs_stay_beside_each_other() -> None:
    still = SequenceScaling(2, np.zeros(2), np.ones(2), np.inf)

    assert still.apply(TWO_STEPS)[0].tolist() == [[1.0, 10.0], [3.0, 30.0]]


def test_a_missing_input_counts_as_its_mean() -> None:
    assert scaling().apply(TWO_STEPS)[1, 1, 1] == 0.0


def test_scaled_inputs_are_cut_at_the_limit() -> None:
    assert scaling(clip=0.5).apply(TWO_STEPS)[0, :, 0].tolist() == [-0.5, -1 / np.sqrt(5.0)]


@pytest.mark.parametrize("dead", [np.nan, 3.0])
@pytest.mark.parametrize("method", ["standard", "range"])
def test_an_input_that_says_nothing_becomes_zero(
    method: Literal["standard", "range"], dead: float
) -> None:
    columns = np.column_stack([np.array([1.0, 2.0]), np.full(2, dead)])

    made = scaling_of(columns, family="lstm", lookback=1, method=method, clip=None)

    assert made.apply(columns)[:, 0, 1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("clip", [None, 0.5])
def test_the_graph_scales_as_python_does(clip: float | None) -> None:
    made = scaling(clip=clip)

    given = in_graph(made, TWO_STEPS)

    assert given == pytest.approx(made.apply(TWO_STEPS).reshape(2, 4)[:, :3], abs=1e-15)


@pytest.mark.parametrize("columns", [0, 3])
def test_columns_that_are_no_whole_number_of_inputs_are_refused(columns: int) -> None:
    with pytest.raises(ProblemError) as caught:
        scaling_of(np.zeros((5, columns)), family="lstm", lookback=2, method="standard", clip=None)

    assert str(caught.value) == (
        f"family 'lstm' has {columns} features and params.lookback 2; it needs one column for each "
        "of the steps and inputs, so a multiple of the lookback; give it a feature set of the "
        "columns of one `recent_bars` group with the same lookback"
    )
