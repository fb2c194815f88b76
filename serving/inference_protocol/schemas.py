"""Bodies of the protocol's answers, and the form of a request, for the documentation page.

Here: field names and meanings after the protocol. Not here: the reading of requests (`messages`),
which has to be faster than these.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, Field

Parameters = dict[str, Any]


class ServerLive(BaseModel):
    """The process answers."""

    live: bool


class ServerReady(BaseModel):
    """At least one model answers."""

    ready: bool


class ModelReady(BaseModel):
    """The model answers."""

    name: str = Field(examples=["bitcoin_close"])
    ready: bool


class ServerMetadata(BaseModel):
    """Who speaks the protocol, and with which extensions."""

    name: str = Field(examples=["forecasts"])
    version: str = Field(examples=["1"])
    extensions: list[str] = Field(examples=[["binary_tensor_data"]])


class TensorMetadata(BaseModel):
    """One tensor; a length of -1 is free."""

    name: str = Field(examples=["features"])
    datatype: str = Field(examples=["FP64"])
    shape: list[int] = Field(examples=[[-1, 17]])
    parameters: Parameters = Field(
        default_factory=dict, description="`columns` of the features, `unit` of an output"
    )


class ModelMetadata(BaseModel):
    """A model's versions and tensors."""

    name: str = Field(examples=["bitcoin_close"])
    versions: list[str] = Field(description="newest first", examples=[["3", "2", "1"]])
    platform: str = Field(examples=["onnxruntime_onnx"])
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputTensor(BaseModel):
    """One output; its values are here, or behind the JSON when `binary_data_size` is given."""

    name: str = Field(examples=["point"])
    datatype: str = Field(examples=["FP64"])
    shape: list[int] = Field(examples=[[1]])
    parameters: Parameters = Field(default_factory=dict)
    data: list[float] | None = Field(default=None, examples=[[67123.4]])


class InferenceAnswer(BaseModel):
    """Forecasts, one value in each output for each row."""

    model_name: str = Field(examples=["bitcoin_close"])
    model_version: str = Field(examples=["3"])
    id: str | None = Field(default=None, description="as in the request", examples=["42"])
    parameters: Parameters = Field(
        description="what the answer rests on: alias, data_version, run_id, unit, ..."
    )
    outputs: list[OutputTensor]


class ProtocolError(BaseModel):
    """An error in the protocol's form: value, rule and remedy in one sentence."""

    error: str = Field(
        examples=["input features of shape [1, 2]: it must have shape [rows, 3]; send all features"]
    )


_TENSOR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"enum": ["FP64", "FP32", "INT64"]},
        "shape": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 1,
            "maxItems": 2,
        },
        "parameters": {"type": "object"},
        "data": {"type": "array", "description": "row by row; null is a missing value"},
    },
}

REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "parameters": {
                        "type": "object",
                        "properties": {
                            "alias": {
                                "type": "string",
                                "description": "answer by the version of this alias",
                            },
                            "binary_data_output": {"type": "boolean"},
                        },
                    },
                    "inputs": {"type": "array", "items": _TENSOR},
                    "outputs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {"name": {"enum": ["point", "lower", "upper"]}},
                        },
                    },
                },
            },
            "examples": {
                "example": {
                    "summary": "The example of the model's card",
                    "value": {
                        "id": "42",
                        "inputs": [
                            {
                                "name": "features",
                                "datatype": "FP64",
                                "shape": [1, 3],
                                "data": [0.01, None, 1.8],
                            },
                            {
                                "name": "last_value",
                                "datatype": "FP64",
                                "shape": [1],
                                "data": [60000.0],
                            },
                        ],
                    },
                }
            },
        }
    },
}
"""OpenAPI's description of an inference request, which is read without pydantic."""
