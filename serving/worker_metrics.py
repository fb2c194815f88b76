"""One set of figures from several worker processes, whichever of them is asked.

Here: where workers share their figures, and what `/metrics` shows. Not here: the figures.

Counters and histograms of every worker are in files of one folder (prometheus_client's
multiprocess mode), so a scrape adds them up, and a worker that is killed loses nothing. Gauges of a
worker's own state (queue, lag, complaints) are mirrored there, too, and end with their process; the
others (models, snapshots, the pipeline) are the same in all workers and are those of the worker
that answers.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder; must be set before prometheus_client is imported."""

MIRRORED: Final[Mapping[str, Literal["livesum", "livemax"]]] = {
    "serving_prediction_log_queue_rows": "livesum",
    "serving_prediction_log_lag_seconds": "livemax",
    "serving_degraded": "livemax",
    "serving_models_held": "livesum",
    "serving_model_memory_bytes": "livesum",
}
"""Gauge of a worker's own state -> how those of all workers become one."""

_OWNER: Final = re.compile(r"gauge_live[a-z]+_([0-9]+)\.db")


class WorkerMetrics(Collector):
    """The figures of all workers that share a folder, this one among them."""

    def __init__(self, own: CollectorRegistry, folder: Path) -> None:
        """Combine `own` with what others have put into `folder`."""
        self._own = own
        self._folder = folder
        self._files = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]  # theirs
        self._unshown = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}
        self._mirroring = threading.Lock()

    def mirror(self) -> None:
        """Put this worker's gauges into the folder, and remove those of workers that have ended."""
        with self._mirroring:
            for family in self._own.collect():
                if family.name in MIRRORED and family.type == "gauge":
                    self._put(family)
        for file in self._folder.glob("gauge_live*.db"):
            owner = _OWNER.fullmatch(file.name)
            if owner is not None and not _runs(int(owner[1])):
                mark_process_dead(owner[1], str(self._folder))  # type: ignore[no-untyped-call]  # theirs

    def collect(self) -> Iterator[Metric]:
        """Every family once: that of all workers where they share it, else this worker's own."""
        self.mirror()
        families = self._files.collect()  # type: ignore[no-untyped-call]  # theirs
        shared: dict[str, Metric] = {family.name: family for family in families}
        yield from shared.values()
        yield from (family for family in self._own.collect() if family.name not in shared)

    def _put(self, family: Metric) -> None:
        for sample in family.samples:
            gauge = self._gauges.get(family.name)
            if gauge is None:
                gauge = self._gauges[family.name] = Gauge(
                    family.name,
                    family.documentation,
                    tuple(sample.labels),
                    registry=self._unshown,
                    multiprocess_mode=MIRRORED[family.name],
                )
            child = gauge.labels(**sample.labels) if sample.labels else gauge
            child.set(sample.value)


def shared_by_workers(own: CollectorRegistry) -> WorkerMetrics | None:
    """The figures of all workers, or None where this process is the only one."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return WorkerMetrics(own, Path(folder)) if folder else None


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
