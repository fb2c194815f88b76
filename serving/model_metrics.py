"""Metrics of the models that are held ready, read at the moment of the scrape.

Here: gauges of the model store. Not here: the served champion's (`instrumentation`).
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.held_models import HeldModels


class ModelStoreState(Collector):
    """Gauges of what a model store holds."""

    def __init__(self, held: HeldModels) -> None:
        """Describe `held`."""
        self._held = held

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        yield GaugeMetricFamily(
            "serving_models_held", "Verified models held ready.", value=len(self._held.keys)
        )
        yield GaugeMetricFamily(
            "serving_model_memory_bytes",
            "Memory that the held models are charged, by the size of their files.",
            value=self._held.memory_bytes,
        )
