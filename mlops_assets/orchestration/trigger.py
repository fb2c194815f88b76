"""Why a run was launched: `trigger_of` says it in one of a few words.

Here: the words, the labels by which conditions carry them, and reading them back from a run's tags
and from the evaluation that Dagster stored with the run's request. Not here: the conditions
themselves (`automation.conditions`).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import dagster as dg
from dagster._core.definitions.declarative_automation.serialized_objects import (
    AutomationConditionEvaluation,
)
from dagster._core.storage.tags import ASSET_EVALUATION_ID_TAG, RETRY_NUMBER_TAG

TRIGGER_TAG: Final = "mlops/trigger"
"""Run tag of those who know why they launch: the command line and the sensor of drift."""


class Trigger(StrEnum):
    """Why a run was launched."""

    COMMAND_LINE = "command line"
    BY_HAND = "by hand"
    MISSING = "missing"
    SCHEDULE = "schedule"
    DRIFT = "drift"
    CONTROL = "control"
    CODE_CHANGE = "code change"
    STALE = "stale"
    RETRY = "retry"


LABELS: Final[dict[Trigger, str]] = {
    Trigger.CONTROL: "control: an alarm stands over the champion",
    Trigger.CODE_CHANGE: "code change: it computes something else now",
    Trigger.SCHEDULE: "schedule: the time of its cron has come",
    Trigger.MISSING: "missing: there is none yet",
    Trigger.RETRY: "retry: its last run failed",
    Trigger.STALE: "stale: it is old, or what it is made of is newer",
}
"""Labels of conditions, the more telling first: of several true ones the first is the trigger."""


def trigger_of(instance: dg.DagsterInstance, run: dg.DagsterRun, problem_name: str) -> str:
    """Why `run` was launched, one of `Trigger`; "by hand" where nothing tells.

    Args:
        instance: where the run and the evaluation behind its request are stored.
        run: the run in question.
        problem_name: whose assets it materialises.
    """
    if TRIGGER_TAG in run.tags:
        return str(Trigger(run.tags[TRIGGER_TAG]))
    if RETRY_NUMBER_TAG in run.tags:
        return str(Trigger.RETRY)
    found = set(_true_labels(instance, run, problem_name))
    reasons = (trigger for trigger, label in LABELS.items() if label in found)
    return str(next(reasons, Trigger.BY_HAND))


def _true_labels(
    instance: dg.DagsterInstance, run: dg.DagsterRun, problem_name: str
) -> Iterator[str]:
    """Labels of what held when an automation requested this run."""
    storage, number = instance.schedule_storage, run.tags.get(ASSET_EVALUATION_ID_TAG)
    if number is None or storage is None:
        return
    # Each sensor counts its own evaluations: the number alone does not tell the problem.
    for record in storage.get_auto_materialize_evaluations_for_evaluation_id(int(number)):
        evaluation = record.get_evaluation_with_run_ids().evaluation
        if _concerns(evaluation.key, run, problem_name):
            yield from _labels_that_held(evaluation)


def _concerns(key: object, run: dg.DagsterRun, problem_name: str) -> bool:
    """Whether `key` is an asset of the problem that this run materialises, not another one."""
    if not isinstance(key, dg.AssetKey) or key.path[0] != problem_name:
        return False
    return run.asset_selection is None or key in run.asset_selection


def _labels_that_held(evaluation: AutomationConditionEvaluation[dg.AssetKey]) -> Iterator[str]:
    if evaluation.true_subset.is_empty:
        return  # it was evaluated, but not requested
    for node in evaluation.iter_nodes():
        label = node.condition_snapshot.label
        if label is not None and not node.true_subset.is_empty:
            yield label
