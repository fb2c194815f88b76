"""HTTP as bytes: requests that no client library would send, and the answers to them.

Here: writing requests, sending bytes over a socket, reading answers. Not here: which requests are
sent (`bad_input`).
"""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, Final, cast

ADMIN: Final = b"{ADMIN}"
PREDICT: Final = b"{PREDICT}"
"""Stand for API keys of these roles; the sender puts the keys in their place."""
_GIVE_UP_SECONDS: Final = 60.0


def request(
    method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """A request whose connection ends with its answer; `_` in a header's name stands for `-`."""
    given = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    every = {"Host": "127.0.0.1", "Connection": "close"}
    if body is not None:
        every["Content-Type"] = "application/json"
        if "Transfer-Encoding" not in given:
            every["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in (every | given).items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def get(target: str, **headers: str) -> bytes:
    """A GET request."""
    return request("GET", target, headers=headers)


def post(target: str, body: object, **headers: str) -> bytes:
    """A POST request, with the body as it is where it is bytes or text, else as JSON."""
    return request("POST", target, _body(body), headers)


def administer(method: str, target: str, body: object, **headers: str) -> bytes:
    """A request with a key of the role admin."""
    return request(method, target, _body(body), {"X_Api_Key": ADMIN.decode(), **headers})


def chunked(body: bytes, *, size: int) -> bytes:
    """A body in chunks of a size."""
    chunks = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def _body(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


@dataclass(frozen=True)
class Answer:
    """One answer as it came."""

    status: int
    headers: Mapping[str, str]
    """Name in lower case -> value."""
    body: bytes

    @property
    def text(self) -> str:
        """The body, whatever it is."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> dict[str, Any]:
        """The body as an object of JSON."""
        return cast("dict[str, Any]", json.loads(self.body))


def exchange(port: int, sent: bytes) -> bytes:
    """All that a server says to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=_GIVE_UP_SECONDS) as connection:
        # Sent beside the reading: a server that refuses may answer and close before all is sent.
        sender = threading.Thread(target=_send, args=(connection, sent))
        sender.start()
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            # The end of a connection with bytes that the server never read.
            pass
        sender.join()
    return received


def _send(connection: socket.socket, sent: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(sent)


class _Received:
    """What `HTTPResponse` takes for a socket."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self._received)


def read_answer(received: bytes, *, method: str = "GET") -> Answer:
    """The first answer in what was received."""
    response = HTTPResponse(cast("socket.socket", _Received(received)), method=method)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def ask(port: int, sent: bytes) -> Answer:
    """The answer to one request."""
    return read_answer(exchange(port, sent), method=sent.partition(b" ")[0].decode("latin-1"))
