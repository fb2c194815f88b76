"""Alarms, roll backs and cooldowns, held on a registry in a real MLflow database."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.champion import append_verdict, empty_history, hold_look
from mlops_assets.promotion.control_state import CONTROL, control_table, no_control
from mlops_assets.promotion.registry import RegisteredVersion
from mlops_assets.promotion.rollback import (
    LiveRecord,
    barred_recipes,
    read_live_record,
    standing_alarms,
)
from mlops_assets.promotion.verdict import Incumbent, Verdict
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.end_to_end.world import empty_registry
from mlops_assets_tests.evaluation.frames import START, backtest_frame, small_problem
from mlops_assets_tests.promotion.registered import Shelf, fits
from mlops_assets_tests.promotion.registered import verdict as verdict_of

DAY = timedelta(days=1)
WEEK = timedelta(days=7)  # the default cooldown
NOW = START + WEEK + DAY
HOURS = 300
NAMES = ("last_value", "ridge", "forest")
BASELINES = ("last_value", "drift")


def two_baselines() -> ForecastProblem:
    """The small problem with the baselines `last_value` and `drift`."""
    fields = small_problem().model_dump()
    fields["candidates"]["drift"] = {"family": "last_value", "baseline": True}
    return ForecastProblem.model_validate(fields)


def evidence(best: str, *, names: tuple[str, ...] = NAMES) -> pl.DataFrame:
    """A backtest in which `best` sees half of every move, and the other models a fifth of it.

    Where `best` is nobody's name they see nothing and add noise.
    """
    random = np.random.default_rng(7)
    move = random.normal(0, 1, HOURS)
    points = {}
    for name in names:
        noise = random.normal(0, 0.3, HOURS)
        if name in BASELINES:
            points[name] = 100 + (noise if name == "drift" else 0 * noise)
        else:
            points[name] = 100 + (0.2 * move if best in names else noise)
    if best in names:
        points[best] = 100 + 0.5 * move
    return backtest_frame(100 + move, points, baselines=BASELINES)


def alarm(
    candidate: str,
    *,
    as_of: datetime,
    test: str = "against_baseline",
    against: str = "last_value",
    raised: bool = True,
    recipe: str = "1",
) -> LiveRecord:
    """A newest look of the control with one test of `candidate`'s recipe."""
    row = {
        "as_of": as_of,
        "version": "7",
        "candidate": candidate,
        "recipe_id": f"{candidate}-{recipe}",
        "test": test,
        "against": None if test == "coverage" else against,
        "against_recipe_id": None if test == "coverage" else f"{against}-1",
        "n": 41,
        "e_value": 153.2 if raised else 0.4,
        "threshold": 100.0,
        "alarm": raised,
    }
    return LiveRecord(pl.DataFrame([row], schema=CONTROL))


class Loop:
    """Looks one after the other on one registry, with new fits of every candidate each time."""

    def __init__(self, shelf: Shelf, names: tuple[str, ...] = NAMES) -> None:
        self.shelf = shelf
        self.names = names
        self.problem = two_baselines()
        self.history = empty_history()
        self.versions: dict[str, str] = {}

    def look(
        self, best: str, *, as_of: datetime, live: LiveRecord | None = None, new_fits: bool = True
    ) -> Verdict:
        """One look at `as_of`; `best` is what the backtest says."""
        if new_fits:
            self.versions = self.shelf.add(*self.names, as_of=as_of)
        verdict, self.history = hold_look(
            evidence(best, names=self.names),
            fits(self.versions),
            self.problem,
            registry=self.shelf.registry,
            history=self.history,
            as_of=as_of,
            live=live or LiveRecord(),
            trigger="control",
        )
        return verdict

    @property
    def champion(self) -> str:
        """The version that holds the alias."""
        return self.shelf.aliases()["champion"]


@pytest.fixture(scope="module")
def two_looks(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """`ridge` was champion from `START`, `forest` is since a week later."""
    empty = empty_registry(tmp_path_factory.getbasetemp())
    loop = Loop(Shelf(tmp_path_factory.mktemp("two_looks"), empty))
    loop.look("ridge", as_of=START)
    loop.look("forest", as_of=START + WEEK)
    return loop


@pytest.fixture
def loop(two_looks: Loop, tmp_path: Path) -> Loop:
    """The two looks, to go on from."""
    loop = Loop(two_looks.shelf.copy(tmp_path))
    loop.history, loop.versions = two_looks.history, two_looks.versions
    return loop


def test_an_alarm_rolls_back_to_the_last_version_of_the_previous_recipe(loop: Loop) -> None:
    last_ridge, forest = loop.versions["ridge"], loop.versions["forest"]

    verdict = loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW), new_fits=False)

    assert (verdict.decision, verdict.candidate, verdict.recipe_id) == (
        "roll_back",
        "ridge",
        "ridge-1",
    )
    assert (verdict.previous, verdict.previous_recipe_id) == ("forest", "forest-1")
    assert verdict.trigger == "control"
    aliases = loop.shelf.aliases()
    assert aliases["champion"] == aliases["origin-20240209"] == last_ridge
    assert aliases["challenger"] == forest
    row = loop.history.row(-1, named=True)
    assert (row["decision"], row["version"], row["trigger"]) == ("roll_back", last_ridge, "control")


