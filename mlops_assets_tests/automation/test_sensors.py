"""Who evaluates a problem's conditions, and when drift retrains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mlops_assets.automation.sensors import DriftReport, build_automation_sensors, reason_to_wait
from mlops_assets.orchestration.clock import real_now
from mlops_assets.orchestration.pools import PROBLEM_TAG
from mlops_assets.orchestration.trigger import TRIGGER_TAG
from mlops_assets.settings import DataMode, Settings
from mlops_assets_tests.automation import ticking
from mlops_assets_tests.automation.ticking import NAME, SPOKEN, TRAINING, VERDICT, Ticking, key

TRAINED = datetime(2025, 6, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
COOLDOWN = timedelta(days=2)


def sensors(mode: DataMode = "sample", **changes: object) -> dict[str, dg.SensorDefinition]:
    """The problem's sensors by name."""
    described = ticking.problem().model_copy(update=changes)
    keys = {asset.key for asset in ticking.assets()}
    return {s.name: s for s in build_automation_sensors(described, Settings(data=mode), keys)}


def drifted(hours_after_training: float) -> DriftReport:
    return DriftReport(evaluation_id=7, told_at=TRAINED + hours_after_training * HOUR, drifted=True)


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        ("sample", dg.DefaultSensorStatus.RUNNING),
        ("live", dg.DefaultSensorStatus.RUNNING),
        ("files", dg.DefaultSensorStatus.STOPPED),
    ],
)
def test_a_problem_runs_itself_unless_its_values_come_from_files(
    mode: DataMode, status: dg.DefaultSensorStatus
) -> None:
    assert {s.default_status for s in sensors(mode).values()} == {status}


def test_sources_are_fetched_apart_from_what_follows() -> None:
    graph = ticking.definitions().resolve_asset_graph()
    built = sensors()
    targets = {}
    for part in ("sources", "automation"):
        sensor = built[f"{NAME}_{part}"]
        assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
        targets[part] = {k.path[-1] for k in sensor.asset_selection.resolve(graph)}
        assert sensor.run_tags == {PROBLEM_TAG: NAME}

    assert targets["sources"] == ticking.RAW
    assert targets["automation"] == ticking.LOOP | {"prediction_log"}


def test_a_problem_without_a_drift_report_has_no_sensor_for_drift() -> None:
    keys = {asset.key for asset in ticking.assets()} - {key("drift_report")}
    built = build_automation_sensors(ticking.problem(), Settings(), keys)

    assert [s.name for s in built] == [f"{NAME}_sources", f"{NAME}_automation"]


def test_drift_retrains_models_that_are_older_than_the_cooldown() -> None:
    now = TRAINED + COOLDOWN
    assert reason_to_wait(drifted(1), trained_at=TRAINED, cooldown=COOLDOWN, now=now) is None


def test_drift_waits_for_the_end_of_the_cooldown_and_says_until_when() -> None:
    now = TRAINED + COOLDOWN - HOUR
    told = reason_to_wait(drifted(1), trained_at=TRAINED, cooldown=COOLDOWN, now=now)
    assert told is not None
    assert "2025-06-03 06:00 UTC" in told


def test_a_report_from_before_the_training_is_answered_by_it() -> None:
    now = TRAINED + 9 * COOLDOWN
    assert reason_to_wait(drifted(-1), trained_at=TRAINED, cooldown=COOLDOWN, now=now)


@pytest.mark.parametrize(
    "report", [None, DriftReport(evaluation_id=7, told_at=TRAINED + HOUR, drifted=False)]
)
def test_without_drift_nothing_is_retrained(report: DriftReport | None) -> None:
    now = TRAINED + 9 * COOLDOWN
    assert reason_to_wait(report, trained_at=TRAINED, cooldown=COOLDOWN, now=now)


def look(world: Ticking, *, cooldown: timedelta = COOLDOWN) -> dg.RunRequest | dg.SkipReason:
    """What the sensor of drift says now."""
    with dg.build_sensor_context(instance=world.instance) as context:
        said = sensors(retrain_cooldown=cooldown)[f"{NAME}_drift"](context)
    assert isinstance(said, dg.RunRequest | dg.SkipReason)
    return said


def test_a_drift_report_asks_for_one_run_of_all_that_a_training_makes() -> None:
    world = Ticking()
    with world.instance:
        world.make("backtest", "drift_report")
        world.check("drift_report", "drift", passed=False)

        first, again = (look(world, cooldown=timedelta(0)) for _ in range(2))

        assert isinstance(first, dg.RunRequest)
        assert isinstance(again, dg.RunRequest)
        assert {k.path[-1] for k in first.asset_selection or []} == TRAINING | VERDICT | SPOKEN
        assert type(first.tags[TRIGGER_TAG]) is str  # Dagster stores plain text only
        assert first.tags[TRIGGER_TAG] == "drift"
        assert first.run_key == again.run_key  # Dagster launches a key once


def test_drift_waits_while_a_run_of_the_problem_has_not_ended() -> None:
    world = Ticking()
    with world.instance:
        world.make("backtest", "drift_report")
        world.check("drift_report", "drift", passed=False)
        world.launch("features", tags={PROBLEM_TAG: NAME})

        said = look(world, cooldown=timedelta(0))

        assert isinstance(said, dg.SkipReason)


def test_models_that_were_just_trained_are_left_alone() -> None:
    world = Ticking(now=real_now())
    with world.instance:
        world.make("backtest", "drift_report")
        world.check("drift_report", "drift", passed=False)

        assert isinstance(look(world), dg.SkipReason)
