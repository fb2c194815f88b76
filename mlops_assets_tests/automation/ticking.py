"""A clock that ticks over a problem's conditions, and runs that make what was asked for."""

# No `from __future__ import annotations`: Dagster reads the annotation of a result as an object.

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.test_utils import create_run_for_test

from mlops_assets.automation.conditions import automate
from mlops_assets.components.forecast_pipeline import build_assets
from mlops_assets.ingestion.checks import build_raw_checks
from mlops_assets.orchestration.mlflow_run import mlflow_key
from mlops_assets.problem import ForecastProblem
from mlops_assets_tests.end_to_end import planted

NAME: Final = planted.NAME
RAW: Final = {"raw_coin", "raw_index"}
TRAINING: Final = {"backtest", "model_last_value", "model_ridge", "model_boosting"}
VERDICT: Final = {"evaluation_report", "champion"}
SPOKEN: Final = {"forecasts", "live_scores", "published"}
LOOP: Final = {"observations", "features", "drift_report"} | TRAINING | VERDICT | SPOKEN
MONTHS: Final = ("2025-05-01", "2025-06-01")
NOON: Final = datetime(2025, 6, 10, 12, 2, tzinfo=UTC)
"""A Tuesday in the second month of the problem; it retrains on Thursdays at six."""
MINUTE: Final = timedelta(minutes=1)
DRIFT: Final = {"features": ["coin_scaled_*"], "current": "5d", "cron": "30 6 * * *"}

Requests = dict[str, set[str | None]]
"""Names of requested assets with the requested partitions (None: it has no partitions)."""


def key(name: str) -> dg.AssetKey:
    """Asset key of the problem."""
    return dg.AssetKey([NAME, name])


def problem() -> ForecastProblem:
    """The planted problem, with a daily drift report and a cooldown of two days."""
    return planted.problem(drift=DRIFT, retrain_cooldown="2d")


def assets(*, code_versions: Mapping[str, str] | None = None) -> list[dg.AssetsDefinition]:
    """The problem's assets with conditions; what watches over it is a stand-in that does nothing.

    Args:
        code_versions: by asset, in place of its own.
    """
    watching = {"live_scores", "drift_report", "prediction_log"}
    built = [a for a in build_assets(problem()) if a.key.path[-1] not in watching]
    changed = code_versions or {}

    def recoded(spec: dg.AssetSpec) -> dg.AssetSpec:
        version = changed.get(spec.key.path[-1], spec.code_version)
        return spec.replace_attributes(code_version=version)

    built = [asset.map_asset_specs(recoded) for asset in built]
    return automate(problem(), [*built, *_stand_ins()], pace="*/10 * * * *")


def definitions(*, code_versions: Mapping[str, str] | None = None) -> dg.Definitions:
    """These assets with the checks of the sources; nothing of it is ever run."""
    resources = ("clock", "platform", "tables", mlflow_key(NAME))
    return dg.Definitions(
        assets=assets(code_versions=code_versions),
        asset_checks=build_raw_checks(problem()),
        resources={name: dg.ResourceDefinition.none_resource() for name in resources},
    )


def _stand_ins() -> list[dg.AssetsDefinition]:
    deps = {"live_scores": ["observations", "forecasts"], "drift_report": ["features", "champion"]}
    checks = {"live_scores": "control", "drift_report": "drift"}
    return [_stand_in(name, deps.get(name, []), checks.get(name)) for name in _WATCHING]


_WATCHING: Final = ("live_scores", "drift_report", "prediction_log")


def _stand_in(name: str, deps: Collection[str], check: str | None) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(name),
        group_name=NAME,
        deps=[key(dep) for dep in deps],
        check_specs=[dg.AssetCheckSpec(check, asset=key(name))] if check else None,
    )
    def stand_in() -> dg.MaterializeResult:  # type: ignore[type-arg]  # with checks, bare only
        return dg.MaterializeResult()

    return stand_in


@dataclass
class Ticking:
    """The instance, the time, and what the last tick remembered."""

    definitions: dg.Definitions = field(default_factory=definitions)
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    now: datetime = NOON
    cursor: AssetDaemonCursor | None = None

    def tick(self, after: timedelta = MINUTE) -> Requests:
        """Let time pass and evaluate every condition."""
        self.now += after
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, evaluation_time=self.now, cursor=self.cursor
        )
        self.cursor = result.cursor
        requested = {
            r.key.path[-1]: set(result.get_requested_partitions(r.key)) for r in result.results
        }
        return {name: partitions for name, partitions in requested.items() if partitions}

    def ticks(self, count: int, *, every: timedelta = MINUTE) -> list[Requests]:
        """What was requested at each of so many ticks; the ticks without a request are left out."""
        return [found for _ in range(count) if (found := self.tick(every))]

    def make(self, *names: str, months: Collection[str] = MONTHS) -> None:
        """Materialise assets by a run that succeeds."""
        self.finish(self.launch(*names, months=months))

    def launch(
        self,
        *names: str,
        months: Collection[str] = MONTHS,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Start a run of these assets; its id."""
        run: dg.DagsterRun = create_run_for_test(
            self.instance,
            tags=tags,
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=frozenset(key(name) for name in names),
        )
        for name in names:
            for month in months if name in RAW else [None]:
                planned = AssetMaterializationPlannedData(key(name), partition=month)
                event = DagsterEvent.build_asset_materialization_planned_event(
                    run.job_name, name, planned
                )
                self.instance.report_dagster_event(event, run.run_id)
        self._running[run.run_id] = {n: list(months) if n in RAW else [None] for n in names}
        return run.run_id

    def finish(self, run_id: str) -> None:
        """The run made all that it was to make, in order."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        for name, months in self._running[run_id].items():
            for month in months:
                made = dg.AssetMaterialization(key(name), partition=month)
                event = DagsterEvent(
                    event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
                    job_name=run.job_name,
                    step_key=name,
                    event_specific_data=StepMaterializationData(made),
                )
                self.instance.report_dagster_event(event, run_id)
        self._end(run, DagsterEventType.RUN_SUCCESS)

    def fail(self, run_id: str) -> None:
        """The run ended before it made anything."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        self._end(run, DagsterEventType.RUN_FAILURE)

    def check(self, asset: str, name: str, *, passed: bool, blocking: bool = False) -> None:
        """Report the evaluation of a check of what was made last."""
        record = self.instance.get_asset_records([key(asset)])[0].asset_entry
        made = record.last_materialization_record
        assert made is not None
        target = AssetCheckEvaluationTargetMaterializationData(
            storage_id=made.storage_id, run_id=made.run_id, timestamp=made.timestamp
        )
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key(asset),
                check_name=name,
                passed=passed,
                severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
                blocking=blocking,
                target_materialization_data=target,
            )
        )

    def freshness(self, name: str, state: FreshnessState) -> None:
        """Report what Dagster's freshness daemon found."""
        change = FreshnessStateChange(
            key=key(name),
            new_state=state,
            previous_state=FreshnessState.PASS,
            state_change_timestamp=self.now.timestamp(),
        )
        self.instance.report_runless_asset_event(change)

    _running: dict[str, dict[str, list[str | None]]] = field(default_factory=dict)

    def _end(self, run: dg.DagsterRun, how: DagsterEventType) -> None:
        event = DagsterEvent(event_type_value=how.value, job_name=run.job_name)
        self.instance.report_dagster_event(event, run.run_id)


def settled() -> Ticking:
    """A problem that was made a while ago, at a minute after noon, with nothing to do."""
    world = Ticking()
    world.tick()
    world.make(*RAW)
    world.make(*LOOP, "prediction_log")
    world.tick()
    return world
