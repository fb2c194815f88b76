"""Bad input of many kinds, each with the answer that a caller gets: the table of docs/bad-input.md.

Here: the requests as bytes on the wire, and the page that is made of them; run it as a module to
write the page. Not here: sending them (`wire`) and the services they go to (`test_bad_input`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

PAGE: Final = Path(__file__).parents[2] / "docs" / "bad-input.md"
ADMIN: Final = b"{ADMIN}"
PREDICT: Final = b"{PREDICT}"
"""Stand for API keys of these roles; the sender puts the keys in their place."""

PROTOCOL: Final = "protocol"
"""In place of a problem's code: the Open Inference Protocol's form of an error."""
SERVER: Final = "server"
"""In place of a problem's code: plain text of the HTTP server, which found no HTTP request."""
NOTHING: Final = "nothing"
"""In place of a problem's code: an answer that has no body."""

_SHOWN_CHARACTERS: Final = 90
_PREDICT: Final = "/v1/predict"
_LATEST: Final = "/v1/forecasts/bitcoin_close/latest"
_ORIGINS: Final = "/v1/forecasts/bitcoin_close?origin="
_INFER: Final = "/v2/models/bitcoin_close/infer"


@dataclass(frozen=True)
class BadInput:
    """One request that cannot be answered well."""

    what: str
    """The kind, in words."""
    request: bytes
    status: int
    kind: str
    """The problem's code, the end of its `type`; or one of `PROTOCOL`, `SERVER`, `NOTHING`."""
    says: str
    """A part of the problem's detail, or of the body where it is no problem document."""
    service: Literal["whole", "empty"] = "whole"
    """`empty`: nothing is published, and a request may take half a second."""


def request(
    method: str, target: str, body: bytes | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """A request whose connection ends with its answer."""
    named = {name.lower() for name, _ in headers}
    every = [("Host", "127.0.0.1")] if "host" not in named else []
    every += [*headers, ("Connection", "close")]
    if body is not None and "transfer-encoding" not in named | ({"content-length"} & named):
        every += [] if "content-length" in named else [("Content-Length", str(len(body)))]
        every += [] if "content-type" in named else [("Content-Type", "application/json")]
    head = "".join(f"{name}: {value}\r\n" for name, value in every)
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def get(target: str, **headers: str) -> bytes:
    """A GET request; `_` in a header's name stands for `-`."""
    return request("GET", target, headers=_headers(headers))


def post(target: str, body: bytes | str | object, **headers: str) -> bytes:
    """A POST request, with the body as it is or as JSON."""
    return request("POST", target, _body(body), _headers(headers))


def administer(method: str, target: str, body: object, **headers: str) -> bytes:
    """A request with a key of the role admin."""
    given = {"X_Api_Key": ADMIN.decode(), **headers}
    return request(method, target, _body(body), _headers(given))


def infer(*inputs: object, raw: bytes = b"", **headers: str) -> bytes:
    """An inference request with these inputs, and raw tensors behind them."""
    return post(_INFER, json.dumps({"inputs": inputs}).encode() + raw, **headers)


def tensor(datatype: str = "FP64", shape: object = (1, 3), **more: object) -> dict[str, object]:
    """The input `features` with three values."""
    given = {"data": [0.01, 0.005, 1.6]} if "parameters" not in more else {}
    return {"name": "features", "datatype": datatype, "shape": shape, **given, **more}


def from_features(**changes: object) -> dict[str, object]:
    """A question by features that would be answered, but for the changes."""
    features = {"ret": 0.01, "vol": 0.005, "band_quantile": 1.6}
    return {"problem": "bitcoin_close", "features": features, "last_value": 60000.0, **changes}


def columns(**changes: object) -> dict[str, object]:
    """A batch of two rows that would be answered, but for the changes."""
    features = {"ret": [0.01, 0.02], "vol": [0.005, 0.005], "band_quantile": [1.6, 1.6]}
    question = {"problem": "bitcoin_close", "features": features, "last_value": [60000.0, 1.0]}
    return question | changes


def _headers(named: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", "-"), value) for name, value in named.items())


def _body(body: bytes | str | object) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
