"""The outermost ASGI layer: what holds for every request, whoever answers it.

Here: the request id, who may call (by `access`), the limits of size and time, the headers of every
answer, and the count and time of each request. Not here: the metrics (`instrumentation`), the rules
of access (`access.policy`), and the form of error bodies (`errors`).

The layer stands before the framework and its handler of faults, so that nothing leaves the service
without it. It is on the path of every request: about ten microseconds, metrics included.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access.policy import Access
from serving.domain_errors import (
    LargeHeadError,
    ServingError,
    SlowRequestError,
    TimeIsUpError,
)
from serving.errors import REQUEST_ID_HEADER, domain_problem
from serving.instrumentation import NOBODY, Metrics
from serving.structured_logs import REQUEST

_LOG = logging.getLogger(__name__)
_ACCESS_LOG = logging.getLogger("serving.access")

MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 65_536
"""Path, query and headers may have so many bytes together."""
UNMATCHED: Final = "unmatched"
"""The route of a request that no endpoint took."""
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ID_NAME: Final = REQUEST_ID_HEADER.lower().encode()

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # An answer is data: a browser that shows one runs and loads nothing.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""Sent with every answer that does not say otherwise itself."""
_NAMES: Final = frozenset(name for name, _ in _HEADERS)


class LayeredApp(FastAPI):
    """FastAPI with layers before all of it, its handler of faults included."""

    def __init__(self, **described: Any) -> None:  # noqa: ANN401 - FastAPI's own arguments
        """Describe the application as for FastAPI; no layer yet."""
        super().__init__(**described)
        self._outermost: ASGIApp = super().__call__

    def surround(self, layer: Callable[[ASGIApp], ASGIApp]) -> None:
        """Put a layer around what is there so far."""
        self._outermost = layer(self._outermost)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["app"] = self
        await self._outermost(scope, receive, send)


class Edge:
    """ASGI layer around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        access: Access,
        max_body_bytes: int,
        timeout_seconds: float,
        access_log: bool = False,
    ) -> None:
        """Wrap `app`.

        Args:
            app: what answers.
            metrics: counts and times requests.
            access: decides who may call.
            max_body_bytes: a larger body is refused with status 413.
            timeout_seconds: a body that takes longer to arrive is refused with 408, an answer that
                takes longer with 503.
            access_log: whether to write a line for each request.
        """
        self._app = app
        self._metrics = metrics
        self._access = access
        self._max_body_bytes = max_body_bytes
        self._deadlines = _Deadlines(timeout_seconds)
        self._access_log = access_log
        # Ids are unique, not secret: a counter costs less than new random bytes for each.
        self._id_start = os.urandom(8).hex()
        self._id_count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        state: dict[str, Any] = scope.setdefault("state", {})
        request_id = self._request_id(headers.get(_ID_NAME))
        state["request_id"] = request_id
        exchange = _Exchange(receive, send, request_id.encode(), self._allowance(headers))
        REQUEST.set(state)
        self._deadlines.watch(exchange)
        try:
            _refuse_large_head(scope)
            state["caller"] = self._access.admit(scope, headers)
            await self._app(scope, exchange.receive, exchange.send)
        except ServingError as error:
            await domain_problem(Request(scope), error)(scope, receive, exchange.send)
        except asyncio.CancelledError:
            if not exchange.expired:
                raise
            exchange.task.uncancel()
            await self._answer_late(scope, exchange)
        except Exception:
            # The application's handler of faults has logged it and answered; servers that see the
            # error again would log it twice and close the connection.
            if not exchange.finished:
                raise
        finally:
            self._deadlines.leave(exchange)
            self._note(scope, exchange)

    def _request_id(self, given: bytes | None) -> str:
        """The caller's id when it is short and plain, else one of our own, 32 hex digits."""
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode()
        return f"{self._id_start}{next(self._id_count):016x}"

    def _allowance(self, headers: dict[bytes, bytes]) -> _Allowance:
        announced = headers.get(b"content-length", b"0")
        # More than 18 digits are too many for any cap, and for int() at some length.
        fits = not announced.isdigit() or (
            len(announced) <= 18 and int(announced) <= self._max_body_bytes
        )
        return (self._max_body_bytes, fits)

    async def _answer_late(self, scope: Scope, exchange: _Exchange) -> None:
        seconds = self._deadlines.seconds
        _LOG.warning("%s %s took longer than %g s", scope["method"], ascii(scope["path"]), seconds)
        if exchange.status:
            # The answer had begun: the server closes the connection of one that has no end.
            return
        error: ServingError
        if exchange.is_receiving:
            error = SlowRequestError(
                rule=f"a request must arrive within {seconds:g} s",
                remedy="send the body without pauses, or less at once",
            )
        else:
            error = TimeIsUpError(
                rule=f"an answer must be ready within {seconds:g} s",
                remedy="ask for fewer rows or series at once, or again later; operators can raise "
                "MLOPS_API_TIMEOUT_SECONDS",
            )
        await domain_problem(Request(scope), error)(scope, exchange.receive, exchange.send)

    def _note(self, scope: Scope, exchange: _Exchange) -> None:
        seconds = perf_counter() - exchange.start
        route = getattr(scope.get("route"), "path", UNMATCHED)
        state = scope["state"]
        status = exchange.status or 500
        self._metrics.answered(scope["method"], route, status, state.get("served", NOBODY), seconds)
        if self._access_log:
            _ACCESS_LOG.info(
                "%s %s %d",
                scope["method"],
                ascii(scope["path"]),
                status,
                extra={"status": status, "ms": round(seconds * 1000, 3), "route": route},
            )


