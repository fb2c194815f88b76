from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from mlops_assets_tests.serving.published import World, model_files
from mlops_assets_tests.serving.running import listening, served, until
from serving.access.keys import KeyFollower, Role, add_key, revoke_key
from serving.access.policy import Access
from serving.app import create_app
from serving.edge import Edge
from serving.instrumentation import Metrics
from serving.settings import ServingSettings

LATEST = "/forecasts/bitcoin_close/latest"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def own_address() -> str | None:
    """An address of this machine that is not loopback, where it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing, but chooses an address
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


# Every kind of answer.


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", LATEST, 200),
        ("GET", "/health/live", 200),
        ("GET", "/metrics", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/", 307),
        ("POST", "/reload", 401),
        ("GET", "/no/such/address", 404),
        ("DELETE", "/health/live", 405),
        ("POST", "/predict", 422),
    ],
)
def test_every_answer_has_its_id_and_tells_browsers_to_be_careful(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    body = {"problem": 1} if method == "POST" else None
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    expected = "no-cache" if path == "/docs" else "no-store"
    assert answer.headers["cache-control"] == expected
    assert len(answer.headers["x-request-id"]) == 32
    for name in (*SECURITY, "x-request-id", "content-security-policy", "cache-control"):
        assert len(answer.headers.get_list(name)) == 1


def test_a_short_plain_id_of_the_caller_is_kept_and_any_other_replaced(
    client: httpx.Client,
) -> None:
    def answered(given: str) -> str:
        return client.get("/health/live", headers={"X-Request-Id": given}).headers["x-request-id"]

    assert answered("trace-1.a_B") == "trace-1.a_B"
    replaced = [answered(given) for given in ("", "a b", "x" * 65, "<script>")]
    assert all(len(one) == 32 for one in replaced)
    assert len(set(replaced)) == 4


# Who may call.


def test_a_key_opens_the_service_to_other_machines_until_it_is_revoked(world: World) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has only loopback addresses")
    world.register(model_files())
    world.publish()
    path = world.settings.keys
    with served(world, host="0.0.0.0") as here:
        with httpx.Client(
            base_url=f"http://{address}:{here.base_url.port}", trust_env=False
        ) as there:
            refused = there.get(LATEST)
            assert refused.status_code == 401
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.headers["www-authenticate"] == 'Bearer realm="forecasts"'
            assert refused.json()["type"] == "/docs#key-needed"
            assert refused.json()["request_id"] == refused.headers["x-request-id"]
            assert there.get("/health/live").status_code == 200
            assert there.get("/metrics").status_code == 401
            key = {"X-Api-Key": add_key(path, "app", Role.PREDICT, now=NOW)}
            until(lambda: there.get(LATEST, headers=key).is_success, what="the key is seen")
            assert there.get(LATEST, headers={"X-Api-Key": "app.wrong"}).status_code == 401
            denied = there.post("/reload", headers=key)
            assert (denied.status_code, denied.json()["type"]) == (403, "/docs#not-allowed")
            revoke_key(path, "app")
            until(
                lambda: there.get(LATEST, headers=key).status_code == 401,
                what="the revoked key is refused",
            )
        assert here.get(LATEST).status_code == 200


def test_a_broken_file_of_keys_is_said_in_health_and_local_forecasts_go_on(world: World) -> None:
    world.register(model_files())
    world.publish()
    add_key(world.settings.keys, "app", Role.PREDICT, now=NOW)
    with served(world) as client:
        world.settings.keys.write_text("{", encoding="utf-8")

        def reasons() -> str:
            return str(client.get("/health").json()["reasons"])

        until(lambda: "refuses every key" in reasons(), what="the broken file is noticed")
        assert client.get(LATEST).status_code == 200
        assert str(world.home) not in reasons()


def test_too_many_requests_of_one_key_are_refused_with_the_time_to_wait(world: World) -> None:
    key = add_key(world.settings.keys, "app", Role.PREDICT, now=NOW, rate_per_second=0.001)
    with listening(create_app(world.settings)) as client:
        headers = {"X-Api-Key": key}
        assert client.get("/health", headers=headers).status_code == 200
        answer = client.get("/health", headers=headers)
    assert answer.status_code == 429
    assert answer.json()["type"] == "/docs#rate-exceeded"
    assert 990 < int(answer.headers["retry-after"]) <= 1000


# Limits of time, with an application that is as slow as a test wants.

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Caller:
    """Sends one request to a layer around an application, and keeps what comes back."""

    def __init__(
        self, app: Application, folder: Path, *, seconds: float, access_log: bool = False
    ) -> None:
        self.metrics = Metrics()
        keys = KeyFollower(folder / "none.json", complain=lambda _: False)
        access = Access(keys, host="127.0.0.1", rate_per_second=1000, clock=lambda: NOW)
        self.layer = Edge(
            app,
            metrics=self.metrics,
            access=access,
            max_body_bytes=10,
            timeout_seconds=seconds,
            access_log=access_log,
        )
        self.sent: list[Message] = []

    def call(self, *messages: Message, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Run a request whose body ends with `messages`, or never comes when there are none."""
        asyncio.run(self.call_on_loop(*messages, headers=headers))

    async def call_on_loop(
        self, *messages: Message, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """The same, on the running loop."""
        waiting = list(messages)

        async def receive() -> Message:
            if waiting:
                return waiting.pop(0)
            await asyncio.Event().wait()
            raise AssertionError("nobody sets the event")

        async def send(message: Message) -> None:
            self.sent.append(message)

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/slow",
            "query_string": b"",
            "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"127.0.0.1"), *headers],
        }
        await self.layer(scope, receive, send)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


