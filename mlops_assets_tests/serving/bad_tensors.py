"""Inference requests that cannot be used; see `bad_input`."""

from __future__ import annotations

from typing import Final

from mlops_assets_tests.serving.bad_input import (
    INFER,
    PROTOCOL,
    VALUES,
    BadInput,
    infer,
)
from mlops_assets_tests.serving.wire import (
    get,
    post,
)

INFERENCE: Final = (
    BadInput(
        "a tensor of text",
        infer({"datatype": "BYTES", "data": ["a"]}),
        400,
        PROTOCOL,
        "datatype 'BYTES' is not served",
    ),
    BadInput(
        "a tensor of whole numbers",
        infer({"datatype": "INT64", "data": [1, 2, 3]}),
        400,
        PROTOCOL,
        "it must be of datatype FP64 or FP32",
    ),
    BadInput(
        "text in a tensor of numbers",
        infer({"data": ["a", "b", "c"]}),
        400,
        PROTOCOL,
        "its data are not FP64 in one list, or in a list of rows",
    ),
    BadInput(
        "fewer values than the shape says",
        infer({"shape": [2, 3], "data": VALUES}),
        400,
        PROTOCOL,
        "its data do not fill shape [2, 3]: 3 values",
    ),
    BadInput(
        "a negative length",
        infer({"shape": [-1, -3], "data": VALUES}),
        400,
        PROTOCOL,
        "shape [-1, -3] is not one or two lengths of at least 1",
    ),
    BadInput(
        "a length of 0",
        infer({"shape": [0, 3], "data": []}),
        400,
        PROTOCOL,
        "shape [0, 3] is not one or two lengths of at least 1",
    ),
    BadInput(
        "lengths whose product overflows",
        infer({"shape": [4, 2**62], "data": VALUES}),
        400,
        PROTOCOL,
        "its data do not fill shape [4, 4611686018427387904]: 3 values",
    ),
    BadInput(
        "a length beyond 64 bits",
        infer({"shape": [10**30], "data": VALUES}),
        400,
        PROTOCOL,
        "it must be an inference request of the protocol",
    ),
    BadInput(
        "too many rows for one request",
        infer({"shape": [10**6, 3], "data": VALUES}),
        400,
        PROTOCOL,
        "it has 1000000 rows, 5000 are allowed in one request",
    ),
    BadInput(
        "five dimensions",
        infer({"shape": [1, 1, 1, 1, 3], "data": VALUES}),
        400,
        PROTOCOL,
        "shape [1, 1, 1, 1, 3] is not one or two lengths of at least 1",
    ),
    BadInput(
        "fewer columns than the model has",
        infer({"shape": [1, 2], "data": VALUES[:2]}),
        400,
        PROTOCOL,
        "it must have shape [rows, 3], one column for each feature of the model",
    ),
    BadInput(
        "no last value",
        infer({"data": VALUES}),
        400,
        PROTOCOL,
        "the model forecasts a change from the newest known value, and needs it",
    ),
    BadInput(
        "no tensor",
        post(INFER, {"inputs": []}),
        400,
        PROTOCOL,
        "the 3 features of the model are needed, as one tensor features or as one",
    ),
    BadInput(
        "raw values fewer than announced",
        infer({"parameters": {"binary_data_size": 24}}, raw=b"12345678"),
        400,
        PROTOCOL,
        "binary_data_size 24 does not match: FP64 of shape [1, 3] has 24 bytes",
    ),
    BadInput(
        "a length of JSON beyond the body",
        infer({"data": VALUES}, Inference_Header_Content_Length="999999"),
        400,
        PROTOCOL,
        "it must be the length of the JSON part of the body, which has 99 bytes",
    ),
    BadInput(
        "a negative length of JSON",
        infer({"data": VALUES}, Inference_Header_Content_Length="-1"),
        400,
        PROTOCOL,
        "it must be the length of the JSON part of the body, which has 99 bytes",
    ),
    BadInput(
        "a size below zero",
        infer({"parameters": {"binary_data_size": -8}}),
        400,
        PROTOCOL,
        "binary_data_size -8 does not match: FP64 of shape [1, 3] has 24 bytes",
    ),
    BadInput(
        "an unknown output",
        post(INFER, {"inputs": [], "outputs": [{"name": "x"}]}),
        400,
        PROTOCOL,
        "each output may be asked for once, by its name",
    ),
    BadInput(
        "an unknown model", get("/v2/models/nope/ready"), 404, PROTOCOL, "it must be published"
    ),
)
"""What is no tensor of the model, and no request of the protocol."""
