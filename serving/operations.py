"""What an operation of the fast path is: its address, its form, and the function that answers.

Here: the description from which `fast_path` dispatches and `documentation` describes, what an
operation is given (`Call`) and gives back (`Reply`), and reading a query. Not here: any operation
(see `forecasts.operations`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Scope

from serving.provenance import HeaderBytes

_MOST_PARAMETERS: Final = 20
_LONGEST_NUMBER: Final = 9
CALLER_HEADER: Final = b"x-caller-key"

Form = TypeVar("Form", bound=msgspec.Struct)


class Call(msgspec.Struct, frozen=True):
    """One request to an operation."""

    scope: Scope
    name: str
    """What stands in the path's `{...}`; empty where the path has none."""
    body: bytes

    @property
    def request_id(self) -> str:
        """The request's id, as in the answer's header."""
        request_id: str = self.scope["state"].get("request_id", "")
        return request_id

    @property
    def key_name(self) -> str:
        """Name of the API key that was sent; empty without one."""
        name: str = self.scope["state"].get("caller", "")
        return name

    @property
    def caller(self) -> str:
        """Who asks, for a stable variant: `X-Caller-Key`, else the key's name, else the address."""
        for name, value in self.scope["headers"]:
            if name == CALLER_HEADER:
                given: bytes = value
                return given.decode("latin-1")
        client = self.scope.get("client")
        return self.key_name or (client[0] if client else "")

    def query(self, form: type[Form]) -> Form:
        """The query as a structure.

        Raises:
            msgspec.ValidationError: a parameter is unknown, given twice or of another form.
            UnicodeDecodeError: it is no UTF-8.
        """
        text = self.scope["query_string"]
        return msgspec.convert(read_query(text, form) if text else {}, form)


class Reply(msgspec.Struct, frozen=True):
    """A successful answer, and what is done once it is sent."""

    body: bytes
    headers: Sequence[HeaderBytes]
    afterwards: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A request that works; live values take the place of those it names (see `documentation`)."""

    summary: str
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    method: Literal["GET", "POST"]
    path: str
    """A template with at most one `{name}`."""
    summary: str
    description: str
    answer: Callable[[Call], Awaitable[Reply]]
    answers: tuple[type[msgspec.Struct], ...]
    """Forms of the answer, one of which it has."""
    problems: tuple[int, ...]
    """Statuses of its error answers."""
    query: type[msgspec.Struct] | None = None
    bodies: tuple[type[msgspec.Struct], ...] = ()
    """Forms of the body, one of which it must have."""
    examples: Mapping[str, Example] = field(default_factory=dict)
    """Bodies, or for an operation without one a single set of parameters."""
    tag: str = "forecasts"


def read_query(text: bytes, form: type[msgspec.Struct]) -> dict[str, str | int]:
    """The parameters of a query, whole numbers read where `form` wants them.

    Raises:
        msgspec.ValidationError: a parameter is given twice, or there are too many.
        UnicodeDecodeError: it is no UTF-8.
    """
    try:
        pairs = parse_qsl(
            text.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise msgspec.ValidationError(
            f"Expected at most {_MOST_PARAMETERS} parameters - at `$`"
        ) from error
    values: dict[str, str | int] = {}
    for name, value in pairs:
        if name in values:
            raise msgspec.ValidationError(f"Expected one value, got two - at `$.{name}`")
        whole = name in _whole_numbers(form) and value.isascii() and value.isdecimal()
        values[name] = int(value) if whole and len(value) <= _LONGEST_NUMBER else value
    return values


@cache
def _whole_numbers(form: type[msgspec.Struct]) -> frozenset[str]:
    """Names of the fields that are whole numbers."""
    (_,), components = msgspec.json.schema_components([form])
    ((_, schema),) = components.items()
    return frozenset(
        name
        for name, shape in schema["properties"].items()
        for kind in shape.get("anyOf", (shape,))
        if kind.get("type") == "integer"
    )
