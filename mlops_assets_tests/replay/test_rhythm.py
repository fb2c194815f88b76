from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.orchestration.trigger import Trigger
from mlops_assets.replay.progress import Progress, StepOutcome
from mlops_assets.replay.rhythm import drift_report_due, drift_trains, ticked, training_due
from mlops_assets_tests.end_to_end.planted import HOUR, problem

THURSDAY = datetime(2025, 5, 8, 6, tzinfo=UTC)  # the problem is retrained on Thursdays at 6:00
DRIFT = {"features": ["coin_*"], "current": "7d", "cron": "30 6 * * *"}


def step(origin: datetime, *triggers: Trigger, drift_alarm: bool | None = None) -> StepOutcome:
    return StepOutcome(
        origin=origin,
        triggers=triggers,
        decision=None,
        candidate=None,
        version=None,
        control_alarm=None,
        drift_alarm=drift_alarm,
        seconds=1.0,
    )


def after(*steps: StepOutcome) -> Progress:
    return Progress(problem="coin_close", terms="", commits={}, steps=steps)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (THURSDAY - HOUR, THURSDAY - timedelta(seconds=1), False),
        (THURSDAY - HOUR, THURSDAY, True),
        (THURSDAY, THURSDAY + 6 * 24 * HOUR, False),
        (THURSDAY, THURSDAY + 7 * 24 * HOUR, True),
        (THURSDAY, THURSDAY, False),
    ],
)
def test_a_tick_counts_after_the_first_instant_and_up_to_the_second(
    since: datetime, until: datetime, expected: bool
) -> None:
    assert ticked("0 6 * * 4", after=since, until=until, zone="UTC") is expected


def test_a_tick_is_one_of_the_zones_clock() -> None:
    six_in_seoul = THURSDAY - 9 * HOUR

    def fired(until: datetime) -> bool:
        return ticked("0 6 * * 4", after=until - HOUR, until=until, zone="Asia/Seoul")

    assert fired(six_in_seoul)
    assert not fired(six_in_seoul - timedelta(seconds=1))
    assert not fired(THURSDAY)


def test_the_first_step_trains_since_all_models_are_missing() -> None:
    assert training_due(problem(), after(), THURSDAY, every=None) == "missing"


def test_a_step_trains_again_once_the_cron_expression_has_fired() -> None:
    done = after(step(THURSDAY, Trigger.MISSING), step(THURSDAY + HOUR))
    week = THURSDAY + 7 * 24 * HOUR

    assert training_due(problem(), done, week - HOUR, every=None) is None
    assert training_due(problem(), done, week, every=None) == "schedule"


def test_a_look_of_the_gate_after_an_alarm_is_no_training() -> None:
    week = THURSDAY + 7 * 24 * HOUR
    done = after(step(THURSDAY, Trigger.MISSING), step(week - HOUR), step(week, Trigger.CONTROL))

    assert training_due(problem(), done, week + HOUR, every=None) == "schedule"


def test_a_replay_may_train_at_every_so_many_steps() -> None:
    steps: list[StepOutcome] = []
    found = []
    for k in range(5):
        origin = THURSDAY + k * HOUR
        due = training_due(problem(), after(*steps), origin, every=2)
        found.append(due)
        steps.append(step(origin, *([due] if due else [])))

    assert found == ["missing", None, "schedule", None, "schedule"]


def test_without_drift_in_the_problem_there_is_no_report() -> None:
    assert not drift_report_due(problem(), after(), THURSDAY)


def test_the_drift_report_is_made_at_first_and_then_by_its_cron() -> None:
    drifting = problem(drift=DRIFT)
    done = after(step(THURSDAY, Trigger.MISSING, drift_alarm=False))

    assert drift_report_due(drifting, after(), THURSDAY)
    assert not drift_report_due(drifting, done, THURSDAY + timedelta(minutes=29))
    assert drift_report_due(drifting, done, THURSDAY + HOUR)  # 6:30 has passed


def test_drift_never_trains_models_younger_than_the_cooldown() -> None:
    drifting = problem(drift=DRIFT, retrain_cooldown="2d")
    done = after(step(THURSDAY, Trigger.SCHEDULE, drift_alarm=False))

    def trains(hours: int) -> bool:
        return drift_trains(drifting, done, THURSDAY + hours * HOUR, alarm=True)

    assert [trains(hours) for hours in (1, 47, 48)] == [False, False, True]


@pytest.mark.parametrize(
    ("reported", "trained", "expected"),
    [
        ({"drift_alarm": True}, Trigger.DRIFT, False),  # the training was its answer
        ({"drift_alarm": True}, Trigger.SCHEDULE, True),  # it looked at that training
        ({"drift_alarm": False}, Trigger.SCHEDULE, False),
    ],
)
def test_a_report_stands_until_it_was_answered(
    reported: dict[str, bool], trained: Trigger, expected: bool
) -> None:
    drifting = problem(drift=DRIFT, retrain_cooldown="2d")
    done = after(step(THURSDAY, trained, **reported))

    assert drift_trains(drifting, done, THURSDAY + 48 * HOUR, alarm=None) is expected


def test_without_models_there_is_nothing_that_drift_could_train_again() -> None:
    assert not drift_trains(problem(drift=DRIFT), after(), THURSDAY, alarm=True)
