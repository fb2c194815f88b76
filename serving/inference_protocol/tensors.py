"""Tensors of a request as arrays: types, shapes and sizes are checked before a value is touched.

Here: JSON and raw data to numpy, and the refusal of what does not match its description. Not here:
which tensors a model takes (`service`). Nothing is allocated by a shape alone: the values must have
arrived in the number that the shape says.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from serving.domain_errors import UnusableInputError
from serving.inference_protocol.messages import InferenceRequest, InputTensor, shown

Tensor = npt.NDArray[np.float64] | npt.NDArray[np.int64]
_Values = npt.NDArray[np.generic]
"""Of any type and shape."""

_MAX_DIMENSIONS: Final = 2
_RAW: Final = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8"}
"""Datatype of the protocol -> numpy's name of its raw form."""

_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_JSON: Final[dict[str, tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]]] = {
    datatype: (msgspec.json.Decoder(list[number]), msgspec.json.Decoder(list[list[number]]))  # type: ignore[valid-type]
    for datatype, number in (("FP64", float | None), ("FP32", float | None), ("INT64", _Whole))
}
"""Datatype -> decoders of its values as one list and as a list of rows."""


def read_tensors(request: InferenceRequest, raw: bytes, *, max_rows: int) -> dict[str, Tensor]:
    """The tensors of a request by name, shape as described; FP32 is widened to FP64, null is NaN.

    Args:
        request: describes the tensors and holds the values that are JSON.
        raw: the values that followed the JSON, in the order of the tensors they are of.
        max_rows: a longer first dimension is refused.

    Raises:
        UnusableInputError: a tensor occurs twice, its type or shape is not served, or its values
            are not of that type, not finite or not as many as the shape says.
    """
    tensors: dict[str, Tensor] = {}
    offset = 0
    for tensor in request.inputs:
        if tensor.name in tensors:
            raise _refusal(tensor, "a tensor may occur once", "send it once")
        count = _count(tensor, max_rows=max_rows)
        size = tensor.parameters.binary_data_size
        if size is None:
            values = _from_json(tensor)
        else:
            values = _from_raw(tensor, raw, offset=offset, size=size, count=count)
            offset += size
        tensors[tensor.name] = _checked(tensor, values)
    if offset != len(raw):
        raise UnusableInputError(
            value=f"{len(raw)} bytes behind the JSON",
            rule=f"the inputs' binary_data_size adds up to {offset}",
            remedy="send as many bytes as the inputs announce",
        )
    return tensors


def _count(tensor: InputTensor, *, max_rows: int) -> int:
    """How many values the shape says."""
    if tensor.datatype not in _RAW:
        raise _refusal(
            tensor,
            f"datatype {shown(tensor.datatype)!r} is not served",
            f"send it as one of {', '.join(_RAW)}",
        )
    shape = tensor.shape
    if not 1 <= len(shape) <= _MAX_DIMENSIONS or min(shape) < 1:
        raise _refusal(
            tensor,
            f"shape {shown(shape)} is not one or two lengths of at least 1",
            "send [rows] or [rows, columns]",
        )
    if shape[0] > max_rows:
        raise _refusal(
            tensor,
            f"it has {shown(shape[0])} rows, {max_rows} are allowed in one request",
            "send several requests, or raise MLOPS_API_MAX_ROWS",
        )
    return prod(shape)


def _from_json(tensor: InputTensor) -> _Values:
    if isinstance(tensor.data, msgspec.UnsetType):
        raise _refusal(
            tensor,
            "it has neither data nor the parameter binary_data_size",
            "send its values in data",
        )
    text = bytes(tensor.data)
    by_row = text[1:].lstrip()[:1] == b"["
    try:
        values = _JSON[tensor.datatype][by_row].decode(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(
            tensor,
            f"its data are not {tensor.datatype} in one list, or in a list of rows: {shown(error)}",
            "send numbers; null is a missing value of a floating-point tensor",
        ) from error
    lengths = [len(values), *{len(row) for row in values}] if by_row else [len(values)]
    if lengths != (tensor.shape if by_row else [prod(tensor.shape)]):
        raise _refusal(
            tensor,
            f"its data do not fill shape {tensor.shape}: "
            + (f"{len(values)} rows" if by_row else f"{len(values)} values"),
            "send as many values as the shape says, row by row",
        )
    return np.array(values, dtype=np.int64 if tensor.datatype == "INT64" else np.float64)


def _from_raw(tensor: InputTensor, raw: bytes, *, offset: int, size: int, count: int) -> _Values:
    kind = np.dtype(_RAW[tensor.datatype])
    if not isinstance(tensor.data, msgspec.UnsetType):
        raise _refusal(tensor, "it has both data and binary_data_size", "send one of them")
    if size != count * kind.itemsize or offset + size > len(raw):
        raise _refusal(
            tensor,
            f"binary_data_size {shown(size)} does not match: {tensor.datatype} of shape "
            f"{tensor.shape} has {count * kind.itemsize} bytes, and {len(raw) - offset} are left "
            "behind the JSON",
            "send the values little-endian, row by row, in the order of the inputs",
        )
    values: _Values = np.frombuffer(raw, dtype=kind, count=count, offset=offset)
    return values


def _checked(tensor: InputTensor, values: _Values) -> Tensor:
    """The values in their shape, as 64 bits, with no infinity among them."""
    if tensor.datatype == "INT64":
        return values.astype(np.int64).reshape(tensor.shape)
    # A JSON number of FP32 means the nearest such number, as it would in the raw form.
    with np.errstate(over="ignore"):
        numbers = values.astype(_RAW[tensor.datatype]).astype(np.float64).reshape(tensor.shape)
    if np.isinf(numbers).any():
        raise _refusal(
            tensor,
            f"it holds a number beyond {tensor.datatype}",
            "send finite numbers; NaN, in JSON null, is a missing value",
        )
    return numbers


def _refusal(tensor: InputTensor, rule: str, remedy: str) -> UnusableInputError:
    return UnusableInputError(value=f"input {shown(tensor.name)}", rule=rule, remedy=remedy)
