from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mlops_assets_tests.serving.published import (
    PROBLEM,
    card,
    files_of,
    model_files,
    onnx_model,
    registered,
)
from mlops_assets_tests.serving.published_shares import SHARES, share_example, share_files
from serving.contract.model_card import Example
from serving.domain_errors import ModelRefusedError, RefusalReason
from serving.model_files import ModelFiles, load_model


def refusal_of(files: ModelFiles, *, problem: str = PROBLEM) -> ModelRefusedError:
    """The refusal of two files whose registry entry pins exactly them."""
    with pytest.raises(ModelRefusedError) as refused:
        load_model(files, registered(files), problem=problem)
    return refused.value


def changed(model: onnx.ModelProto) -> ModelFiles:
    """Files with another graph and a card that agrees with it."""
    content = model.SerializeToString()
    return files_of(content, card(content, slope=-0.1))


def external(tensor: TensorProto) -> None:
    """Let a tensor read its content from another file of the machine."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/hostname")


def test_a_model_that_agrees_with_card_and_registry_is_loaded_and_forecasts() -> None:
    files = model_files(-0.1)
    model = load_model(files, registered(files), problem=PROBLEM)
    lower, point, upper = model.quantiles(np.array([[0.0, 0.01, 2.0]]), np.array([100.0]))[0]
    assert point == 100.0
    assert lower == pytest.approx(100 / upper * 100, rel=1e-12)
    assert upper == pytest.approx(102.02013400267558, rel=1e-12)  # 100 * exp(0.02)


@pytest.mark.parametrize("file", ["model", "card"])
def test_a_file_that_was_changed_after_registration_is_refused(file: str) -> None:
    files = model_files()
    entry = registered(files)
    tampered = replace(files, **{file: getattr(files, file) + b"\n"})
    with pytest.raises(ModelRefusedError, match="a file that was changed is not served") as refused:
        load_model(tampered, entry, problem=PROBLEM)
    assert refused.value.reason is RefusalReason.CHECKSUM


def test_a_version_without_checksums_is_refused() -> None:
    files = model_files()
    with pytest.raises(ModelRefusedError, match="no sha256 tag") as refused:
        load_model(files, replace(registered(files), model_sha256=None), problem=PROBLEM)
    assert refused.value.reason is RefusalReason.TAGS


def test_a_card_that_pins_another_model_is_refused() -> None:
    files = files_of(
        onnx_model(-0.1).SerializeToString(),
        card(onnx_model(-0.2).SerializeToString(), slope=-0.2),
    )
    assert refusal_of(files).reason is RefusalReason.CHECKSUM


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(pickle.dumps({"weights": [1.0, 2.0]}), id="a pickle"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"PK\x03\x04", id="a zip archive"),
    ],
)
def test_content_that_is_no_onnx_graph_is_refused(content: bytes) -> None:
    refusal = refusal_of(files_of(content, card(content, slope=-0.1)))
    assert refusal.reason is RefusalReason.FORMAT
    assert "export the model to ONNX" in str(refusal)


def test_a_graph_whose_tensor_lies_in_another_file_is_refused() -> None:
    model = onnx_model(-0.1)
    external(model.graph.initializer[-1])
    assert refusal_of(changed(model)).reason is RefusalReason.EXTERNAL_DATA


def test_an_external_tensor_hidden_in_a_constant_of_a_subgraph_is_refused() -> None:
    model = onnx_model(-0.1)
    hidden = numpy_helper.from_array(np.array([1.0]), "hidden")
    external(hidden)
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["one"], value=hidden)],
        "branch",
        [],
        [helper.make_tensor_value_info("one", TensorProto.DOUBLE, [1])],
    )
    model.graph.node.append(
        helper.make_node("If", ["no"], ["unused"], then_branch=branch, else_branch=branch)
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(False), "no"))
    assert refusal_of(changed(model)).reason is RefusalReason.EXTERNAL_DATA


def test_an_operator_of_another_domain_is_refused_by_name() -> None:
    model = onnx_model(-0.1)
    model.graph.node[-1].domain = "com.example.plugin"
    refusal = refusal_of(changed(model))
    assert refusal.reason is RefusalReason.OPERATOR_DOMAIN
    assert "com.example.plugin" in str(refusal)


def test_a_graph_that_the_runtime_cannot_load_is_refused() -> None:
    model = onnx_model(-0.1)
    model.graph.node[-1].op_type = "NoSuchOperator"
    assert refusal_of(changed(model)).reason is RefusalReason.FORMAT


@pytest.mark.parametrize(
    "fields",
    [
        {"input_type": "float32"},
        {"input_name": "x"},
        {"output_name": "y"},
        {"features": [{"name": n, "source": "observed"} for n in ("ret", "vol")]},
    ],
)
def test_a_card_whose_names_types_or_columns_are_not_the_graphs_is_refused(
    fields: dict[str, object],
) -> None:
    assert refusal_of(model_files(-0.1, **fields)).reason is RefusalReason.SIGNATURE


@pytest.mark.parametrize(("relative_error", "accepted"), [(0.5e-6, True), (2e-6, False)])
def test_the_example_must_come_out_to_one_millionth_in_float64(
    relative_error: float, accepted: bool
) -> None:
    content = onnx_model(0.0).SerializeToString()
    expected = [[100.0, 100.0, 100.0 * (1 + relative_error)]]
    example = Example(features=[[1.0, 0.0, 1.0]], last_value=[100.0], expected=expected)
    files = files_of(content, card(content, slope=0.0, example=example))
    if accepted:
        assert load_model(files, registered(files), problem=PROBLEM).card.candidate == "by_hand"
    else:
        assert refusal_of(files).reason is RefusalReason.WARM_UP


def test_a_float32_model_is_fed_float32_and_compared_to_one_ten_thousandth() -> None:
    content = onnx_model(-0.1, element=TensorProto.FLOAT).SerializeToString()
    files = files_of(content, card(content, slope=-0.1, input_type="float32"))
    model = load_model(files, registered(files), problem=PROBLEM)
    (quantiles,) = model.quantiles(np.array([[0.01, 0.005, 1.6]]), np.array([60000.0]))
    assert quantiles[1] == pytest.approx(60000 * np.exp(-0.001), rel=1e-6)


def test_an_example_without_a_finite_output_is_refused() -> None:
    example = Example(features=[[None, 0.005, 1.6]], last_value=[1.0], expected=[[1.0, 1.0, 1.0]])
    assert refusal_of(model_files(-0.1, example=example)).reason is RefusalReason.WARM_UP


@pytest.mark.parametrize("features", [[], [[1.0, 2.0]]])
def test_an_example_of_another_shape_is_refused(features: list[list[float]]) -> None:
    example = Example.model_validate({"features": features, "last_value": [], "expected": []})
    assert refusal_of(model_files(-0.1, example=example)).reason is RefusalReason.CARD


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not json", RefusalReason.CARD),
        (b"[]", RefusalReason.CONTRACT),
        (b'{"contract_version": 1}', RefusalReason.CONTRACT),
        (b'{"contract_version": 2, "problem": "bitcoin_close"}', RefusalReason.CARD),
    ],
)
def test_a_card_of_another_form_or_contract_version_is_refused(
    content: bytes, reason: RefusalReason
) -> None:
    files = ModelFiles(model=onnx_model(-0.1).SerializeToString(), card=content)
    assert refusal_of(files).reason is reason


def test_a_model_of_another_problem_is_refused() -> None:
    refusal = refusal_of(model_files(), problem="sports_drink_share")
    assert "'bitcoin_close'" in str(refusal)
    assert "'sports_drink_share'" in str(refusal)


def test_an_example_of_shares_is_verified_with_its_segments() -> None:
    files = share_files()
    model = load_model(files, registered(files), problem=SHARES)
    assert model.card.example.segment == [4, 4, 9]


def test_an_example_whose_shares_belong_to_other_segments_is_refused() -> None:
    files = share_files(example=share_example(segment=[4, 9, 9]))
    refusal = refusal_of(files, problem=SHARES)
    assert refusal.reason is RefusalReason.WARM_UP
    assert "relative difference" in str(refusal)


@pytest.mark.parametrize("segment", [[], [4, 4]])
def test_an_example_of_shares_without_one_segment_a_row_is_refused(segment: list[int]) -> None:
    refusal = refusal_of(share_files(example=share_example(segment=segment)), problem=SHARES)
    assert refusal.reason is RefusalReason.CARD
    assert f"3 rows and {len(segment)} segments" in str(refusal)


def test_a_bound_of_zero_is_compared_in_percent() -> None:
    example = share_example(
        features=[[1.0, -2.0, 0.2]],
        last_value=[1.0],
        segment=[1],
        expected=[[1e-7, 100.0, 100.0]],
    )
    # One series is all of its segment: 100 %, and an angle of pi / 2 - 2 < 0 is cut to zero.
    files = share_files(example=example)
    assert load_model(files, registered(files), problem=SHARES).card.example == example
