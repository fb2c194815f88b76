"""The streams that alerts are read from: failed runs, evaluations of checks, verdicts.

Here: reading Dagster's event log from a position on. Not here: what is told of it
(`alerts_cursor`), the words (`alerts_messages`), and the sensors (`alerts`).

Failed runs and verdicts have Dagster's storage id as position. An evaluation has its time: Dagster
gives it the place of the run's plan in the table of checks, so that one with a lower id may come
later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecord,
)
from dagster._core.storage.tags import WILL_RETRY_TAG

from mlops_assets.automation.alerts_cursor import Sighting
from mlops_assets.automation.alerts_messages import Event, Kind
from mlops_assets.automation.alerts_runs import describe_failure
from mlops_assets.automation.sensors import DRIFT_CHECK
from mlops_assets.ingestion.assets import FETCHED_CHECK, raw_key
from mlops_assets.ingestion.quality import Rule
from mlops_assets.monitoring.drift.assets import drift_key
from mlops_assets.monitoring.live.assets import live_scores_key
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.control_state import ControlTest, control_table
from mlops_assets.storage.tables import TableStore

CONTROL_CHECK: Final = "control"
"""Check of `live_scores`, about errors and bands alike."""

COVERAGE_TEST: Final[ControlTest] = "coverage"
"""The control's test that speaks about bands; all others speak about errors."""

EVENTS_PER_LOOK: Final = 50
"""Of one stream; the next look goes on from there."""

_GLANCE: Final = 5
_MLFLOW_RUN: Final = re.compile(r"^\[(\w+)\]\(")
_PROMOTIONS: Final[Mapping[str, Kind]] = {"promote": Kind.PROMOTION, "roll_back": Kind.ROLL_BACK}

StandingAlarms = Callable[[str], frozenset[str]]
"""Problem -> the control's tests whose alarm stands."""


class Stream(Protocol):
    """Events in their order."""

    @property
    def name(self) -> str:
        """What the cursor calls the stream; unique."""

    def newest(self, instance: dg.DagsterInstance) -> float:
        """Position of the newest event; 0 when there is none."""

    def after(self, instance: dg.DagsterInstance, position: float) -> list[Sighting]:
        """Events behind a position, in order."""


