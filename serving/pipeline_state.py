"""Metrics of the pipeline, from the `monitoring.json` of each problem's newest snapshot.

Here: the gauges `pipeline_*`. Not here: metrics of the service itself (`instrumentation`) and who
computes the figures (the asset `published`). A snapshot without the file, or a figure that the
problem does not have yet, gives no sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.contract.monitoring import Monitoring
from serving.deployments import Deployments

_GAUGES: Final[dict[str, str]] = {
    "pipeline_data_age_seconds": "Time since the end of the newest observed period.",
    "pipeline_observations_rows": "Rows of the table of observations.",
    "pipeline_champion_age_seconds": "Time since the verdict that promoted the champion.",
    "pipeline_live_forecasts": "Forecasts of the champion that came true and were scored lately.",
    "pipeline_live_mae": "Mean absolute error of those forecasts, target units.",
    "pipeline_live_coverage": "Share of outcomes inside the band of those forecasts, 0 to 1.",
    "pipeline_control_alarm": "1 while a sequential test of the champion stands at an alarm.",
    "pipeline_drift_share": "Share of features that drifted in the newest report, 0 to 1.",
    "pipeline_concept_drift": "1 when the newest drift report says that errors have changed.",
}
"""Name -> meaning; each has the label `problem`."""


class PipelineState(Collector):
    """Gauges read from the newest snapshots at the moment of the scrape."""

    def __init__(self, deployments: Deployments, clock: Callable[[], datetime]) -> None:
        """Describe the snapshots of `deployments`; ages are as of the clock."""
        self._deployments = deployments
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        gauges = {
            name: GaugeMetricFamily(name, meaning, labels=("problem",))
            for name, meaning in _GAUGES.items()
        }
        champion = GaugeMetricFamily(
            "pipeline_champion_info",
            "1 for the version that the newest verdict left with the alias.",
            labels=("problem", "candidate", "version"),
        )
        for problem in self._deployments.problems:
            snapshot = self._deployments.newest_snapshot(problem)
            if snapshot is None or (figures := snapshot.monitoring) is None:
                continue
            holder = figures.champion
            champion.add_metric((problem, holder.candidate, holder.version), 1)
            for name, value in _values(figures, self._clock()).items():
                gauges[name].add_metric((problem,), value)
        yield from (*gauges.values(), champion)


def _values(figures: Monitoring, now: datetime) -> dict[str, float]:
    values: dict[str, float] = {
        "pipeline_data_age_seconds": (now - figures.newest_valid_time).total_seconds(),
        "pipeline_observations_rows": figures.observations_rows,
        "pipeline_champion_age_seconds": (now - figures.champion.since).total_seconds(),
    }
    if (live := figures.live) is not None:
        values["pipeline_live_forecasts"] = live.n
        values["pipeline_live_mae"] = live.mae
        values["pipeline_live_coverage"] = live.coverage
    if figures.control is not None:
        values["pipeline_control_alarm"] = figures.control.alarm
    if (drift := figures.drift) is not None:
        values["pipeline_drift_share"] = drift.share_drifted
        values["pipeline_concept_drift"] = drift.concept_drift
    return values