def test_a_roll_back_says_which_test_asked_for_it_with_its_figures(loop: Loop) -> None:
    verdict = loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW))

    assert verdict.reasons[0] == (
        "Live, forest version 7 proved worse than last_value "
        "(e-value 153 after 41 verified periods, threshold 100)."
    )
    assert "ridge (recipe ridge-1)" in verdict.reasons[-1]
    assert (verdict.tests, verdict.alpha) == ((), 0.0)


def test_live_errors_are_told_over_the_forecasts_that_both_recipes_made(loop: Loop) -> None:
    told = alarm("forest", as_of=NOW)
    since = START + WEEK
    rows = [
        ("forest-1", since, 3.0),
        ("forest-1", since, 5.0),  # another version of the recipe: their mean, 4, counts
        ("forest-1", since + DAY, 2.0),
        ("last_value-1", since, 1.0),
        ("last_value-1", since + DAY, 2.0),
        ("forest-1", since + 2 * DAY, 99.0),  # nobody else spoke then
        ("forest-1", START, 50.0),  # before it held the alias
        ("last_value-1", START, 1.0),
    ]
    scores = pl.DataFrame(rows, schema=["recipe_id", "origin", "absolute_error"], orient="row")
    scores = scores.with_columns(series=pl.lit("coin"), step=pl.lit(1))

    verdict = loop.look("forest", as_of=NOW, live=LiveRecord(told.control, scores))

    assert verdict.reasons[0].endswith("mean absolute error 3 against 1.5, in USDT.")


def test_the_rolled_back_version_says_so_in_the_registry(loop: Loop) -> None:
    forest, ridge = loop.versions["forest"], loop.versions["ridge"]

    loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW), new_fits=False)

    assert loop.shelf.tags(forest)["rolled_back_as_of"] == NOW.isoformat()
    assert loop.shelf.tags(ridge)["verdict"] == "roll_back"


def test_an_alarm_of_the_first_champion_rolls_back_to_the_baseline(shelf: Shelf) -> None:
    loop = Loop(shelf)
    loop.look("ridge", as_of=START)

    verdict = loop.look("ridge", as_of=START + DAY, live=alarm("ridge", as_of=START + DAY))

    assert (verdict.decision, verdict.candidate) == ("roll_back", "last_value")
    assert loop.champion == loop.versions["last_value"]
    assert "Nothing held the alias before ridge" in " ".join(verdict.reasons)


def test_a_previous_recipe_that_is_no_candidate_any_more_is_passed_over(loop: Loop) -> None:
    loop.names = ("last_value", "forest")

    verdict = loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW))

    assert (verdict.decision, verdict.candidate) == ("roll_back", "last_value")
    assert "ridge (recipe ridge-1), which held the alias before, has no registered version" in (
        " ".join(verdict.reasons)
    )


def test_an_alarm_of_coverage_rolls_nothing_back_and_is_told(loop: Loop) -> None:
    coverage = alarm("forest", as_of=NOW, test="coverage")

    verdict = loop.look("forest", as_of=NOW, live=coverage)

    assert (verdict.decision, verdict.candidate) == ("refresh", "forest")
    assert "The band of forest version 7 covers too few values" in verdict.reasons[1]


FOREST = Incumbent(candidate="forest", recipe_id="forest-1")


def record(*decisions: tuple[str, str, datetime]) -> pl.DataFrame:
    """A history of verdicts: decision, who holds the alias afterwards, instant."""
    history = empty_history()
    for decision, candidate, as_of in decisions:
        said = verdict_of(decision, candidate, losses=NAMES, as_of=as_of)
        version = RegisteredVersion("1", candidate, f"{candidate}-1", as_of, "run", "data")
        history = append_verdict(history, said, version)
    return history


MOVED = record(("promote", "forest", START + WEEK), ("keep", "forest", NOW))


def test_an_alarm_stands_from_the_move_of_the_alias_on() -> None:
    for as_of in (START + WEEK, NOW):
        (found,) = standing_alarms(alarm("forest", as_of=as_of).control, MOVED, FOREST, as_of=NOW)
        assert (found.test, found.n, found.rolls_back) == ("against_baseline", 41, True)


@pytest.mark.parametrize(
    "stale",
    [
        alarm("forest", as_of=NOW, raised=False),
        alarm("ridge", as_of=NOW),
        alarm("forest", as_of=NOW, recipe="0"),
        alarm("forest", as_of=START + WEEK - DAY),
        alarm("forest", as_of=NOW + DAY),
        LiveRecord(no_control()),
        LiveRecord(None),
    ],
    ids=["not raised", "other candidate", "other recipe", "stale", "later", "no rows", "no table"],
)
def test_what_does_not_speak_of_the_present_champion_is_no_alarm(stale: LiveRecord) -> None:
    assert standing_alarms(stale.control, MOVED, FOREST, as_of=NOW) == []