@dataclass(frozen=True)
class FailedRuns:
    """Runs of the instance that failed and are not tried again by Dagster."""

    problems: tuple[str, ...]
    name: str = "failed runs"

    def newest(self, instance: dg.DagsterInstance) -> float:
        """Storage id of the newest failure."""
        records = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1)
        return records.records[0].storage_id if records.records else 0

    def after(self, instance: dg.DagsterInstance, position: float) -> list[Sighting]:
        """Failures with a larger storage id."""
        found = instance.fetch_run_status_changes(
            dg.RunStatusChangeRecordsFilter(
                dg.DagsterEventType.RUN_FAILURE, after_storage_id=int(position)
            ),
            limit=EVENTS_PER_LOOK,
            ascending=True,
        )
        return [self._sighting(instance, record) for record in found.records]

    def _sighting(self, instance: dg.DagsterInstance, record: dg.EventLogRecord) -> Sighting:
        run, failed_at = instance.get_run_by_id(record.run_id), _instant(record.timestamp)
        is_last = run is not None and run.tags.get(WILL_RETRY_TAG) != "true"
        event = (
            describe_failure(instance, run, failed_at, self.problems) if run and is_last else None
        )
        return Sighting(self.name, record.storage_id, failed_at, event)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of a problem's gate that moved the alias to another recipe."""

    problem: str

    @property
    def name(self) -> str:
        """One stream for each problem."""
        return f"{self.problem}/champion"

    def newest(self, instance: dg.DagsterInstance) -> float:
        """Storage id of the newest verdict."""
        found = instance.fetch_materializations(champion_key(self.problem), limit=1)
        return found.records[0].storage_id if found.records else 0

    def after(self, instance: dg.DagsterInstance, position: float) -> list[Sighting]:
        """Promotions and roll backs with a larger storage id."""
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(champion_key(self.problem), after_storage_id=int(position)),
            limit=EVENTS_PER_LOOK,
            ascending=True,
        )
        return [
            Sighting(self.name, record.storage_id, _instant(record.timestamp), self._event(record))
            for record in found.records
        ]

    def _event(self, record: dg.EventLogRecord) -> Event | None:
        materialization = record.asset_materialization
        metadata = _values(materialization.metadata if materialization else {})
        verdict = metadata.get("figures")
        if not isinstance(verdict, dict) or verdict.get("decision") not in _PROMOTIONS:
            return None
        link = _MLFLOW_RUN.match(str(metadata.get("mlflow_run", "")))
        version = metadata.get("champion_version", "unknown")
        return Event(
            kind=_PROMOTIONS[verdict["decision"]],
            problem=self.problem,
            happened_at=_instant(record.timestamp),
            subject=f"{verdict.get('candidate')}, version {version}",
            text="\n".join(_verdict_lines(verdict)),
            run_id=record.run_id or None,
            asset="/".join(champion_key(self.problem).path),
            mlflow_run_id=link.group(1) if link else None,
        )


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of one check, for one kind of alert.

    Checks with the same `condition` alarm together: the first that fails, the last that passes.
    """

    kind: Kind
    problem: str
    check: dg.AssetCheckKey
    subject: str
    alarms: StandingAlarms | None = None

    @property
    def name(self) -> str:
        """One stream for each check and kind."""
        return f"{self.condition}/{self.check.name}"

    @property
    def condition(self) -> str:
        """What stands while the check fails."""
        return f"{'/'.join(self.check.asset_key.path)}/{self.kind}"

    def newest(self, instance: dg.DagsterInstance) -> float:
        """Time of the newest evaluation, seconds since 1970."""
        return max((_time(record) for record in self._records(instance, _GLANCE)), default=0.0)

    def after(self, instance: dg.DagsterInstance, position: float) -> list[Sighting]:
        """Later evaluations."""
        records = self._records(instance, _GLANCE)
        if len(records) == _GLANCE and all(_time(record) > position for record in records):
            records = self._records(instance, EVENTS_PER_LOOK)
        later = sorted((r for r in records if _time(r) > position), key=_time)
        return [self._sighting(record) for record in later]

    def _records(self, instance: dg.DagsterInstance, limit: int) -> list[AssetCheckExecutionRecord]:
        history = instance.event_log_storage.get_asset_check_execution_history(
            self.check, limit=limit, status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
        )
        return list(history)

    def _sighting(self, record: AssetCheckExecutionRecord) -> Sighting:
        assert record.event is not None
        evaluation = record.event.get_dagster_event().asset_check_evaluation_data
        failing = not evaluation.passed and self._is_meant()
        event = Event(
            kind=self.kind,
            problem=self.problem,
            happened_at=_instant(_time(record)),
            subject=self.subject,
            text=f"Check {self.check.name}: {evaluation.description or 'no description'}",
            run_id=record.run_id or None,
            asset="/".join(self.check.asset_key.path),
            over=not failing,
        )
        return Sighting(
            stream=self.name,
            position=_time(record),
            happened_at=event.happened_at,
            event=event,
            condition=self.condition,
            check=self.check.name,
            failing=failing,
        )

    def _is_meant(self) -> bool:
        """Whether a failure belongs to this kind: one check speaks about errors and bands."""
        if self.alarms is None:
            return True
        standing = self.alarms(self.problem)
        if self.kind is Kind.COVERAGE:
            return COVERAGE_TEST in standing
        return standing != {COVERAGE_TEST}


def streams_of(problem: ForecastProblem, alarms: StandingAlarms) -> list[Stream]:
    """Everything about a problem that people are told, besides its failed runs."""
    name = problem.name
    streams: list[Stream] = [Verdicts(name)]
    for source in problem.sources:
        for check in (Rule.RECENCY, FETCHED_CHECK):
            key = dg.AssetCheckKey(raw_key(name, source), str(check))
            streams.append(Evaluations(Kind.DEAD_SOURCE, name, key, source))
    drift = dg.AssetCheckKey(drift_key(name), DRIFT_CHECK)
    control = dg.AssetCheckKey(live_scores_key(name), CONTROL_CHECK)
    return [
        *streams,
        Evaluations(Kind.DRIFT, name, drift, "drift_report"),
        Evaluations(Kind.CONTROL, name, control, "live_scores", alarms),
        Evaluations(Kind.COVERAGE, name, control, "live_scores", alarms),
    ]


def stored_alarms(storage: str) -> StandingAlarms:
    """The alarms of the table `<problem>/control` below the storage root; none before it exists."""

    def standing(problem: str) -> frozenset[str]:
        store, table = TableStore(storage), control_table(problem)
        if not store.exists(table):
            return frozenset()
        return frozenset(store.read(table).filter("alarm")["test"])

    return standing


def _verdict_lines(verdict: Mapping[str, Any]) -> Iterator[str]:
    yield f"Before: {verdict.get('previous') or 'nobody'}."
    if verdict.get("trigger"):
        yield f"Triggered by: {verdict['trigger']}."
    yield from (f"- {reason}" for reason in verdict.get("reasons", ()))


def _values(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, Any]:
    return {name: entry.value for name, entry in metadata.items()}


def _time(record: AssetCheckExecutionRecord) -> float:
    return record.event.timestamp if record.event else 0.0


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
