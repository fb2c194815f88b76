"""One kind of bad input with its answer, and the requests that most kinds are made from.

Here: requests that the service of `whole_world` would answer, but for the change that is asked for.
Not here: the kinds (the other modules `bad_*`), the table and its page
(`bad_input_page`), and requests as bytes (`wire`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Literal

from mlops_assets_tests.serving.wire import post

PROTOCOL: Final = "protocol"
"""In place of a problem's code: the Open Inference Protocol's form of an error."""
SERVER: Final = "server"
"""In place of a problem's code: plain text of the HTTP server, which found no HTTP request."""
NOTHING: Final = "nothing"
"""In place of a problem's code: an answer that has no body."""

ASK: Final = "/v1/predict"
LATEST: Final = "/v1/forecasts/bitcoin_close/latest"
ORIGIN: Final = "/v1/forecasts/bitcoin_close?origin="
INFER: Final = "/v2/models/bitcoin_close/infer"
TRAFFIC: Final = "/v1/traffic/bitcoin_close"
ROLLBACK: Final = "/v1/rollback/bitcoin_close"
HISTORY: Final = "/v1/forecasts/bitcoin_close/history"
CHAMPION: Final = "/v1/forecasts/bitcoin_close/champion"


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


def ask(**changes: object) -> bytes:
    """A question by the newest origin, with changes."""
    return post(ASK, {"problem": "bitcoin_close", **changes})


def given(**changes: object) -> bytes:
    """A question by features that would be answered, but for the changes."""
    features = {"ret": 0.01, "vol": 0.005, "band_quantile": 1.6}
    return ask(**{"features": features, "last_value": 60000.0, **changes})


def literal(value: str) -> bytes:
    """A question by features, one of them as this text."""
    features = f'{{"ret": {value}, "vol": 0.005, "band_quantile": 1.6}}'
    return post(
        ASK, f'{{"problem": "bitcoin_close", "features": {features}, "last_value": 60000.0}}'
    )


def batch(**changes: object) -> bytes:
    """A batch of two rows that would be answered, but for the changes."""
    features = {"ret": [0.01, 0.02], "vol": [0.005, 0.005], "band_quantile": [1.6, 1.6]}
    question = {"problem": "bitcoin_close", "features": features, "last_value": [60000.0, 1.0]}
    return post(ASK + "/batch", question | changes)


def infer(tensor: dict[str, object], *, raw: bytes = b"", **headers: str) -> bytes:
    """An inference request with one tensor `features`, and raw tensors behind its JSON."""
    given = {"name": "features", "datatype": "FP64", "shape": [1, 3], **tensor}
    text = json.dumps({"inputs": [given]}).encode()
    if raw:
        headers["Inference_Header_Content_Length"] = str(len(text))
    return post(INFER, text + raw, **headers)


VALUES: Final = [0.01, 0.005, 1.6]
