"""Why a run was launched, told from its tags and the evaluation behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import ASSET_EVALUATION_ID_TAG
from dagster._core.test_utils import create_run_for_test

from mlops_assets.orchestration.trigger import LABELS, TRIGGER_TAG, Trigger, trigger_of

NAME = "tides"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that nothing has happened on; an ephemeral one keeps no evaluations."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def evaluated(
    instance: dg.DagsterInstance, condition: dg.AutomationCondition[Any], name: str
) -> None:
    """Store the evaluation number 1 of an asset with this condition, as Dagster's daemon does."""

    @dg.asset(key=dg.AssetKey([name, "champion"]), automation_condition=condition)
    def champion() -> None: ...

    result = dg.evaluate_automation_conditions([champion], instance)
    stored = [r.serializable_evaluation.with_run_ids(frozenset()) for r in result.results]
    assert instance.schedule_storage is not None
    instance.schedule_storage.add_auto_materialize_asset_evaluations(1, stored)


def told(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    """The trigger of a run of the champion with these tags."""
    selection = frozenset([dg.AssetKey([NAME, "champion"])])
    run = create_run_for_test(instance, tags=tags, asset_selection=selection)
    return trigger_of(instance, run, NAME)


def labelled(trigger: Trigger) -> dg.AutomationCondition[Any]:
    """A condition that holds, with the label of a trigger."""
    return dg.AutomationCondition.missing().with_label(LABELS[trigger])


@pytest.mark.parametrize("trigger", LABELS)
def test_an_automatic_run_tells_which_condition_held(
    instance: dg.DagsterInstance, trigger: Trigger
) -> None:
    evaluated(instance, labelled(trigger), NAME)

    assert told(instance, {ASSET_EVALUATION_ID_TAG: "1"}) == trigger


def test_what_did_not_hold_is_no_trigger(instance: dg.DagsterInstance) -> None:
    idle = dg.AutomationCondition.in_progress().with_label(LABELS[Trigger.CONTROL])
    evaluated(instance, idle | labelled(Trigger.SCHEDULE), NAME)

    assert told(instance, {ASSET_EVALUATION_ID_TAG: "1"}) == "schedule"


def test_of_several_reasons_the_most_telling_is_the_trigger(instance: dg.DagsterInstance) -> None:
    evaluated(instance, labelled(Trigger.STALE) | labelled(Trigger.CONTROL), NAME)

    assert told(instance, {ASSET_EVALUATION_ID_TAG: "1"}) == "control"


def test_the_evaluation_of_another_problem_tells_nothing(instance: dg.DagsterInstance) -> None:
    evaluated(instance, labelled(Trigger.SCHEDULE), "other")

    assert told(instance, {ASSET_EVALUATION_ID_TAG: "1"}) == "by hand"


def test_whoever_knows_why_says_so_by_a_tag(instance: dg.DagsterInstance) -> None:
    assert told(instance, {TRIGGER_TAG: "drift"}) == "drift"


def test_a_retry_of_dagster_is_a_retry(instance: dg.DagsterInstance) -> None:
    assert told(instance, {"dagster/retry_number": "1"}) == "retry"


def test_a_run_that_nothing_tells_of_was_launched_by_hand(instance: dg.DagsterInstance) -> None:
    assert told(instance, {}) == "by hand"
