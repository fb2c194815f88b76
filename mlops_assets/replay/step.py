"""One step of a replay: the runs of the production assets at one origin, and what they came to.

A step stands for the minutes that production spends at an origin: new rows are read, the models
that stand forecast, what came true is scored; then happens what the checks ask for.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dagster as dg
import polars as pl

from mlops_assets.evaluation.assets import backtest_key
from mlops_assets.monitoring.live.assets import live_scores_key
from mlops_assets.orchestration.failure import why_it_failed
from mlops_assets.orchestration.trigger import TRIGGER_TAG, Trigger
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.champion import empty_history
from mlops_assets.replay import rhythm
from mlops_assets.replay.isolation import clock_at
from mlops_assets.replay.progress import TRAINING, Progress, StepOutcome
from mlops_assets.replay.selection import DRIFT_REPORT, Selections
from mlops_assets.settings import Settings
from mlops_assets.storage.io_manager import table_name
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.assets import model_key
from mlops_assets.training.tracking import close_parent_run

_CONTROL: Final = ("live_scores", "control")
_DRIFT: Final = (DRIFT_REPORT, "drift")


class ReplayStepFailed(RuntimeError):  # noqa: N818 - it is an outcome, the step's
    """An asset or a blocking check stopped a step; the message names origin, asset and cause."""


@dataclass(frozen=True)
class Options:
    """What a replay may be asked for; the same for all its steps.

    Attributes:
        retrain_every: fit the candidates at every so many steps; None: by `retrain_cron`.
        assets: names of the assets to run; None: all but the raw ones.
        without: names of assets that are left out of them.
        unchecked: names of assets whose checks are not made.
        evaluate_from: start of the backtest's evaluation; None: the problem's newest folds.
    """

    retrain_every: int | None = None
    assets: tuple[str, ...] | None = None
    evaluate_from: datetime | None = None
    without: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """What the steps of a replay are played on.

    Attributes:
        problem: whose assets run.
        own: the replay's settings.
        job: all assets that may run, with their checks.
        selections: the parts of them that a run takes.
        instance: records the runs; not production's.
        options: what was asked for.
    """

    problem: ForecastProblem
    own: Settings
    job: dg.JobDefinition
    selections: Selections
    instance: dg.DagsterInstance
    options: Options

    def play(self, done: Progress, origin: datetime) -> StepOutcome:
        """Run what is due at an origin, after the steps that are done.

        Raises:
            ReplayStepFailed: a run failed.
        """
        began, before = time.perf_counter(), len(self._verdicts())
        drift = rhythm.drift_report_due(self.problem, done, origin)
        due = rhythm.training_due(self.problem, done, origin, every=self.options.retrain_every)
        triggers: list[Trigger] = [] if due is None else [due]
        control, drifted = self._first_run(origin, due, drift=drift)
        if due is None and rhythm.drift_trains(self.problem, done, origin, alarm=drifted):
            triggers.append(Trigger.DRIFT)
            self._run(self.selections.training_alone(drift=False), origin, Trigger.DRIFT)
        elif due is None and control:  # a run that held a look itself heard the alarm
            triggers.append(Trigger.CONTROL)
            self._run(self.selections.roll_back(), origin, Trigger.CONTROL)
        verdicts = self._verdicts()
        newest = verdicts.tail(1).to_dicts()[0] if len(verdicts) else {}
        return StepOutcome(
            origin=origin,
            triggers=tuple(triggers),
            decision=newest["decision"] if len(verdicts) > before else None,
            candidate=newest.get("candidate"),
            version=newest.get("version"),
            control_alarm=control,
            drift_alarm=drifted,
            registered=self._registered(origin) if TRAINING & {*triggers} else {},
            seconds=time.perf_counter() - began,
        )

    def look_back(self, at: datetime) -> pl.DataFrame:
        """The live scores of all versions at an instant after the last step.

        The models that stand forecast up to it, and nothing is trained or decided.

        Raises:
            ReplayStepFailed: the run failed.
        """
        self._run(self.selections.look_back(), at, None)
        return TableStore(self.own.storage).read(table_name(live_scores_key(self.problem.name)))

    def _first_run(
        self, origin: datetime, due: Trigger | None, *, drift: bool
    ) -> tuple[bool | None, bool | None]:
        """Refresh, and train where that is due; what the checks of control and drift said.

        A training of models that stand follows a refresh: no new fit may speak about the time
        since the last step, and what comes true of theirs is what control judges them by.
        """
        if due is None:
            result = self._run(self.selections.refresh(drift=drift), origin, None)
            return _alarm(result, _CONTROL), _alarm(result, _DRIFT)
        if due is Trigger.MISSING:
            result = self._run(self.selections.training(drift=drift), origin, due)
            return _alarm(result, _CONTROL), _alarm(result, _DRIFT)
        refreshed = self._run(self.selections.refresh(drift=False), origin, None)
        trained = self._run(self.selections.training_alone(drift=drift), origin, due)
        return _alarm(refreshed, _CONTROL), _alarm(trained, _DRIFT)

    def _run(
        self, keys: Sequence[dg.AssetKey], origin: datetime, trigger: Trigger | None
    ) -> dg.ExecuteInProcessResult:
        run_id = str(uuid.uuid4())
        result = self.job.execute_in_process(
            instance=self.instance,
            run_id=run_id,
            asset_selection=list(keys),
            run_config=self._configuration(keys, origin),
            tags={TRIGGER_TAG: str(trigger or Trigger.STALE)},  # Dagster stores plain text only
            raise_on_error=False,
        )
        close_parent_run(
            self.own, self.problem.name, run_id, "FINISHED" if result.success else "FAILED"
        )
        if not result.success:
            raise ReplayStepFailed(
                f"{self.problem.name} at {origin.isoformat()}: {why_it_failed(result)}; "
                "the steps before it are kept; mend the cause and call the replay again"
            )
        return result

    def _configuration(self, keys: Sequence[dg.AssetKey], origin: datetime) -> dict[str, Any]:
        config: dict[str, Any] = {
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            "resources": clock_at(origin),
        }
        backtest = backtest_key(self.problem.name)
        if self.options.evaluate_from is not None and backtest in keys:
            asked = {"evaluate_from": self.options.evaluate_from.isoformat()}
            config["ops"] = {backtest.to_python_identifier(): {"config": asked}}
        return config

    def _registered(self, origin: datetime) -> dict[str, str]:
        """The versions that the fits of this origin became; one that is not sane became none."""
        store, found = TableStore(self.own.storage), {}
        for candidate in self.problem.candidates:
            table = table_name(model_key(self.problem.name, candidate))
            if not store.exists(table):
                continue
            fit = store.read(table).row(-1, named=True)
            if fit["as_of"] == origin and fit["version"] is not None:
                found[candidate] = str(fit["version"])
        return found

    def _verdicts(self) -> pl.DataFrame:
        store, table = TableStore(self.own.storage), table_name(champion_key(self.problem.name))
        return store.read(table) if store.exists(table) else empty_history()


def _alarm(result: dg.ExecuteInProcessResult, check: tuple[str, str]) -> bool | None:
    """Whether a check of this run failed; None when the run made no such check."""
    found = [
        not evaluation.passed
        for evaluation in result.get_asset_check_evaluations()
        if (evaluation.asset_key.path[-1], evaluation.check_name) == check
    ]
    return any(found) if found else None
