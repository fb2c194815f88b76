"""The ASGI layer that answers the operations that callers wait for, without the framework.

Here: finding the operation, reading the body, sending the answer, and turning every error into the
problem document that the rest of the application gives for it. Not here: the operations
(`forecasts.operations`) and the documents (`errors`). Every other address goes on to FastAPI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import problem_response
from serving.faults import find_fault
from serving.operations import Call, Operation, Reply, read_query

_JSON: Final = (b"content-type", b"application/json")
_LENGTH: Final = b"content-length"

Handler = Callable[[Request, Exception], Awaitable[Response]]


class FastPath:
    """Answers its operations and passes every other request on."""

    def __init__(self, app: ASGIApp, *, operations: Sequence[Operation]) -> None:
        """Put `operations` before `app`."""
        self._app = app
        self._plain: dict[str, dict[str, Operation]] = {}
        self._named: dict[tuple[str, str], dict[str, Operation]] = {}
        for operation in operations:
            before, brace, rest = operation.path.partition("{")
            methods: dict[str, Operation]
            if brace:
                methods = self._named.setdefault((before, rest.partition("}")[2]), {})
            else:
                methods = self._plain.setdefault(operation.path, {})
            methods[operation.method] = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        methods, name = self._plain.get(path), ""
        if methods is None:
            methods, name = self._find_named(path)
        if methods is None:
            await self._app(scope, receive, send)
            return
        try:
            operation = methods.get(scope["method"])
            if operation is None:
                # Any of them names the route; the method says which one was not found.
                scope["route"] = next(iter(methods.values()))
                raise HTTPException(405, "Method Not Allowed", {"Allow": ", ".join(methods)})
            scope["route"] = operation
            body = await _read(receive) if operation.method == "POST" else b""
            reply = await _answer(operation, Call(scope, name, body))
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the application's handlers decide, as for every route
            response = await _problem(Request(scope), error)
            await response(scope, receive, send)
            return
        await _send(reply, send)

    def _find_named(self, path: str) -> tuple[dict[str, Operation] | None, str]:
        for (before, after), methods in self._named.items():
            if path.startswith(before) and path.endswith(after):
                name = path[len(before) : len(path) - len(after)]
                if name and "/" not in name:
                    return methods, name
        return None, ""


class _InvalidRequestError(Exception):
    """A body or query that was read and has not the documented form."""

    def __init__(self, fault: msgspec.ValidationError, *, part: str, sent: object) -> None:
        super().__init__(str(fault))
        self.fault, self.part, self.sent = fault, part, sent


async def _read(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        HTTPException: the layer outside refuses it as too large or too slow.
        ClientDisconnect: the caller has gone.
    """
    message = await receive()
    chunks: list[bytes] = []
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return b"".join((*chunks, body)) if chunks else body
        chunks.append(body)
        message = await receive()


async def _answer(operation: Operation, call: Call) -> Reply:
    """The operation's answer, faults of form named with what was sent.

    Raises:
        HTTPException: the body is no JSON in UTF-8.
    """
    try:
        return await operation.answer(call)
    except msgspec.ValidationError as error:
        part, sent = _sent(operation, call)
        raise _InvalidRequestError(error, part=part, sent=sent) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if operation.method == "POST":
            rule = "a body must be JSON in UTF-8, with null for a missing number"
        else:
            rule = "a query must be UTF-8, percent-encoded"
        reason = str(error) if call.body.strip() or operation.method == "GET" else "it is empty"
        raise HTTPException(400, f"{rule}: {reason}") from error


def _sent(operation: Operation, call: Call) -> tuple[str, Any]:
    """Which part of a request has the fault, and its content without types."""
    if operation.method == "POST":
        try:
            return "body", msgspec.json.decode(call.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "body", None
    assert operation.query is not None, "an operation without body and query has no form to miss"
    try:
        return "query", read_query(call.scope["query_string"], operation.query)
    except msgspec.ValidationError:
        return "query", None


async def _problem(request: Request, error: Exception) -> Response:
    """The problem document of an error: the application's own handlers write all but one kind."""
    if isinstance(error, _InvalidRequestError):
        fault = find_fault(error.fault, error.sent, part=error.part)
        return problem_response(
            request,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            code="invalid-request",
            title="The request does not have the documented form",
            rule=fault.rule,
            remedy="send what /docs describes",
            value=fault.value,
        )
    handlers: dict[type[Exception], Handler] = request.app.exception_handlers
    handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
    return await handler(request, error)


async def _send(reply: Reply, send: Send) -> None:
    length = (_LENGTH, str(len(reply.body)).encode())
    headers = [_JSON, length, *reply.headers]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
    if reply.afterwards is not None:
        reply.afterwards()
