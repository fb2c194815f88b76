"""The protocol's messages as bytes: requests are read, answers are written.

Here: the JSON of a request, the binary tensors that may follow it, and the same for an answer.
Not here: what a tensor may look like (`tensors`), what it means to a model (`service`), HTTP
(`router`).

A message is JSON, optionally followed by raw tensors (the protocol's binary tensor data extension);
the header `Inference-Header-Content-Length` then says where the JSON ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from serving.contract.steps import FloatArray
from serving.domain_errors import UnusableInputError

JSON_LENGTH_HEADER: Final = "Inference-Header-Content-Length"
EXTENSIONS: Final = ("binary_tensor_data",)

_SHOWN_CHARACTERS: Final = 200


Length = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number of values or bytes as a request gives it; its sense is judged with the tensor."""


class TensorParameters(msgspec.Struct, frozen=True):
    """What a request says about a tensor beside its type and shape."""

    binary_data_size: Length | None = None


class InputTensor(msgspec.Struct, frozen=True):
    """A tensor of a request; its values are not looked at yet."""

    name: str
    datatype: str
    shape: list[Length]
    parameters: TensorParameters = msgspec.field(default_factory=TensorParameters)
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class OutputParameters(msgspec.Struct, frozen=True):
    """How an output shall be written."""

    binary_data: bool | None = None
    classification: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class AskedOutput(msgspec.Struct, frozen=True):
    """An output that is asked for by name."""

    name: str
    parameters: OutputParameters = msgspec.field(default_factory=OutputParameters)


class RequestParameters(msgspec.Struct, frozen=True):
    """What a request says beside its tensors."""

    binary_data_output: bool = False
    alias: str | None = None


class InferenceRequest(msgspec.Struct, frozen=True):
    """A request without the binary tensors that follow it."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: RequestParameters = msgspec.field(default_factory=RequestParameters)
    outputs: list[AskedOutput] | None = None


_DECODER: Final = msgspec.json.Decoder(InferenceRequest)


def parse_request(body: bytes, json_length: str | None) -> tuple[InferenceRequest, bytes]:
    """A request and the raw tensors behind its JSON.

    Args:
        body: as received.
        json_length: the header that says where the JSON ends; None when all of the body is JSON.

    Raises:
        UnusableInputError: the header or the JSON cannot be used.
    """
    end = len(body)
    if json_length is not None:
        # More than 18 digits are too many for any body, and for int() at some length.
        if not json_length.isascii() or not json_length.isdecimal() or len(json_length) > 18:
            raise _unusable_length(json_length, end)
        end = int(json_length)
        if end > len(body):
            raise _unusable_length(json_length, len(body))
    try:
        request = _DECODER.decode(memoryview(body)[:end])
    except (ValueError, RecursionError) as error:
        raise UnusableInputError(
            value="the request's JSON",
            rule=f"it must be an inference request of the protocol: {shown(error)}",
            remedy="send inputs with name, datatype, shape and data, as /docs shows; null is a "
            "missing value",
        ) from error
    return request, body[end:]


def _unusable_length(given: str, size: int) -> UnusableInputError:
    return UnusableInputError(
        value=f"{JSON_LENGTH_HEADER} = {shown(given)!r}",
        rule=f"it must be the length of the JSON part of the body, which has {size} bytes",
        remedy="leave the header out when all tensors are in the JSON",
    )


def encode_answer(
    answer: Mapping[str, Any], outputs: Sequence[tuple[str, FloatArray, bool]]
) -> tuple[bytes, int | None]:
    """An answer's body, and the length of its JSON where raw tensors follow it.

    Args:
        answer: everything but the outputs.
        outputs: name, values of shape (rows,), and whether the values go behind the JSON.
    """
    described: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for name, values, binary in outputs:
        tensor: dict[str, Any] = {"name": name, "datatype": "FP64", "shape": [len(values)]}
        if binary:
            raw.append(values.astype("<f8").tobytes())
            tensor["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            tensor["data"] = values.tolist()
        described.append(tensor)
    text = msgspec.json.encode({**answer, "outputs": described})
    return b"".join((text, *raw)), len(text) if raw else None


def shown(value: object) -> str:
    """A value that came in, short and printable enough for an error message."""
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
