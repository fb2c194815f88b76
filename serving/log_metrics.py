"""Metrics of the prediction log: what was written, what waits, what went wrong.

Here: counters and gauges `serving_prediction_log_*`. Not here: the log itself (`prediction_log`).
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.prediction_log import PredictionLog


class LogMetrics:
    """Counters of the log; a `prediction_log.LogWitness`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every counter."""
        self._rows = Counter(
            "serving_prediction_log_rows",
            "Answered forecasts written to the prediction log.",
            registry=registry,
        )
        self._waited = Counter(
            "serving_prediction_log_waited",
            "Answers that waited for room in the queue of the prediction log.",
            registry=registry,
        )
        self._refused = Counter(
            "serving_prediction_log_refused",
            "Answers refused since they could not be logged.",
            registry=registry,
        )
        self._write_errors = Counter(
            "serving_prediction_log_write_errors",
            "Attempts to write to the prediction log that failed; each batch is tried until it "
            "is in.",
            registry=registry,
        )

    def log_wrote(self, rows: int) -> None:
        """Count rows."""
        self._rows.inc(rows)

    def log_waited(self) -> None:
        """Count an answer that waited."""
        self._waited.inc()

    def log_refused(self) -> None:
        """Count an answer that was refused."""
        self._refused.inc()

    def log_write_failed(self) -> None:
        """Count an attempt."""
        self._write_errors.inc()


class LogState(Collector):
    """Gauges of the prediction log's queue, read at the moment of the scrape."""

    def __init__(self, prediction_log: PredictionLog) -> None:
        """Describe `prediction_log`."""
        self._log = prediction_log

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        yield GaugeMetricFamily(
            "serving_prediction_log_queue_rows",
            "Forecasts answered and not yet written.",
            value=self._log.waiting_rows,
        )
        yield GaugeMetricFamily(
            "serving_prediction_log_lag_seconds",
            "How long the oldest forecast not yet written has waited; 0 when there is none.",
            value=self._log.lag_seconds,
        )
