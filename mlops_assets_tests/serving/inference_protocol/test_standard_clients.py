"""NVIDIA's client of the protocol, as it is installed, against the running service."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]

from mlops_assets_tests.serving.published import MODEL_NAME, PROBLEM, by_hand
from serving.contract.steps import FloatArray

ROWS: FloatArray = np.array([[0.01, 0.005, 1.6], [0.02, 0.004, 1.5]])
LAST_VALUE: FloatArray = np.array([60000.0, 50000.0])
EXPECTED = [
    by_hand(slope=-0.1, ret=0.01, vol=0.005, band=1.6, last_value=60000.0),
    by_hand(slope=-0.1, ret=0.02, vol=0.004, band=1.5, last_value=50000.0),
]
"""Lower, point and upper of each row."""


@pytest.fixture
def standard(client: httpx.Client) -> Iterator[triton.InferenceServerClient]:
    """The standard client of the service over one snapshot and one champion."""
    with triton.InferenceServerClient(f"127.0.0.1:{client.base_url.port}") as connected:
        yield connected


def tensors(*, binary: bool) -> list[triton.InferInput]:
    """`ROWS` with their last values."""
    given = [
        triton.InferInput("features", [2, 3], "FP64"),
        triton.InferInput("last_value", [2], "FP64"),
    ]
    for tensor, values in zip(given, (ROWS, LAST_VALUE), strict=True):
        tensor.set_data_from_numpy(values, binary_data=binary)
    return given


def assert_forecasts(result: triton.InferResult) -> None:
    """All three outputs are the ones worked by hand."""
    for column, name in enumerate(("lower", "point", "upper")):
        expected = [quantiles[column] for quantiles in EXPECTED]
        assert result.as_numpy(name).tolist() == pytest.approx(expected, rel=1e-12)


def test_a_standard_client_finds_server_and_model_live_and_ready(
    standard: triton.InferenceServerClient,
) -> None:
    assert standard.is_server_live()
    assert standard.is_server_ready()
    assert standard.is_model_ready(PROBLEM)
    assert standard.is_model_ready(MODEL_NAME)
    assert standard.is_model_ready(PROBLEM, "1")
    assert not standard.is_model_ready("nothing_of_that_name")
    assert not standard.is_model_ready(PROBLEM, "99")


def test_metadata_name_extensions_versions_and_tensors(
    standard: triton.InferenceServerClient,
) -> None:
    assert standard.get_server_metadata() == {
        "name": "forecasts",
        "version": "1",
        "extensions": ["binary_tensor_data"],
    }
    assert standard.get_model_metadata(PROBLEM) == {
        "name": PROBLEM,
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {
                "name": "features",
                "datatype": "FP64",
                "shape": [-1, 3],
                "parameters": {"columns": ["ret", "vol", "band_quantile"]},
            },
            {"name": "last_value", "datatype": "FP64", "shape": [-1], "parameters": {}},
        ],
        "outputs": [
            {
                "name": name,
                "datatype": "FP64",
                "shape": [-1],
                "parameters": {"unit": "USDT"},
            }
            for name in ("point", "lower", "upper")
        ],
    }
    assert standard.get_model_metadata(MODEL_NAME, "1")["name"] == MODEL_NAME


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False])
def test_forecasts_are_the_same_in_json_and_in_raw_tensors(
    standard: triton.InferenceServerClient, *, binary_input: bool, binary_output: bool
) -> None:
    outputs = [
        triton.InferRequestedOutput(name, binary_data=binary_output)
        for name in ("lower", "point", "upper")
    ]
    result = standard.infer(PROBLEM, tensors(binary=binary_input), outputs=outputs, request_id="7")
    assert_forecasts(result)
    answer = result.get_response()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("7", PROBLEM, "1")
    parameters = answer["parameters"]
    assert re.fullmatch("[0-9a-f]{32}", parameters.pop("request_id"))
    assert parameters == {
        "problem": PROBLEM,
        "model_name": MODEL_NAME,
        "candidate": "by_hand",
        "version": "1",
        "alias": "champion",
        "data_version": "data-1",
        "run_id": "mlflow-run",
        "synthetic": True,
        "stale": False,
        "unit": "USDT",
        "nominal_coverage": 0.9,
    }


def test_without_a_choice_all_outputs_come_as_raw_tensors(
    standard: triton.InferenceServerClient,
) -> None:
    result = standard.infer(PROBLEM, tensors(binary=True))
    assert_forecasts(result)
    assert [o["parameters"] for o in result.get_response()["outputs"]] == [
        {"binary_data_size": 16}
    ] * 3


def test_one_output_is_returned_where_one_is_asked_for(
    standard: triton.InferenceServerClient,
) -> None:
    result = standard.infer(
        PROBLEM, tensors(binary=True), outputs=[triton.InferRequestedOutput("point")]
    )
    assert [output["name"] for output in result.get_response()["outputs"]] == ["point"]
    assert result.as_numpy("lower") is None


def test_single_precision_is_widened(standard: triton.InferenceServerClient) -> None:
    features = triton.InferInput("features", [2, 3], "FP32")
    features.set_data_from_numpy(ROWS.astype(np.float32))
    result = standard.infer(PROBLEM, [features, tensors(binary=True)[1]])
    widened = float(np.float32(0.01))
    lower, point, upper = by_hand(
        slope=-0.1,
        ret=widened,
        vol=float(np.float32(0.005)),
        band=float(np.float32(1.6)),
        last_value=60000.0,
    )
    found = [result.as_numpy(name)[0] for name in ("lower", "point", "upper")]
    assert found == pytest.approx([lower, point, upper], rel=1e-12)


def test_a_version_is_chosen_by_its_number(standard: triton.InferenceServerClient) -> None:
    result = standard.infer(PROBLEM, tensors(binary=True), model_version="1")
    assert_forecasts(result)
    assert result.get_response()["parameters"].get("alias") is None


def test_a_refusal_reaches_the_client_with_value_rule_and_remedy(
    standard: triton.InferenceServerClient,
) -> None:
    wide = triton.InferInput("features", [2, 4], "FP64")
    wide.set_data_from_numpy(np.zeros((2, 4)))
    with pytest.raises(triton.InferenceServerException) as raised:
        standard.infer(PROBLEM, [wide])
    assert raised.value.status() == "400"
    assert raised.value.message() == (
        "input features of shape [2, 4]: it must have shape [rows, 3], one column for each feature "
        "of the model; send all features in the order of the card, which the model's metadata "
        "lists (known: ret, vol, band_quantile)"
    )


def test_an_unknown_model_is_not_found(standard: triton.InferenceServerClient) -> None:
    with pytest.raises(triton.InferenceServerException) as raised:
        standard.infer("eth_close", tensors(binary=True))
    assert raised.value.status() == "404"
    assert "problem eth_close" in raised.value.message()
