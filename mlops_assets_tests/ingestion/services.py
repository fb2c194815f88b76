"""Local services that speak the documented shapes over real HTTP, and misbehave when told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from mlops_assets.ingestion.http_client import Retries
from mlops_assets_tests.ingestion.market import HOUR, MAY

QUICK = Retries(first_pause=0, longest_pause=0, jitter=0, pace=lambda _seconds: 0.0)
"""As patient as by default, without waiting."""


@dataclass(frozen=True)
class Call:
    """A request that a service received."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """What a service answers; `hang` seconds pass first."""

    status: int = 200
    content: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: float = 0.0


Behaviour = Callable[[Call], Answer]


@dataclass
class Service:
    """A running service: what it was asked, and answers it gives before its usual ones."""

    usual: Behaviour
    first: list[Answer] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def answer(self, call: Call) -> Answer:
        """The next answer that was planned, else the usual one."""
        self.calls.append(call)
        return self.first.pop(0) if self.first else self.usual(call)


@contextmanager
def running(usual: Behaviour, *first: Answer) -> Iterator[Service]:
    """A service on a free port of this machine, until the block ends."""
    service = Service(usual, list(first))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts, size = urlsplit(self.path), int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size)) if size else None
            params = dict(parse_qsl(parts.query))
            call = Call(unquote(parts.path), params, dict(self.headers), body)
            answer = service.answer(call)
            if answer.hang:
                service.closing.wait(answer.hang)
            content = answer.content
            text = content if isinstance(content, str) else json.dumps(content)
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815  (the name that http.server looks for)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away after its timeout is part of the test."""

    with Server(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield service
        finally:
            service.closing.set()
            server.shutdown()
            thread.join()


def price(opens: datetime) -> float:
    """The close of the bar that opens then, at every fake market: 100 plus its hours of May."""
    return 100.0 + (opens - MAY) // HOUR


@dataclass
class Exchange:
    """Binance's klines from May 2025 until `now`, the running bar included."""

    now: datetime
    missing: set[datetime] = field(default_factory=set)
    changed: dict[datetime, float | None] = field(default_factory=dict)
    ends_early: int | None = None
    """The next page has only so many rows."""

    def __call__(self, call: Call) -> Answer:
        """Answer a request for klines."""
        assert call.path == "/api/v3/klines"
        assert call.params["interval"] == "1h"
        limit, self.ends_early = self.ends_early or int(call.params["limit"]), None
        first = _instant(int(call.params["startTime"]))
        last = _instant(int(call.params.get("endTime", 9_999_999_999_999)))
        opens = [o for o in _hours(MAY, self.now) if first <= o <= last and o not in self.missing]
        return Answer(content=[self._row(o) for o in opens[:limit]])

    def _row(self, opens: datetime) -> list[object]:
        close = self.changed.get(opens, price(opens))
        around = price(opens)
        numbers = [around, around + 0.5, around - 0.5, close, 10.0]
        texts = [None if number is None else f"{number:.8f}" for number in numbers]
        start = _milliseconds(opens)
        return [start, *texts, start + 3_599_999, "1000.0", 42, "5.0", "500.0", "0"]


@dataclass
class Chart:
    """Yahoo's chart of hourly bars that open at half past, from May 2025 until `now`."""

    now: datetime
    without_price: set[datetime] = field(default_factory=set)
    price_of_the_moment: datetime | None = None

    def __call__(self, call: Call) -> Answer:
        """Answer a request for a chart."""
        assert call.path.startswith("/v8/finance/chart/")
        assert call.params["interval"] == "1h"
        first, last = (int(call.params[name]) for name in ("period1", "period2"))
        times = [o for o in _hours(MAY + HOUR / 2, self.now) if first <= o.timestamp() < last]
        if self.price_of_the_moment is not None:
            times.append(self.price_of_the_moment)
        moment = self.price_of_the_moment or self.now
        result: dict[str, Any] = {"meta": {"regularMarketTime": int(moment.timestamp())}}
        quote: dict[str, Any] = {}
        if times:
            result["timestamp"] = [int(t.timestamp()) for t in times]
            closes = [None if t in self.without_price else price(t) for t in times]
            for name, shift in (("open", 0.0), ("high", 0.5), ("low", -0.5), ("close", 0.0)):
                quote[name] = [None if c is None else c + shift for c in closes]
            quote["volume"] = [None if c is None else 10 for c in closes]
        result["indicators"] = {"quote": [quote]}
        return Answer(content={"chart": {"result": [result], "error": None}})


def _hours(first: datetime, now: datetime) -> list[datetime]:
    return [first + HOUR * step for step in range((now - first) // HOUR + 1)]


def _milliseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _instant(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