def _refuse_large_head(scope: Scope) -> None:
    """Pass a request whose address and headers are of a usual size.

    Raises:
        LargeHeadError: they are not.
    """
    headers = scope["headers"]
    size = len(b"".join(itertools.chain.from_iterable(headers)))
    size += len(scope["path"]) + len(scope["query_string"])
    if len(headers) > MAX_HEADERS or size > MAX_HEAD_BYTES:
        raise LargeHeadError(
            value=f"{len(headers)} headers, {size} bytes",
            rule=f"a request may have {MAX_HEADERS} headers, and {MAX_HEAD_BYTES} bytes in path, "
            "query and headers",
            remedy="send less, or long lists in a body",
        )


_Allowance = tuple[int, bool]
"""Bytes that a body may have, and whether the announced length is within them."""


class _Exchange:
    """One request and its answer, as the layer sees them go by."""

    __slots__ = (
        "_allowed",
        "_announced_fits",
        "_left",
        "_receive",
        "_send",
        "_sent_id",
        "expired",
        "finished",
        "is_receiving",
        "start",
        "status",
        "task",
    )

    def __init__(
        self, receive: Receive, send: Send, request_id: bytes, allowance: _Allowance
    ) -> None:
        self.start = perf_counter()
        task = asyncio.current_task()
        assert task is not None, "an ASGI server runs each request in a task"
        self.task = task
        self.status = 0
        self.finished = False
        self.expired = False
        self.is_receiving = False
        self._receive = receive
        self._send = send
        self._sent_id = (_ID_NAME, request_id)
        self._allowed, self._announced_fits = allowance
        self._left = self._allowed

    async def receive(self) -> Message:
        """The next message of the request.

        Raises:
            HTTPException: the body is larger than allowed.
        """
        if not self._announced_fits:
            raise self._too_large()
        # Stays set when the wait is cut short, which is how a slow body is told from slow work.
        self.is_receiving = True
        message = await self._receive()
        self.is_receiving = False
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the answer on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message["headers"])
            named = {name for name, _ in headers}
            if _ID_NAME not in named:
                headers.append(self._sent_id)
            if named.isdisjoint(_NAMES):
                headers += _HEADERS
            else:
                headers += [header for header in _HEADERS if header[0] not in named]
            await self._send({**message, "headers": headers})
            return
        await self._send(message)
        if not message.get("more_body", False):
            self.finished = True

    def expire(self) -> None:
        """Cut the work short; the layer answers in its place."""
        self.expired = True
        self.task.cancel()

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"a body may have {self._allowed} bytes")


class _Deadlines:
    """Ends requests that take too long, with one timer for all of them.

    Requests begin in the order of their deadlines, so the timer waits for the oldest only. A timer
    for each request (`asyncio.timeout`) would cost more than all the rest of the layer.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._open: dict[_Exchange, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self, exchange: _Exchange) -> None:
        """Let a request take the allowed time from now."""
        self._open[exchange] = None
        loop = exchange.task.get_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(self.seconds, self._look)

    def leave(self, exchange: _Exchange) -> None:
        """Forget a request that has ended."""
        self._open.pop(exchange, None)

    def _look(self) -> None:
        assert self._loop is not None, "the timer runs on this loop"
        for exchange in list(self._open):
            left = exchange.start + self.seconds - perf_counter()
            if left > 0:
                self._loop.call_later(left, self._look)
                return
            self.leave(exchange)
            exchange.expire()
        self._loop = None
