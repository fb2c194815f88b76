"""When assets of a problem ask to be made, tick by tick."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState

from mlops_assets.automation.conditions import automate
from mlops_assets.components.forecast_pipeline import build_assets
from mlops_assets.orchestration.clock import real_now
from mlops_assets.problem import ProblemError
from mlops_assets.settings import SettingsError
from mlops_assets_tests.automation import ticking
from mlops_assets_tests.automation.ticking import (
    LOOP,
    MINUTE,
    MONTHS,
    RAW,
    SPOKEN,
    TRAINING,
    VERDICT,
    Ticking,
)
from mlops_assets_tests.end_to_end import planted

THURSDAY_AT_SIX = datetime(2025, 6, 12, 6, tzinfo=UTC)


@pytest.fixture
def world() -> Iterator[Ticking]:
    """A problem that was made a while ago, with nothing to do."""
    made = ticking.settled()
    with made.instance:
        yield made


@pytest.fixture
def empty() -> Iterator[Ticking]:
    """A problem of which nothing was made yet."""
    made = Ticking()
    with made.instance:
        made.tick()
        yield made


def test_a_problem_without_anything_first_fetches_all_its_months(empty: Ticking) -> None:
    assert empty.ticks(3, every=4 * MINUTE) == [{name: set(MONTHS) for name in RAW}]


def test_what_follows_the_first_values_is_made_in_one_run(empty: Ticking) -> None:
    empty.make(*RAW)

    assert set(empty.tick()) == LOOP
    assert empty.tick() == {}


def test_a_problem_that_has_everything_asks_for_nothing(world: Ticking) -> None:
    assert world.ticks(6, every=4 * MINUTE) == []


def test_old_values_are_fetched_for_the_running_month_once_for_each_tick_of_the_pace(
    world: Ticking,
) -> None:
    world.freshness("raw_coin", FreshnessState.WARN)

    assert world.ticks(7, every=4 * MINUTE) == [{"raw_coin": {"2025-06-01"}}] * 3


def test_values_that_came_too_late_once_are_fetched_for_the_months_before_as_well(
    world: Ticking,
) -> None:
    world.freshness("raw_coin", FreshnessState.FAIL)

    assert world.ticks(2, every=4 * MINUTE) == [{"raw_coin": set(MONTHS)}]


def test_the_first_days_of_a_month_fetch_the_end_of_the_one_before(world: Ticking) -> None:
    world.tick(datetime(2025, 7, 1, 0, 1, tzinfo=UTC) - world.now)
    world.make(*RAW, months=["2025-07-01"])
    world.ticks(2, every=10 * MINUTE)
    world.freshness("raw_coin", FreshnessState.WARN)

    assert world.tick()["raw_coin"] == {"2025-06-01", "2025-07-01"}


def test_nothing_is_fetched_again_while_it_is_being_fetched(world: Ticking) -> None:
    world.freshness("raw_coin", FreshnessState.WARN)
    assert "raw_coin" in world.tick(8 * MINUTE)
    world.launch("raw_coin", months=["2025-06-01"])

    assert world.ticks(4, every=4 * MINUTE) == []


def test_new_values_of_the_target_are_forecast_and_published_in_one_run(world: Ticking) -> None:
    world.make("raw_coin", months=["2025-06-01"])

    assert [set(found) for found in world.ticks(4, every=4 * MINUTE)] == [
        {"observations", "features"} | SPOKEN
    ]


def test_values_that_a_check_refused_go_no_further(world: Ticking) -> None:
    world.make("raw_coin", months=["2025-06-01"])
    world.check("raw_coin", "prices_present", passed=False, blocking=True)

    assert world.ticks(3, every=4 * MINUTE) == []

    world.check("raw_coin", "prices_present", passed=True, blocking=True)
    assert "observations" in world.tick()


def test_a_source_without_any_values_never_holds_the_target_up(empty: Ticking) -> None:
    empty.make("raw_coin")

    assert set(empty.tick()) == LOOP


def test_the_schedule_retrains_once_in_one_run(world: Ticking) -> None:
    world.tick(THURSDAY_AT_SIX - MINUTE - world.now)

    found = [set(f) - {"prediction_log"} for f in world.ticks(5, every=4 * MINUTE)]

    assert [f for f in found if f] == [TRAINING | VERDICT | SPOKEN]


def test_a_retraining_is_not_requested_again_while_it_runs(world: Ticking) -> None:
    world.tick(THURSDAY_AT_SIX - MINUTE - world.now)
    world.tick()
    world.launch(*TRAINING, *VERDICT, *SPOKEN)

    assert not [f for f in world.ticks(4, every=4 * MINUTE) if set(f) & (TRAINING | VERDICT)]


def test_a_run_that_failed_is_tried_again_at_the_next_tick_of_the_pace(world: Ticking) -> None:
    everything = TRAINING | VERDICT | SPOKEN
    world.fail(world.launch(*everything))

    assert [set(found) for found in world.ticks(2, every=4 * MINUTE)] == [everything]


def test_what_failed_and_was_made_since_is_left_alone(world: Ticking) -> None:
    world.fail(world.launch("champion"))
    world.make("champion", *SPOKEN)

    assert world.ticks(3, every=4 * MINUTE) == []


def test_changed_code_of_the_models_retrains_all_of_them(world: Ticking) -> None:
    recoded = dict.fromkeys(TRAINING, "another")
    world.definitions = ticking.definitions(code_versions=recoded)

    assert [set(found) for found in world.ticks(3, every=4 * MINUTE)] == [
        TRAINING | VERDICT | SPOKEN
    ]


def test_changed_code_of_the_features_makes_them_anew_and_retrains_with_them(
    world: Ticking,
) -> None:
    world.definitions = ticking.definitions(code_versions={"features": "another"})

    found = [set(found) for found in world.ticks(3, every=4 * MINUTE)]

    assert found == [{"features"} | TRAINING | VERDICT | SPOKEN]


def test_a_candidate_without_a_model_is_compared_with_all_others(world: Ticking) -> None:
    world.instance.wipe_assets([ticking.key("model_ridge")])

    assert [set(found) for found in world.ticks(3, every=4 * MINUTE)] == [
        TRAINING | VERDICT | SPOKEN
    ]


def test_an_alarm_of_control_asks_for_a_verdict_but_for_no_training() -> None:
    # Dagster compares the time of a check's evaluation, which is real, with the time of a tick.
    world = Ticking(now=real_now() - 3 * MINUTE)
    with world.instance:
        world.tick()
        world.make(*RAW, months=[f"{world.now:%Y-%m}-01"])
        world.make(*LOOP, "prediction_log")
        world.tick()
        world.check("live_scores", "control", passed=False)

        found = world.tick()

        assert set(found) - RAW - {"prediction_log"} == {"champion"} | SPOKEN
        assert "champion" not in world.tick()


def test_a_roll_back_by_hand_is_followed_by_forecasts_and_a_snapshot(world: Ticking) -> None:
    world.instance.report_runless_asset_event(dg.AssetMaterialization(ticking.key("champion")))

    assert [set(found) for found in world.ticks(3, every=4 * MINUTE)] == [SPOKEN]


def test_the_drift_report_is_made_at_its_cron(world: Ticking) -> None:
    world.tick(datetime(2025, 6, 11, 6, 29, tzinfo=UTC) - world.now)

    assert [found for found in world.ticks(3, every=4 * MINUTE) if "drift_report" in found] == [
        {"drift_report": {None}}
    ]


def test_every_asset_of_a_problem_has_a_condition() -> None:
    built = automate(planted.problem(), build_assets(planted.problem()), pace="* * * * *")

    assert [
        spec.key for asset in built for spec in asset.specs if spec.automation_condition is None
    ] == []


def test_every_asset_has_a_freshness_policy() -> None:
    built = automate(planted.problem(), build_assets(planted.problem()), pace="* * * * *")
    late = {spec.key.path[-1] for asset in built for spec in asset.specs if spec.freshness_policy}

    assert late >= {*RAW, *TRAINING, *VERDICT, "observations", "features", "forecasts", "published"}


def test_a_pace_that_is_no_cron_expression_is_named_with_its_remedy() -> None:
    with pytest.raises(SettingsError, match=r"MLOPS_AUTOMATION_PACE='often'.*correct it"):
        automate(planted.problem(), [], pace="often")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"retrain_cron": "weekly"}, "retrain_cron 'weekly'"),
        ({"drift": {**ticking.DRIFT, "cron": "daily"}}, "drift.cron 'daily'"),
    ],
)
def test_a_cron_of_the_problem_that_is_none_is_named_with_its_remedy(
    change: dict[str, object], key: str
) -> None:
    with pytest.raises(ProblemError, match=f"coin_close: {key} is no cron expression; correct it"):
        automate(planted.problem(**change), [], pace="* * * * *")
