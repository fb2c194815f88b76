"""When each asset of a problem materialises by itself: one automation condition for each.

Here: conditions as data, attached to the assets of a problem. Not here: who evaluates them, and
what no condition can say (`automation.sensors`); the words for why (`orchestration.trigger`).

Every reason waits for a tick of the pace or is forgotten once it was handled, so that nothing is
requested twice for the same cause; no reason counts while the asset is being made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any, Final

import dagster as dg
from dagster import AutomationCondition as When
from dagster._core.definitions.declarative_automation.automation_condition import (
    BuiltinAutomationCondition,
)
from dagster._utils.schedules import is_valid_cron_schedule

from mlops_assets.evaluation.assets import backtest_key, report_key
from mlops_assets.features.assets import features_key
from mlops_assets.forecasting.assets import forecasts_key, published_key
from mlops_assets.ingestion.assets import observations_key, raw_key
from mlops_assets.orchestration.freshness import with_freshness
from mlops_assets.orchestration.trigger import LABELS, Trigger
from mlops_assets.problem import ForecastProblem, ProblemError
from mlops_assets.promotion.assets import champion_key
from mlops_assets.settings import SettingsError
from mlops_assets.training.assets import model_key

Condition = BuiltinAutomationCondition[Any]
"""A condition with a label; of assets and of checks alike, which Dagster's types keep apart."""

CONTROL_CHECK: Final = "control"
"""Check of `live_scores` that fails while an alarm stands over the champion."""

PREDICTION_LOG_CRON: Final = "0 * * * *"
"""When answered forecasts are brought into the table `prediction_log`, UTC."""

_MONTH_BEFORE: Final = timedelta(days=62)
"""From the end of a month back to the first day of the one before it, and of no earlier one."""

_MONTHS_BEFORE: Final = timedelta(days=123)
"""From the end of a month back to the first day of the third before it: no absence of months leaves
a gap."""

_CLOSING_DAYS: Final = "1-3"
"""Days on which the month before is fetched too: its last values arrive after its end."""


def automate(
    problem: ForecastProblem, assets: Sequence[dg.AssetsDefinition], *, pace: str
) -> list[dg.AssetsDefinition]:
    """The assets of a problem with conditions and, where they have none, freshness policies.

    Args:
        problem: whose assets these are.
        assets: all of them.
        pace: cron expression by which what is stale, missing or failed is tried again.

    Raises:
        SettingsError: `pace` is no cron expression.
        ProblemError: a cron expression of the problem is none.
    """
    _check_crons(problem, pace)
    specs = {spec.key: spec for asset in assets for spec in asset.specs}
    rules = _Rules(problem, specs, pace)

    def complete(spec: dg.AssetSpec) -> dg.AssetSpec:
        return with_freshness(spec, problem).replace_attributes(
            automation_condition=rules.condition_of(spec.key)
        )

    return [asset.map_asset_specs(complete) for asset in assets]


