from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from mlops_assets_tests.serving.running import listening
from mlops_assets_tests.serving.test_forecasts import refusal
from serving.edge import LayeredApp
from serving.errors import install_error_handlers
from serving.fast_path import FastPath
from serving.forecasts.schemas import ForecastAnswer, LatestQuery
from serving.operations import Call, Operation, Reply


async def _echo(call: Call) -> Reply:
    answer = {"name": call.name, "body": call.body.decode(), "caller": call.caller}
    return Reply(json.dumps(answer).encode(), ((b"x-found", b"yes"),))


async def _fail(_: Call) -> Reply:
    raise RuntimeError("the disk at /var/secret is full")


def _operation(method: Any, path: str, answer: Any = _echo) -> Operation:  # noqa: ANN401 - a literal and a coroutine
    return Operation(
        method=method,
        path=path,
        summary="",
        description="",
        answer=answer,
        answers=(ForecastAnswer,),
        problems=(),
        query=LatestQuery,
    )


OPERATIONS = (
    _operation("POST", "/plain"),
    _operation("GET", "/named/{name}"),
    _operation("POST", "/named/{name}"),
    _operation("GET", "/named/{name}/latest"),
    _operation("GET", "/broken", _fail),
)


def application() -> LayeredApp:
    """The fast path before an application with one route of its own."""
    app = LayeredApp()
    install_error_handlers(app)

    @app.get("/framework")
    async def framework() -> str:
        return "framework"

    app.surround(lambda inner: FastPath(inner, operations=OPERATIONS))
    app.surround(_with_state)
    return app


def _with_state(app: Any) -> Any:  # noqa: ANN401 - an ASGI application
    async def layer(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["request_id"] = "id-1"
        await app(scope, receive, send)

    return layer


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A real server of it."""
    with listening(application()) as ready:
        yield ready


def test_an_operation_gets_name_and_body_and_its_answer_has_its_headers(
    client: httpx.Client,
) -> None:
    answer = client.post("/named/bitcoin%20close", content=b"{}")
    assert answer.json()["name"] == "bitcoin close"
    assert answer.json()["body"] == "{}"
    assert answer.headers["x-found"] == "yes"
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_the_longer_template_wins_and_a_name_holds_no_slash(client: httpx.Client) -> None:
    assert client.get("/named/a/latest").json()["name"] == "a"
    assert client.get("/named/latest").json()["name"] == "latest"
    for path in ("/named/a/b", "/named/a%2Fb", "/named/", "/named//latest", "/plain/"):
        refusal(client.get(path), 404, "not-found")


def test_other_addresses_go_on_to_the_framework(client: httpx.Client) -> None:
    assert client.get("/framework").json() == "framework"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/plain", "POST"), ("PUT", "/named/a", "GET, POST"), ("HEAD", "/plain", "POST")],
)
def test_another_method_is_refused_with_those_that_are_allowed(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    if method != "HEAD":
        refusal(answer, 405, "method-not-allowed")


def test_the_caller_is_the_key_sent_else_the_address(client: httpx.Client) -> None:
    assert client.post("/plain").json()["caller"] == "127.0.0.1"
    answer = client.post("/plain", headers={"X-Caller-Key": "shop-7"})
    assert answer.json()["caller"] == "shop-7"


def test_a_fault_of_the_service_tells_nothing_of_its_inside(client: httpx.Client) -> None:
    answer = client.get("/broken")
    refusal(answer, 500, "internal-error")
    assert "secret" not in answer.text


def call(messages: Sequence[Message | Exception], path: str = "/plain") -> list[Message]:
    """What the application sends for a request that arrives in these messages."""
    sent: list[Message] = []
    rest = iter(messages)

    async def receive() -> Message:
        message = next(rest)
        if isinstance(message, Exception):
            raise message
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [],
        "client": None,
    }
    asyncio.run(application()(scope, receive, send))
    return sent


def test_a_body_in_several_messages_is_one() -> None:
    start, body = call(
        [
            {"type": "http.request", "body": b"ab", "more_body": True},
            {"type": "http.request", "more_body": True},
            {"type": "http.request", "body": b"c"},
        ]
    )
    assert start["status"] == 200
    assert json.loads(body["body"])["body"] == "abc"


def test_a_body_that_the_layer_outside_refuses_is_answered_as_a_problem() -> None:
    start, body = call([HTTPException(413, "a body may have 3 bytes")])
    assert start["status"] == 413
    assert json.loads(body["body"])["rule"] == "a body may have 3 bytes"


def test_a_caller_who_has_gone_is_answered_nothing() -> None:
    begun = {"type": "http.request", "body": b"a", "more_body": True}
    assert call([begun, {"type": "http.disconnect"}]) == []
