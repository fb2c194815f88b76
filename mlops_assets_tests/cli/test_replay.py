"""`mlops replay` on a small market: what it prints, writes, refuses, and takes up again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from mlops_assets.cli import replay as replay_cli
from mlops_assets.cli.main import app
from mlops_assets.cli.problems import problem_files
from mlops_assets.cli.replay import asked_span, left_out
from mlops_assets.cli.replay_view import step_line
from mlops_assets.forecasting.watch_tables import read_replays
from mlops_assets.orchestration.clock import ClockError
from mlops_assets.orchestration.trigger import Trigger
from mlops_assets.problem import load_problem
from mlops_assets.replay.isolation import FOLDER, ReplayError, replay_folder, replay_settings
from mlops_assets.replay.span import Span
from mlops_assets.replay.step import Options, ReplayStepFailed
from mlops_assets_tests.end_to_end.planted import AS_OF, DAY, HOUR, NAME, START, problem
from mlops_assets_tests.end_to_end.world import World, empty_registry, first_run
from mlops_assets_tests.replay.played import FIRST, VERSIONS, step

runner = CliRunner()
SPAN = ["--from", "2025-06-07", "--to", "2025-06-08T23:00Z", "--every", "1d"]
REPLAY = "june"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Production after its first run, with the command line looking at it."""
    session = tmp_path_factory.getbasetemp()
    made, _ = first_run(session)
    world = made.copy(tmp_path_factory.mktemp("replayed") / "world")
    own = replay_settings(world.settings, REPLAY)
    own.namespace.mkdir(parents=True)
    shutil.copy(empty_registry(session), own.namespace / "mlflow.db")
    with world.entered() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
            patch.setenv(name, "")
            patch.delenv(name)
        patch.setattr(replay_cli, "problem_files", lambda: {NAME: world.yaml})
        patch.setattr(replay_cli, "chosen_problems", lambda names: names)
        yield world


def invoke(*arguments: str) -> Result:
    return runner.invoke(app, ["replay", *arguments])


@pytest.fixture(scope="module")
def answered(world: World) -> Result:
    """Two days, replayed with JSON as the answer."""
    del world
    return invoke(NAME, *SPAN, "--id", REPLAY, "--json")


@pytest.fixture(scope="module")
def outcome(answered: Result) -> dict[str, Any]:
    assert answered.exit_code == 0, answered.stderr
    told: dict[str, Any] = json.loads(answered.stdout)
    return told


def test_the_ledger_has_a_row_for_each_origin(outcome: dict[str, Any]) -> None:
    rows = outcome["ledger"]

    assert [row["origin"] for row in rows] == ["2025-06-07T00:00:00Z", "2025-06-08T00:00:00Z"]
    assert [row["decision"] for row in rows] == ["promote", None]
    assert {row["candidate"] for row in rows} == {"ridge"}
    assert set(rows[0]["registered"]) == {"last_value", "ridge", "boosting"}
    assert "ridge" in rows[0]["reasons"][-1]
    # A forecast each hour, from the origin to the one before the next.
    assert [row["live"]["n"] for row in rows] == [24, 24]


def test_live_figures_are_those_of_the_forecasts_that_came_true(
    outcome: dict[str, Any], world: World
) -> None:
    scores = pl.read_parquet(replay_folder(world.settings, REPLAY) / "live_scores.parquet").filter(
        pl.col("candidate") == "ridge", pl.col("origin") < START + 39 * DAY
    )
    errors = scores["absolute_error"].to_numpy()
    away = (scores["last_value"] - scores["actual"]).abs().to_numpy()

    live = outcome["live"]
    assert live["n"] == len(scores) == 48
    assert live["mae"] == pytest.approx(errors.mean())
    assert live["rmse"] == pytest.approx((errors**2).mean() ** 0.5)
    assert live["mae_ratio_to_last_value"] == pytest.approx(errors.mean() / away.mean())
    assert live["rmse_ratio_to_last_value"] < 1  # the market reverses, and ridge knows
    assert live["coverage"] == pytest.approx(scores["covered"].to_numpy().mean())


def test_three_rules_are_compared(outcome: dict[str, Any]) -> None:
    rules = outcome["rules"]

    assert list(rules) == ["gate", "lower", "newest"]
    assert (rules["gate"]["promotions"], rules["gate"]["churn"]) == (1, 0)
    assert rules["gate"]["mae"] == outcome["live"]["mae"]
    assert rules["newest"]["missing"] == 0


def test_each_candidate_is_scored_on_its_own_fits(outcome: dict[str, Any]) -> None:
    found = outcome["candidates"]

    assert list(found) == ["last_value", "ridge", "boosting"]
    assert found["last_value"]["mae_ratio_to_last_value"] == pytest.approx(1.0)
    assert found["ridge"] == {name: outcome["live"][name] for name in found["ridge"]}


def test_the_time_is_told(outcome: dict[str, Any]) -> None:
    seconds = outcome["seconds"]
    assert seconds["steps"] == pytest.approx(
        seconds["first_step"] + seconds["mean_later_step"], abs=0.1
    )
    assert seconds["wall"] >= seconds["steps"] > 0


def test_progress_goes_to_standard_error_step_by_step(answered: Result) -> None:
    lines = [line for line in answered.stderr.splitlines() if " of 2 " in line]

    assert [line.split()[0] for line in lines] == ["1", "2"]
    assert "ridge version" in lines[0]
    assert "promote (missing)" in lines[0]
    assert lines[1].endswith("0 s left")