def test_only_the_newest_look_of_the_control_counts() -> None:
    older = alarm("forest", as_of=NOW - timedelta(hours=1)).control
    newer = alarm("forest", as_of=NOW, raised=False).control
    assert older is not None
    assert newer is not None

    assert standing_alarms(pl.concat([older, newer]), MOVED, FOREST, as_of=NOW) == []


def test_a_stale_alarm_leaves_the_decision_to_the_gate(loop: Loop) -> None:
    verdict = loop.look("forest", as_of=NOW, live=alarm("forest", as_of=START))

    assert (verdict.decision, verdict.candidate) == ("refresh", "forest")


def test_a_rolled_back_recipe_is_barred_in_the_cooldown_and_free_at_its_end(loop: Loop) -> None:
    loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW))

    within = loop.look("forest", as_of=NOW + WEEK - timedelta(seconds=1))
    after = loop.look("forest", as_of=NOW + WEEK)

    assert (within.decision, within.candidate) == ("refresh", "ridge")
    sentence = next(reason for reason in within.reasons if reason.startswith("forest"))
    assert sentence.startswith("forest proved better")
    assert "rolled back and is barred until 2024-02-16 00:00 UTC" in sentence
    assert (after.decision, after.candidate) == ("promote", "forest")


def test_a_recipe_is_barred_by_what_it_is_and_not_by_its_candidates_name(loop: Loop) -> None:
    loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW), new_fits=False)
    present = Incumbent(candidate="ridge", recipe_id="ridge-1")

    barred = barred_recipes(loop.history, loop.problem, holder=present, as_of=NOW + DAY)

    assert barred == {FOREST: NOW + WEEK}
    # Whoever holds the alias again was put back by hand.
    assert barred_recipes(loop.history, loop.problem, holder=FOREST, as_of=NOW + DAY) == {}


def test_a_second_alarm_in_the_cooldown_goes_to_the_baseline_and_not_back_again(
    loop: Loop,
) -> None:
    loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW))
    later = NOW + DAY

    verdict = loop.look("forest", as_of=later, live=alarm("ridge", as_of=later))

    assert (verdict.decision, verdict.candidate) == ("roll_back", "last_value")
    assert "forest (recipe forest-1), which held the alias before, was rolled back itself" in (
        " ".join(verdict.reasons)
    )


def test_where_nobody_can_take_the_alias_back_the_gate_decides(loop: Loop) -> None:
    loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW))
    loop.look("forest", as_of=NOW + DAY, live=alarm("ridge", as_of=NOW + DAY))
    third = alarm("last_value", test="against_previous", against="ridge", as_of=NOW + 2 * DAY)

    verdict = loop.look("forest", as_of=NOW + 2 * DAY, live=third)

    assert (verdict.decision, verdict.candidate) == ("refresh", "last_value")
    assert "No baseline has a registered version" in " ".join(verdict.reasons)


def test_a_second_baseline_takes_over_from_the_first(shelf: Shelf) -> None:
    loop = Loop(shelf, ("last_value", "drift", "ridge"))
    loop.look("nobody", as_of=START)

    verdict = loop.look(
        "nobody",
        as_of=START + DAY,
        live=alarm("last_value", against="drift", as_of=START + DAY),
    )

    assert (verdict.decision, verdict.previous, verdict.candidate) == (
        "roll_back",
        "last_value",
        "drift",
    )


def test_a_run_from_before_the_roll_back_does_not_undo_it(loop: Loop) -> None:
    loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW), new_fits=False)
    rolled_back_to = loop.champion

    # Its fit is from a week after START, so only the roll back itself makes this run one of before.
    verdict = loop.look("last_value", as_of=NOW - timedelta(hours=1))

    assert verdict.decision == "keep"
    assert loop.champion == rolled_back_to
    assert "took the alias as of 2024-02-09 00:00 UTC" in verdict.reasons[-1]


def test_a_run_as_of_the_past_rolls_nothing_back(loop: Loop) -> None:
    before = loop.champion
    past = START + DAY

    verdict = loop.look("forest", as_of=past, live=alarm("forest", as_of=past))

    assert verdict.decision == "keep"
    assert loop.champion == before


def test_an_alarm_without_any_recorded_verdict_leaves_the_decision_to_the_gate(
    loop: Loop,
) -> None:
    loop.history = empty_history()

    verdict = loop.look("forest", as_of=NOW, live=alarm("forest", as_of=NOW))

    assert verdict.decision == "refresh"
    assert "No earlier verdict is recorded" in " ".join(verdict.reasons)


def test_what_is_known_of_live_forecasts_is_read_where_it_exists(shelf: Shelf) -> None:
    store = TableStore(shelf.settings.storage)
    assert read_live_record(store, "coin_close") == LiveRecord(None, None)

    control = alarm("forest", as_of=NOW).control
    assert control is not None
    store.write(control_table("coin_close"), control)
    store.write("coin_close/live_scores", pl.DataFrame({"step": [1]}))

    record = read_live_record(store, "coin_close")
    assert record.control is not None
    assert record.control.equals(control)
    assert record.scores is not None