async def reads_its_body(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"read"})


async def never_answers(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await asyncio.Event().wait()


async def never_ends(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.Event().wait()


def test_a_body_that_does_not_arrive_is_408_and_ends_the_connection(tmp_path: Path) -> None:
    caller = Caller(reads_its_body, tmp_path, seconds=0.05)
    caller.call({"type": "http.request", "body": b"half", "more_body": True})
    assert caller.status == 408
    assert caller.headers[b"connection"] == b"close"
    assert b"/docs#slow-request" in caller.sent[1]["body"]


def test_an_answer_that_does_not_come_is_503_with_what_to_do(tmp_path: Path) -> None:
    caller = Caller(never_answers, tmp_path, seconds=0.05)
    caller.call({"type": "http.request", "body": b"", "more_body": False})
    assert caller.status == 503
    assert b"/docs#timeout" in caller.sent[1]["body"]
    assert b"MLOPS_API_TIMEOUT_SECONDS" in caller.sent[1]["body"]
    assert caller.headers[b"retry-after"] == b"5"
    assert b'status="503"} 1.0' in caller.metrics.text()


def test_an_answer_that_begins_and_does_not_end_is_left_to_the_server_to_close(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller(never_ends, tmp_path, seconds=0.05)
    with caplog.at_level(logging.WARNING, logger="serving.edge"):
        caller.call()
    assert [message["type"] for message in caller.sent] == ["http.response.start"]
    assert "took longer than 0.05 s" in caplog.text


def test_each_of_several_requests_has_the_whole_time(tmp_path: Path) -> None:
    caller = Caller(never_answers, tmp_path, seconds=0.05)

    async def one_after_another() -> None:
        for _ in range(3):
            await caller.call_on_loop({"type": "http.request", "body": b"", "more_body": False})

    asyncio.run(one_after_another())
    starts = [m["status"] for m in caller.sent if m["type"] == "http.response.start"]
    assert starts == [503, 503, 503]


def test_a_request_that_is_cancelled_from_outside_stays_cancelled(tmp_path: Path) -> None:
    caller = Caller(never_answers, tmp_path, seconds=60)

    async def cancelled() -> None:
        request = asyncio.create_task(caller.call_on_loop())
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(cancelled())
    assert caller.sent == []


def test_a_slow_body_over_a_real_connection_is_408(world: World) -> None:
    settings = ServingSettings(home=world.home, api_timeout_seconds=0.2)
    with listening(create_app(settings)) as client:
        port = client.base_url.port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            answer = b""
            while chunk := connection.recv(65536):  # ends when the server closes
                answer += chunk
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"/docs#slow-request" in answer


@pytest.mark.parametrize("announced", [b"11", b"9" * 40])
def test_a_body_announced_as_too_large_is_not_waited_for(tmp_path: Path, announced: bytes) -> None:
    from starlette.exceptions import HTTPException

    caller = Caller(reads_its_body, tmp_path, seconds=60)
    with pytest.raises(HTTPException, match="a body may have 10 bytes"):
        caller.call(headers=((b"content-length", announced),))


# What operators see.


def test_a_fault_is_answered_once_logged_once_and_keeps_the_connection(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    app: FastAPI = create_app(world.settings)

    async def fault() -> None:
        raise OSError("/secret/path is broken")

    app.add_api_route("/fault", fault)
    with caplog.at_level(logging.ERROR), listening(app) as client:
        answers = [client.get("/fault") for _ in range(2)]
        assert {name: answers[0].headers[name] for name in SECURITY} == SECURITY
    assert [answer.status_code for answer in answers] == [500, 500]
    assert [record.name for record in caplog.records] == ["serving.errors", "serving.errors"]


def test_each_request_may_have_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller(reads_its_body, tmp_path, seconds=60, access_log=True)
    with caplog.at_level(logging.INFO, logger="serving.access"):
        caller.call({"type": "http.request", "body": b"", "more_body": False})
    (record,) = caplog.records
    assert record.getMessage() == "POST '/slow' 200"
    assert vars(record)["status"] == 200
    assert vars(record)["ms"] > 0


def test_requests_that_are_answered_at_once_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    caller = Caller(reads_its_body, tmp_path, seconds=60)
    end: Message = {"type": "http.request", "body": b"", "more_body": False}

    async def together() -> None:
        await asyncio.gather(*(caller.call_on_loop(end) for _ in range(100)))

    asyncio.run(together())
    starts = [m for m in caller.sent if m["type"] == "http.response.start"]
    assert len({dict(start["headers"])[b"x-request-id"] for start in starts}) == 100