class _Rules:
    """The rules of one problem."""

    def __init__(
        self, problem: ForecastProblem, specs: dict[dg.AssetKey, dg.AssetSpec], pace: str
    ) -> None:
        self._problem, self._specs, self._pace = problem, specs, pace
        name = problem.name
        self._target = raw_key(name, problem.target.source)
        self._live_scores = dg.AssetKey([name, "live_scores"])
        self._training = [
            backtest_key(name),
            *(model_key(name, candidate) for candidate in problem.candidates),
        ]
        self._by_key: dict[dg.AssetKey, Condition] = {
            **{raw_key(name, source): self._raw() for source in problem.sources},
            observations_key(name): self._observations(),
            **{key: self._training_of_all() for key in self._training},
            champion_key(name): self._champion(),
            dg.AssetKey([name, "prediction_log"]): self._at(PREDICTION_LOG_CRON, zone="UTC"),
        }
        if problem.drift is not None:
            report = dg.AssetKey([name, "drift_report"])
            self._by_key[report] = self._drift_report(report, problem.drift.cron)
        follows = {
            features_key(name): [observations_key(name)],
            report_key(name): [backtest_key(name)],
            forecasts_key(name): [features_key(name), champion_key(name)],
            self._live_scores: [observations_key(name), forecasts_key(name)],
            published_key(name): [
                *(forecasts_key(name), report_key(name), champion_key(name), self._live_scores)
            ],
        }
        self._by_key |= {
            key: self._follower(after) for key, after in follows.items() if key in specs
        }

    def condition_of(self, key: dg.AssetKey) -> Condition | None:
        """The condition of an asset; None where no rule names it."""
        return self._by_key.get(key)

    def _paced(self) -> Condition:
        """True once for each tick of the pace, until it was used."""
        return _ticked(self._pace, zone=self._problem.zone)

    def _missing(self, *keys: dg.AssetKey) -> Condition:
        """Paced, or in one run with the features that are made anyway."""
        missing = _any(When.asset_matches(key, When.missing()) for key in keys)
        with_features = When.asset_matches(
            features_key(self._problem.name), When.will_be_requested()
        )
        return (missing & (self._paced() | with_features)).with_label(LABELS[Trigger.MISSING])

    def _own_missing(self) -> Condition:
        return (When.missing() & self._paced()).with_label(LABELS[Trigger.MISSING])

    def _failed(self) -> Condition:
        return (When.execution_failed() & self._paced()).with_label(LABELS[Trigger.RETRY])

    def _raw(self) -> Condition:
        """Old or missing months; what is old is the month that runs, and what led up to it.

        A warning fetches the running month. One that has failed was not fetched for longer, perhaps
        not since last month.
        """
        minute, hour, _, *rest = self._pace.split()
        closing = _ticked(" ".join([minute, hour, _CLOSING_DAYS, *rest]), zone=self._problem.zone)
        month_before = When.in_latest_time_window(_MONTH_BEFORE)
        months_before = When.in_latest_time_window(_MONTHS_BEFORE)
        old = (When.freshness_warned() | When.freshness_failed()) & (
            When.in_latest_time_window()
            | (month_before & closing)
            | (months_before & When.freshness_failed())
        )
        stale = (old & self._paced()).with_label(LABELS[Trigger.STALE])
        return (stale | self._own_missing()) & ~When.in_progress()

    def _observations(self) -> Condition:
        """After the target's values; other sources may be missing, late or broken."""
        updated: Condition = When.asset_matches(self._target, When.newly_updated())
        due = updated.since_last_handled().with_label(LABELS[Trigger.STALE])
        fetched = When.asset_matches(self._target, ~When.missing())
        fetching = When.asset_matches(self._target, When.in_progress())
        refused = When.asset_matches(self._target, _a_check_refuses())
        reasons = due | self._recoded() | self._own_missing() | self._failed()
        return reasons & fetched & ~fetching & ~refused & ~When.in_progress()

    def _recoded(self, *keys: dg.AssetKey) -> Condition:
        """True when the asset, or one of `keys` instead, computes something else than before."""
        changed: Condition = When.code_version_changed()
        if keys:
            changed = _any(When.asset_matches(key, changed) for key in keys)
        return changed.since_last_handled().with_label(LABELS[Trigger.CODE_CHANGE])

    def _training_of_all(self) -> Condition:
        """The same for backtest and models, told of the backtest: all are requested at once.

        What failed is made again alone; what follows it is made again with it.
        """
        problem, (backtest, *_) = self._problem, self._training
        scheduled = _ticked(problem.retrain_cron, zone=problem.zone)
        made_of = [observations_key(problem.name), features_key(problem.name), *self._training]
        shared = (
            scheduled.with_label(LABELS[Trigger.SCHEDULE])
            | self._recoded(*made_of)
            | self._missing(*self._training)
        )
        due = When.asset_matches(backtest, shared) | self._failed()
        return due & ~self._training_in_progress() & _inputs_are_ready()

    def _champion(self) -> Condition:
        """After a training, or at once when control sounds an alarm.

        An alarm told by a run that held a look itself is no news: the look had its say.
        """
        reasons = self._after(self._training) | self._own_missing() | self._failed()
        if self._live_scores in self._specs:
            alarm = When.check_failed() & When.newly_updated() & ~When.executed_with_root_target()
            control = dg.AssetSelection.checks(dg.AssetCheckKey(self._live_scores, CONTROL_CHECK))
            told: Condition = When.asset_matches(
                self._live_scores, When.any_checks_match(alarm).allow(control)
            )
            reasons |= told.since_last_handled().with_label(LABELS[Trigger.CONTROL])
        idle = ~self._training_in_progress() & ~When.in_progress()
        return reasons & idle & _inputs_are_ready()

    def _follower(self, after: Iterable[dg.AssetKey]) -> Condition:
        """After what it is made of, in one run with it where that is requested as well."""
        reasons = self._after(parent for parent in after if parent in self._specs)
        reasons |= self._own_missing() | self._failed() | self._recoded()
        return reasons & ~When.in_progress() & _inputs_are_ready()

    def _after(self, keys: Iterable[dg.AssetKey]) -> Condition:
        apart = When.newly_updated() & ~When.executed_with_root_target()
        updated = _any(When.asset_matches(key, apart | When.will_be_requested()) for key in keys)
        return updated.since_last_handled().with_label(LABELS[Trigger.STALE])

    def _at(self, cron: str, *, zone: str) -> Condition:
        scheduled = _ticked(cron, zone=zone).with_label(LABELS[Trigger.SCHEDULE])
        return scheduled & ~When.in_progress()

    def _drift_report(self, key: dg.AssetKey, cron: str) -> Condition:
        scheduled = _ticked(cron, zone=self._problem.zone).with_label(LABELS[Trigger.SCHEDULE])
        reasons = scheduled | self._missing(key) | self._failed()
        return reasons & ~When.in_progress() & _inputs_are_ready()

    def _training_in_progress(self) -> Condition:
        return _any(When.asset_matches(key, When.in_progress()) for key in self._training)


def _any(conditions: Iterable[Condition]) -> Condition:
    return reduce(or_, conditions)


def _ticked(cron: str, *, zone: str) -> Condition:
    """True from a tick of the cron until the asset was requested or made."""
    ticked: Condition = When.cron_tick_passed(cron, zone)
    return ticked.since_last_handled()


def _a_check_refuses() -> Condition:
    """A blocking check failed, or has not come to an end on the newest values."""
    return When.any_checks_match(When.check_failed() | When.in_progress(), blocking_only=True)


def _inputs_are_ready() -> Condition:
    """Everything it is made of is there or made with it, and no check has stopped it."""
    refused = When.any_deps_match(_a_check_refuses() & ~When.will_be_requested())
    return ~When.any_deps_missing() & ~refused


def _check_crons(problem: ForecastProblem, pace: str) -> None:
    if not is_valid_cron_schedule(pace) or len(pace.split()) != 5:
        raise SettingsError(
            f"MLOPS_AUTOMATION_PACE={pace!r} is no cron expression of five fields; correct it, "
            "such as `*/10 * * * *` for every ten minutes"
        )
    crons = {"retrain_cron": problem.retrain_cron}
    if problem.drift is not None:
        crons["drift.cron"] = problem.drift.cron
    for key, cron in crons.items():
        if not is_valid_cron_schedule(cron):
            raise ProblemError(
                f"{problem.name}: {key} {cron!r} is no cron expression; correct it, such as "
                "`0 6 * * 1` for Mondays at six in the target's zone"
            )
