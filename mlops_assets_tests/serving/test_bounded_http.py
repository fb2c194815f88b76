from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Request

from mlops_assets_tests.serving.running import listening
from mlops_assets_tests.serving.wire import exchange, get, post, read_answer
from serving.bounded_http import MAX_HEAD_BYTES, BoundedHttp


class Hasty(BoundedHttp):
    """A connection that waits for a head only a moment."""

    head_seconds = 1.0


def application() -> FastAPI:
    """Tells how many bytes a body has."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.get("/hello")
    async def hello() -> str:
        return "hello"

    return app


@pytest.fixture(scope="module")
def patient() -> Iterator[httpx.Client]:
    """A server as it runs."""
    with listening(application()) as client:
        yield client


@pytest.fixture(scope="module")
def hasty() -> Iterator[httpx.Client]:
    """A server that waits for heads only a moment."""
    with listening(application(), http=Hasty) as client:
        yield client


def port_of(client: httpx.Client) -> int:
    """The port of a client's server."""
    port = client.base_url.port
    assert port is not None
    return port


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /hello HTTP/1.1\r\nX-Long: " + b"a" * 3 * MAX_HEAD_BYTES,
        b"GET /hello HTTP/1.1\r\n" + b"X-Many: 1\r\n" * (MAX_HEAD_BYTES // 4),
    ],
    ids=["one header", "many headers"],
)
def test_a_head_without_end_is_refused_while_it_arrives(
    patient: httpx.Client, endless: bytes
) -> None:
    answer = read_answer(exchange(port_of(patient), endless))
    assert answer.status == 400
    assert answer.text == "Address and headers may have 2000000 bytes."
    assert patient.get("/hello").status_code == 200


@pytest.mark.parametrize("sent", [b"", b"GET /hello HTTP/1.1\r\nHost: "], ids=["none", "half"])
def test_a_connection_on_which_no_head_arrives_is_closed(hasty: httpx.Client, sent: bytes) -> None:
    answer = read_answer(exchange(port_of(hasty), sent))
    assert answer.status == 400
    assert answer.text == "Address and headers must arrive within 1 s."


def test_a_second_head_on_a_connection_has_its_own_time_and_size(hasty: httpx.Client) -> None:
    first = get("/hello", Connection="keep-alive")
    received = exchange(port_of(hasty), first + b"GET /hello HTTP/1.1\r\n")
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
    assert b"must arrive within" in received


def test_a_head_that_arrives_in_time_frees_its_request_of_the_deadline(
    hasty: httpx.Client,
) -> None:
    head, _, body = post("/size", b"x" * 100).partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port_of(hasty)), timeout=60) as connection:
        connection.sendall(head + b"\r\n\r\n")
        connection.settimeout(2 * Hasty.head_seconds)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(60)
        connection.sendall(body)
        received = b""
        while chunk := connection.recv(65536):  # ends when the server closes
            received += chunk
    assert read_answer(received).text == "100"


def test_a_large_body_is_no_head(patient: httpx.Client) -> None:
    assert patient.post("/size", content=b"x" * 2 * MAX_HEAD_BYTES).json() == 4_000_000
