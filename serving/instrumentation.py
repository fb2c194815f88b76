"""Metrics of one application, and the ASGI layer that counts, times, names and limits requests.

Here: the metrics of requests, models and snapshots, the request id and the cap on a request's body.
Not here: those of the prediction log (`log_metrics`) and of the pipeline (`pipeline_state`), the
endpoint that shows them (`health.router`) and error bodies (`errors`).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.deployments import Deployments
from serving.domain_errors import RefusalReason
from serving.errors import REQUEST_ID_HEADER

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The counters of one application, in a registry of their own; a `deployments.Witness`."""

    def __init__(self) -> None:
        """Register every counter."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "serving_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "serving_request_seconds",
            "Time from a request's first to its answer's last byte handed over, seconds.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.forecasts = Counter(
            "serving_forecasts",
            "Forecasts answered, one for each series and step.",
            ("problem", "version"),
            registry=self.registry,
        )
        self._model_swaps = Counter(
            "serving_model_swaps",
            "Times another model took the traffic, the first one included.",
            ("problem",),
            registry=self.registry,
        )
        self._model_refusals = Counter(
            "serving_model_refusals",
            "Model versions refused, each attempt counted.",
            ("problem", "reason"),
            registry=self.registry,
        )
        self._snapshot_swaps = Counter(
            "serving_snapshot_swaps",
            "Times another snapshot took the traffic, the first one included.",
            ("problem",),
            registry=self.registry,
        )
        self._snapshot_refusals = Counter(
            "serving_snapshot_refusals",
            "Snapshots refused.",
            ("problem",),
            registry=self.registry,
        )

    def model_swapped(self, problem: str) -> None:
        """Count a swap."""
        self._model_swaps.labels(problem).inc()

    def model_refused(self, problem: str, reason: RefusalReason) -> None:
        """Count a refusal."""
        self._model_refusals.labels(problem, reason.value).inc()

    def snapshot_swapped(self, problem: str) -> None:
        """Count a swap."""
        self._snapshot_swaps.labels(problem).inc()

    def snapshot_refused(self, problem: str) -> None:
        """Count a refusal."""
        self._snapshot_refusals.labels(problem).inc()


class ServedState(Collector):
    """Gauges read from what is served at the moment of the scrape, so that none can be outdated."""

    def __init__(self, deployments: Deployments) -> None:
        """Describe `deployments`."""
        self._deployments = deployments

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        info = GaugeMetricFamily(
            "serving_model_info",
            "1 for the model that takes the traffic.",
            labels=("problem", "name", "version", "alias", "candidate"),
        )
        refit = GaugeMetricFamily(
            "serving_model_refit_timestamp_seconds",
            "End of the training data of the served model, Unix time.",
            labels=("problem",),
        )
        as_of = GaugeMetricFamily(
            "serving_snapshot_as_of_timestamp_seconds",
            "What the served snapshot knows ends here, Unix time.",
            labels=("problem",),
        )
        degraded = GaugeMetricFamily(
            "serving_degraded", "Number of complaints.", labels=("problem",)
        )
        shared = len(self._deployments.complaints())
        for problem in self._deployments.problems:
            degraded.add_metric((problem,), shared + len(self._deployments.complaints(problem)))
            if (deployment := self._deployments.deployed(problem)) is None:
                continue
            card, registered = deployment.model.card, deployment.model.registered
            info.add_metric(
                (
                    problem,
                    registered.name,
                    registered.version,
                    deployment.alias or "",
                    card.candidate,
                ),
                1,
            )
            refit.add_metric((problem,), card.refit_at.timestamp())
            as_of.add_metric((problem,), deployment.snapshot.manifest.as_of.timestamp())
        yield from (info, refit, as_of, degraded)


class RequestLayer:
    """ASGI layer around the application: request id, time, count, and a cap on the body."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_body_bytes: int) -> None:
        """Wrap `app`."""
        self._app = app
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        start = perf_counter()
        try:
            limited = _limited(receive, headers, self._max_body_bytes)
            await self._app(scope, limited, send_and_note)
        finally:
            self._note(scope, status, perf_counter() - start)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _UNMATCHED)
        # Methods are the caller's words: an unknown one must not open a new time series.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)


def _request_id(given: str | None) -> str:
    """The caller's id when it is short and plain, else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return uuid.uuid4().hex


def _limited(receive: Receive, headers: Headers, max_bytes: int) -> Receive:
    """A `receive` that ends with status 413 once the body is larger than allowed."""
    announced = headers.get("content-length", "0")
    # More than 18 digits are too many for any cap, and for int() at some length.
    too_large = announced.isdecimal() and (len(announced) > 18 or int(announced) > max_bytes)
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = {"type": "http.request"} if too_large else await receive()
        received += len(message.get("body", b""))
        if too_large or received > max_bytes:
            raise HTTPException(413, f"a body may have {max_bytes} bytes")
        return message

    return receive_limited