def test_production_will_publish_the_ledger(outcome: dict[str, Any], world: World) -> None:
    (ledger,) = read_replays(world.settings.namespace / FOLDER, NAME)

    assert ledger.replay_id == REPLAY
    assert [row.model_dump(mode="json") for row in ledger.rows] == outcome["ledger"]
    assert Path(outcome["files"]["report"]).read_text().startswith("<!doctype html>")


def test_the_same_call_goes_on_with_the_same_replay(outcome: dict[str, Any], world: World) -> None:
    del world
    again = invoke(NAME, *SPAN, "--id", REPLAY, "--json", "--rule", "lower")

    assert again.exit_code == 0, again.stderr
    assert " of 2 " not in again.stderr  # no step is played again
    told = json.loads(again.stdout)
    assert told["rules"] == outcome["rules"]
    assert [row["seconds"] for row in told["ledger"]] == [
        row["seconds"] for row in outcome["ledger"]
    ]


def test_a_longer_span_adds_its_steps(outcome: dict[str, Any]) -> None:
    longer = [*SPAN[:3], "2025-06-09", *SPAN[4:]]

    told = json.loads(invoke(NAME, *longer, "--id", REPLAY, "--json").stdout)

    assert told["ledger"][:2] == outcome["ledger"]
    assert told["ledger"][2]["origin"] == "2025-06-09T00:00:00Z"


def test_the_replays_are_listed(outcome: dict[str, Any]) -> None:
    del outcome
    (row,) = json.loads(invoke("--list", "--json").stdout)

    assert (row["replay_id"], row["problem"], row["champion"]) == (REPLAY, NAME, "ridge")
    assert row["ledger"]
    assert REPLAY in invoke("--list").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no problem is named"),
        ([NAME, "--to", "2025-06-08"], "--from is not given"),
        ([NAME, "--from", "2025-06-08"], "--to is not given"),
        ([NAME, "--from", "2025-06-08", "--to", "2025-06-07"], "before its start"),
        ([NAME, *SPAN[:4], "--every", "weekly"], "--every 'weekly' is not a duration"),
        ([NAME, *SPAN, "--rule", "best"], "use one of gate, lower, newest"),
        ([NAME, *SPAN, "--id", "a/b"], "'-' and '_' only"),
        ([NAME, "--from", "2025-06-08T00:00", "--to", "2025-06-09"], "zone"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_remedy(
    world: World, arguments: list[str], message: str
) -> None:
    del world
    shown = invoke(*arguments)

    assert shown.exit_code == 2
    assert message in " ".join(shown.stderr.split())


def test_a_step_that_fails_ends_the_command_with_its_cause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ReplayStepFailed("features: ValueError: the disk is full; call the replay again")

    del world
    monkeypatch.setattr(replay_cli, "run_clock_loop", fail)

    shown = invoke(NAME, *SPAN)

    assert shown.exit_code == 1
    assert "the disk is full" in shown.stderr


def test_a_date_begins_in_the_zone_of_the_problem() -> None:
    korean = load_problem(problem_files()["sports_drink_share"])
    span = asked_span(korean, "2025-06-07", "2025-06-07T18:00Z", "7d")

    assert korean.zone == "Asia/Seoul"
    assert span == Span(
        datetime(2025, 6, 6, 15, tzinfo=UTC),
        datetime(2025, 6, 7, 18, tzinfo=UTC),
        timedelta(days=7),
    )
    with pytest.raises(ClockError):
        asked_span(korean, "June", "2025-06-07", "7d")


def test_backtests_evaluate_from_the_period_that_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Options] = []

    def note(*_: object, options: Options, **__: object) -> None:
        seen.append(options)
        raise ReplayStepFailed("enough; call the replay again")

    del world
    monkeypatch.setattr(replay_cli, "run_clock_loop", note)

    invoke(NAME, *SPAN, "--evaluate-from", "2025-06-05")
    invoke(NAME, *SPAN)

    assert [options.evaluate_from for options in seen] == [datetime(2025, 6, 5, tzinfo=UTC), None]


def test_drift_is_left_out_where_every_step_trains_anyway() -> None:
    thursdays = Span(AS_OF - 14 * DAY, AS_OF, timedelta(days=7))
    hours = Span(AS_OF - 2 * HOUR, AS_OF, HOUR)

    assert left_out(problem(), thursdays) == ("evaluation_report", "published", "drift_report")
    assert left_out(problem(), hours) == ("evaluation_report", "published")


def test_a_step_is_told_in_one_line() -> None:
    trained = step(FIRST, "ridge", "2", VERSIONS[0])
    nobody = trained.model_copy(update={"candidate": None, "decision": None, "triggers": ()})
    drifted = trained.model_copy(update={"triggers": (Trigger.DRIFT,), "decision": "roll_back"})

    assert step_line(trained, number=2, total=72, left=4230) == (
        " 2 of 72  2025-05-01 00:00  ridge version 2, promote (schedule), 2.0 s, 1 h 10 min left"
    )
    assert step_line(nobody, number=1, total=1, left=0).endswith(
        "no champion, no look, 2.0 s, 0 s left"
    )
    assert "roll back (drift), 2.0 s, 1 min 05 s left" in step_line(
        drifted, number=1, total=2, left=65
    )


def test_a_rule_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ReplayError, match="use one of gate, lower, newest"):
        replay_cli.known_rule("best")
