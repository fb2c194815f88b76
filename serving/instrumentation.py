"""Metrics of one application: what it counts, and the state that it shows when it is scraped.

Here: the metrics of requests, forecasts, models and snapshots. Not here: those of the prediction
log (`log_metrics`) and of the pipeline (`pipeline_state`), who notes each request (`edge`), how the
figures of several workers become one (`worker_metrics`), and the endpoint (`health.router`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.deployments import Deployments
from serving.domain_errors import RefusalReason
from serving.worker_metrics import shared_by_workers

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
NOBODY: Final = ("", "")
"""Problem and version of an answer that no model gave."""
_Request = tuple[str, str, int, tuple[str, str]]
"""Method, route, status, and what `served` says."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The counters of one application, in a registry of their own; a `deployments.Witness`."""

    def __init__(self) -> None:
        """Register every counter."""
        self.registry = CollectorRegistry()
        self.shared = shared_by_workers(self.registry)
        """The figures of all workers; None in the only one."""
        self.requests = self._counter(
            "serving_requests", "Requests answered.", "method", "route", "status"
        )
        self.seconds = Histogram(
            "serving_request_seconds",
            "Time from a request's first to its answer's last byte handed over, seconds.",
            ("route", "problem", "version"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.forecasts = self._counter(
            "serving_forecasts",
            "Forecasts answered, one for each series and step.",
            "problem",
            "version",
        )
        self.answers = self._counter(
            "serving_answers",
            "Answers with forecasts, by the variant that gave them; those of a shadow are computed "
            "for the log and not returned.",
            *("problem", "alias", "version", "returned"),
        )
        # Finding a child by its labels costs more than counting, so those in use are kept at hand.
        self._of_requests: dict[_Request, tuple[Counter, Histogram]] = {}
        self._of_answers: dict[tuple[str, str, str, bool], tuple[Counter, Counter]] = {}
        self._count_swaps_and_refusals()

    def _count_swaps_and_refusals(self) -> None:
        swapped = "Times another {} took the traffic, the first one included."
        self._model_swaps = self._counter("serving_model_swaps", swapped.format("model"), "problem")
        self._model_refusals = self._counter(
            "serving_model_refusals",
            "Model versions refused, each attempt counted.",
            "problem",
            "reason",
        )
        self._snapshot_swaps = self._counter(
            "serving_snapshot_swaps", swapped.format("snapshot"), "problem"
        )
        self._snapshot_refusals = self._counter(
            "serving_snapshot_refusals", "Snapshots refused.", "problem"
        )

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def text(self) -> bytes:
        """All figures in Prometheus' text format, of all workers where there are several."""
        return generate_latest(self.registry if self.shared is None else self.shared)

    def answered(
        self, method: str, route: str, status: int, served: tuple[str, str], seconds: float
    ) -> None:
        """Count and time a request.

        Args:
            method: of HTTP, in the caller's words.
            route: template of the path, never the path itself.
            status: of the answer.
            served: problem and version of the model that answered, or `NOBODY`.
            seconds: from the request's first to the answer's last byte handed over.
        """
        key = (method, route, status, served)
        children = self._of_requests.get(key)
        if children is None:
            # An unknown method must not open a new time series, nor an entry here.
            if method not in _METHODS:
                key = ("other", route, status, served)
            children = self._of_requests[key] = (
                self.requests.labels(key[0], route, str(status)),
                self.seconds.labels(route, *served),
            )
        children[0].inc()
        children[1].observe(seconds)

    def forecast(
        self, problem: str, alias: str | None, version: str, count: int, *, returned: bool = True
    ) -> None:
        """Count an answer of `count` forecasts.

        Args:
            problem: whose forecasts.
            alias: by which the version was chosen, or None.
            version: that computed them.
            count: one for each series and step.
            returned: False for a shadow's, which only the log sees.
        """
        key = (problem, alias or "", version, returned)
        children = self._of_answers.get(key)
        if children is None:
            children = self._of_answers[key] = (
                self.answers.labels(problem, alias or "", version, str(returned).lower()),
                self.forecasts.labels(problem, version),
            )
        children[0].inc()
        if returned:
            children[1].inc(count)

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
