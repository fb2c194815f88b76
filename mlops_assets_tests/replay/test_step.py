"""What a step runs, on a graph without computation."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.problem import ForecastProblem
from mlops_assets.replay.clock_loop import run_clock_loop
from mlops_assets.replay.isolation import ReplayError
from mlops_assets.replay.progress import StepOutcome
from mlops_assets.replay.step import Options, ReplayStepFailed
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.raw import KEY, PARTITION
from mlops_assets_tests.end_to_end.planted import HOUR, NAME, START, market, problem, raw
from mlops_assets_tests.replay.conftest import REPLAY, with_registry
from mlops_assets_tests.replay.pretended import UPSTREAM, Pretended

FIRST = START + 12 * HOUR
REFRESHED = {"observations", "features", "forecasts", "live_scores", "published"}
EVERYTHING = set(UPSTREAM) - {"raw_coin", "prediction_log"}
TRAINED = EVERYTHING - {"observations", "features", "live_scores", "drift_report"}
DRIFTING = problem(drift={"features": ["coin_*"], "current": "7d", "cron": "0 * * * *"})


@pytest.fixture
def production(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(data="files", home=tmp_path)
    rows = raw(market(1), "coin")
    TableStore(settings.storage).merge(f"{NAME}/raw_coin", rows, keys=KEY, partition_by=PARTITION)
    return with_registry(settings, tmp_path_factory.getbasetemp())


def play(
    production: Settings,
    graph: Pretended,
    hours: int,
    *,
    described: ForecastProblem = DRIFTING,
    assets: tuple[str, ...] | None = None,
    without: tuple[str, ...] = (),
    unchecked: tuple[str, ...] = (),
    closing: datetime | None = None,
) -> list[StepOutcome]:
    return run_clock_loop(
        production,
        described,
        [FIRST + k * HOUR for k in range(hours)],
        replay_id=REPLAY,
        build=graph.build,
        options=Options(assets=assets, without=without, unchecked=unchecked),
        closing=closing,
    )


def at(hour: int) -> datetime:
    return FIRST + hour * HOUR


def test_the_first_step_runs_everything_and_the_next_only_refreshes(production: Settings) -> None:
    graph = Pretended()

    steps = play(production, graph, 2, described=problem())

    assert graph.ran == [(at(0), EVERYTHING - {"drift_report"}), (at(1), REFRESHED)]
    assert [s.triggers for s in steps] == [("missing",), ()]
    assert [s.origin for s in steps] == [at(0), at(1)]
    assert [s.control_alarm for s in steps] == [False, False]
    assert [s.drift_alarm for s in steps] == [None, None]


def test_models_that_stand_forecast_up_to_the_training_that_replaces_them(
    production: Settings,
) -> None:
    graph = Pretended(control=lambda now: now == at(1))
    described = DRIFTING.model_copy(update={"retrain_cron": "0 13 * * *"})

    steps = play(production, graph, 2, described=described)

    assert steps[1].origin.hour == 13
    assert (steps[1].triggers, steps[1].control_alarm) == (("schedule",), True)
    # The report follows the training, and control looks at what came true before it.
    assert graph.ran[1:] == [(at(1), REFRESHED), (at(1), TRAINED | {"drift_report"})]


def test_drift_trains_models_that_are_old_enough(production: Settings) -> None:
    graph = Pretended(drift=lambda now: now >= at(1))
    described = DRIFTING.model_copy(update={"retrain_cooldown": timedelta(hours=2)})

    steps = play(production, graph, 3, described=described)

    assert [s.triggers for s in steps] == [("missing",), (), ("drift",)]
    assert [s.drift_alarm for s in steps] == [False, True, True]
    assert graph.ran[2:] == [(at(2), REFRESHED | {"drift_report"}), (at(2), TRAINED)]


def test_an_alarm_of_control_is_followed_by_a_look_in_the_same_step(production: Settings) -> None:
    graph = Pretended(control=lambda now: now >= at(1))

    steps = play(production, graph, 2, described=problem())

    assert [s.triggers for s in steps] == [("missing",), ("control",)]
    assert [s.control_alarm for s in steps] == [False, True]
    assert graph.ran[1:] == [(at(1), REFRESHED), (at(1), {"champion", "forecasts", "published"})]


def test_an_alarm_told_by_a_training_was_heard_by_its_look(production: Settings) -> None:
    graph = Pretended(control=lambda now: now == at(0))

    steps = play(production, graph, 1, described=problem())

    assert steps[0].control_alarm
    assert steps[0].triggers == ("missing",)
    assert len(graph.ran) == 1


def test_a_training_by_drift_holds_the_look_that_control_asks_for(production: Settings) -> None:
    graph = Pretended(control=lambda now: now >= at(1), drift=lambda now: now >= at(1))
    described = DRIFTING.model_copy(update={"retrain_cooldown": HOUR})

    steps = play(production, graph, 2, described=described)

    assert steps[1].triggers == ("drift",)
    assert "champion" in graph.ran[2][1]
    assert len(graph.ran) == 3


def test_only_the_assets_asked_for_run(production: Settings) -> None:
    graph = Pretended()

    play(production, graph, 2, assets=("observations", "features"))

    assert graph.ran == [(at(k), {"observations", "features"}) for k in (0, 1)]


@pytest.mark.parametrize("name", ["raw_coin", "prediction_log", "feature"])
def test_an_asset_that_asks_the_world_cannot_be_replayed(production: Settings, name: str) -> None:
    with pytest.raises(ReplayError, match=f"{name} cannot be replayed; choose from backtest"):
        play(production, Pretended(), 1, assets=(name,))


def test_a_failed_step_is_told_with_its_cause_and_keeps_those_before(production: Settings) -> None:
    play(production, Pretended(), 1)
    failing = Pretended(broken="features")

    with pytest.raises(ReplayStepFailed, match=r"T13:00:00.*features: ValueError: the disk is"):
        play(production, failing, 2)

    mended = Pretended()
    steps = play(production, mended, 2)
    assert [now for now, _ in mended.ran] == [at(1)]
    assert [s.origin for s in steps] == [at(0), at(1)]


def test_assets_that_are_left_out_never_run(production: Settings) -> None:
    graph = Pretended()

    play(production, graph, 2, without=("published", "drift_report", "no_such_asset"))

    left = EVERYTHING - {"published", "drift_report"}
    assert graph.ran == [(at(0), left), (at(1), REFRESHED - {"published"})]


def test_a_look_back_needs_the_assets_that_score(production: Settings) -> None:
    with pytest.raises(ReplayError, match=r"leaves out forecasts, live_scores.*do not look back"):
        play(production, Pretended(), 1, assets=("observations", "features"), closing=at(1))


def test_an_asset_that_is_not_checked_raises_no_alarm(production: Settings) -> None:
    graph = Pretended(control=lambda now: now >= at(1))

    steps = play(production, graph, 2, described=problem(), unchecked=("live_scores",))

    assert [s.control_alarm for s in steps] == [None, None]
    assert graph.ran[1:] == [(at(1), REFRESHED)]
