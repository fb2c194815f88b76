from __future__ import annotations

import json
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mlops_assets.promotion.champion import (
    HISTORY,
    count_looks,
    empty_history,
    hold_look,
    newest_verdict,
)
from mlops_assets.promotion.verdict import Verdict
from mlops_assets_tests.evaluation.frames import START, backtest_frame, small_problem
from mlops_assets_tests.promotion.registered import Shelf, fits

WEEK = timedelta(days=7)
PROBLEM = small_problem()
HOURS = 500


def evidence(*, skilled: bool, seed: int = 7) -> pl.DataFrame:
    """`ridge` sees half of every move, or adds noise to the last value."""
    random = np.random.default_rng(seed)
    actual = 100 + random.normal(0, 1, HOURS)
    ridge = 100 + (0.5 * (actual - 100) if skilled else random.normal(0, 0.5, HOURS))
    return backtest_frame(actual, {"last_value": np.full(HOURS, 100.0), "ridge": ridge})


def look(
    shelf: Shelf,
    history: pl.DataFrame,
    *,
    as_of: datetime,
    skilled: bool = True,
    faults: dict[str, str] | None = None,
    seed: int = 7,
) -> tuple[Verdict, pl.DataFrame, dict[str, str]]:
    """One look at `as_of` with new fits of every candidate that is not faulty."""
    names = [name for name in ("last_value", "ridge") if name not in (faults or {})]
    versions = shelf.add(*names, as_of=as_of)
    verdict, longer = hold_look(
        evidence(skilled=skilled, seed=seed),
        fits(versions, faults=faults),
        PROBLEM,
        registry=shelf.registry,
        history=history,
        as_of=as_of,
    )
    return verdict, longer, versions


def test_the_first_look_promotes_who_beats_the_baseline_in_the_same_run(shelf: Shelf) -> None:
    verdict, history, versions = look(shelf, empty_history(), as_of=START)

    assert (verdict.decision, verdict.candidate, verdict.previous) == ("promote", "ridge", None)
    assert shelf.aliases()["champion"] == versions["ridge"]
    assert history.schema == HISTORY
    assert history.select("decision", "candidate", "version").row(0) == (
        "promote",
        "ridge",
        versions["ridge"],
    )


def test_without_skill_the_baseline_takes_the_alias(shelf: Shelf) -> None:
    verdict, _, versions = look(shelf, empty_history(), as_of=START, skilled=False)

    assert (verdict.decision, verdict.candidate) == ("promote", "last_value")
    assert shelf.aliases() == {
        "champion": versions["last_value"],
        "origin-20240201": versions["last_value"],
        **{f"origin-20240201-{name}": version for name, version in versions.items()},
        "challenger": versions["ridge"],
    }


def test_a_week_later_the_incumbents_new_fit_takes_the_alias(shelf: Shelf) -> None:
    _, history, _ = look(shelf, empty_history(), as_of=START)

    verdict, history, versions = look(shelf, history, as_of=START + WEEK)

    assert (verdict.decision, verdict.previous) == ("refresh", "ridge")
    assert shelf.aliases()["champion"] == versions["ridge"]
    assert history["decision"].to_list() == ["promote", "refresh"]


def test_a_faulty_fit_leaves_the_serving_version_where_it_is(shelf: Shelf) -> None:
    _, history, first = look(shelf, empty_history(), as_of=START)

    verdict, history, _ = look(
        shelf, history, as_of=START + WEEK, faults={"ridge": "forecasts are not finite"}
    )

    assert verdict.decision == "keep"
    assert shelf.aliases()["champion"] == first["ridge"]
    assert "forecasts are not finite" in verdict.reasons[-1]
    assert history["version"].to_list() == [first["ridge"]] * 2


def test_a_run_as_of_the_past_is_recorded_and_moves_no_alias(shelf: Shelf) -> None:
    _, history, _ = look(shelf, empty_history(), as_of=START)
    before = shelf.aliases()

    verdict, history, _ = look(shelf, history, as_of=START - WEEK, skilled=False)

    assert shelf.aliases() == before
    assert (verdict.decision, verdict.candidate, verdict.recipe_id) == ("keep", "ridge", "ridge-1")
    assert "looks back to 2024-01-25 00:00 UTC" in verdict.reasons[-1]
    assert "never moves an alias (it would have been:" in verdict.reasons[-1]
    assert history["version"].to_list() == [before["champion"]] * 2


def test_a_run_as_of_the_past_moves_the_alias_of_an_empty_namespace(shelf: Shelf) -> None:
    verdict, _, versions = look(shelf, empty_history(), as_of=START - 50 * WEEK)

    assert verdict.decision == "promote"
    assert shelf.aliases()["champion"] == versions["ridge"]


def test_a_run_at_the_champions_own_instant_is_not_of_the_past(shelf: Shelf) -> None:
    _, history, first = look(shelf, empty_history(), as_of=START)

    verdict, _, versions = look(shelf, history, as_of=START)

    assert verdict.decision == "refresh"
    assert shelf.aliases()["champion"] == versions["ridge"] != first["ridge"]


def record(*looks: tuple[datetime, str | None]) -> pl.DataFrame:
    """A history of verdicts: instant, and who held the alias before."""
    filled = {"as_of": [at for at, _ in looks], "previous": [name for _, name in looks]}
    empty = {name: [None] * len(looks) for name in HISTORY if name not in filled}
    return pl.DataFrame({**empty, **filled}, schema_overrides=HISTORY).select(*HISTORY)


def test_looks_with_an_incumbent_are_counted_over_a_year_that_ends_now() -> None:
    history = record(
        (START, None),  # the first look has no incumbent and spends nothing of the budget
        (START + WEEK, "ridge"),
        (START + 2 * WEEK, "ridge"),
    )
    year = timedelta(days=365)

    assert count_looks(history, START + 3 * WEEK) == 2
    assert count_looks(history, START + 2 * WEEK) == 1
    # Half-open: a look exactly one year ago has left the year.
    assert count_looks(history, START + WEEK + year - timedelta(hours=1)) == 2
    assert count_looks(history, START + WEEK + year) == 1


def test_a_repeat_at_one_instant_is_one_look() -> None:
    history = record(*[(START + WEEK, "ridge")] * 3)

    assert count_looks(history, START + 2 * WEEK) == 1
    assert count_looks(history, START + WEEK) == 0


def test_a_repeated_run_keeps_the_number_of_its_look(shelf: Shelf) -> None:
    _, history, _ = look(shelf, empty_history(), as_of=START)
    numbers = []
    for weeks in (1, 1, 2):
        verdict, history, _ = look(shelf, history, as_of=START + weeks * WEEK, seed=weeks)
        numbers.append(verdict.look)

    assert numbers == [1, 1, 2]


def test_looking_again_at_the_same_evidence_spends_nothing_of_the_budget(shelf: Shelf) -> None:
    _, history, _ = look(shelf, empty_history(), as_of=START)
    numbers = []
    for week, seed in ((1, 1), (2, 1), (3, 1), (4, 2)):
        verdict, history, _ = look(shelf, history, as_of=START + week * WEEK, seed=seed)
        numbers.append(verdict.look)

    assert numbers == [1, 1, 1, 2]


def test_the_newest_verdict_is_the_whole_record_with_the_champions_version(shelf: Shelf) -> None:
    verdict, history, versions = look(shelf, empty_history(), as_of=START)

    newest = newest_verdict(history)

    assert newest["version"] == versions["ridge"]
    assert newest["data_version"] == "data-1"
    fields = {name: newest[name] for name in Verdict.model_fields}
    assert Verdict.model_validate(fields) == verdict


def test_a_history_from_before_triggers_were_recorded_is_read_on(shelf: Shelf) -> None:
    _, history, _ = look(shelf, empty_history(), as_of=START)
    fields = json.loads(history["verdict"][0])
    for name in ("trigger", "previous_recipe_id"):
        del fields[name]
    older = history.drop("trigger").with_columns(verdict=pl.lit(json.dumps(fields)))

    verdict, longer, _ = look(shelf, older, as_of=START + WEEK)

    assert verdict.decision == "refresh"
    assert longer.schema == HISTORY
    assert longer["trigger"].to_list() == ["", ""]


def test_a_roll_back_is_no_look_of_the_gate() -> None:
    history = record((START, "ridge"), (START + WEEK, "ridge")).with_columns(
        decision=pl.Series(["refresh", "roll_back"])
    )

    assert count_looks(history, START + 2 * WEEK) == 1


def test_what_started_the_run_is_part_of_the_verdict(shelf: Shelf) -> None:
    verdict, history = hold_look(
        evidence(skilled=True),
        fits(shelf.add("last_value", "ridge")),
        PROBLEM,
        registry=shelf.registry,
        history=empty_history(),
        as_of=START,
        trigger="schedule",
    )

    assert verdict.trigger == history["trigger"][0] == newest_verdict(history)["trigger"]
    assert verdict.trigger == "schedule"


def test_a_roll_back_through_the_api_is_recorded_and_bars_the_recipe_that_lost_the_alias(
    shelf: Shelf,
) -> None:
    _, history, versions = look(shelf, empty_history(), as_of=START)
    moved = START + timedelta(hours=5)
    roll_back_as_the_api_does(shelf, versions["last_value"], at=moved)

    verdict, longer, newer = look(shelf, history, as_of=START + timedelta(days=1))

    assert longer["decision"].to_list() == ["promote", "roll_back", "refresh"]
    by_hand = newest_verdict(longer.head(2))
    assert by_hand["as_of"] == "2024-02-01T05:00:00Z"
    assert (by_hand["candidate"], by_hand["previous"]) == ("last_value", "ridge")
    assert by_hand["trigger"] == "by hand"
    assert by_hand["reasons"][1] == "ops: it looks wrong"  # type: ignore[index]
    assert (verdict.candidate, verdict.previous) == ("last_value", "last_value")
    assert any("2024-02-08 05:00 UTC" in reason for reason in verdict.reasons)
    assert shelf.aliases()["champion"] == newer["last_value"]


def test_a_roll_back_through_the_api_is_recorded_once(shelf: Shelf) -> None:
    _, history, versions = look(shelf, empty_history(), as_of=START)
    roll_back_as_the_api_does(shelf, versions["last_value"], at=START + timedelta(hours=5))
    _, once, _ = look(shelf, history, as_of=START + timedelta(days=1))

    _, again, _ = look(shelf, once, as_of=START + timedelta(days=2))

    assert again["decision"].to_list() == ["promote", "roll_back", "refresh", "refresh"]


def roll_back_as_the_api_does(shelf: Shelf, version: str, *, at: datetime) -> None:
    """Alias and tags as `POST /v1/rollback` leaves them."""
    name = shelf.registry.name
    shelf.client.set_registered_model_alias(name, "champion", version)
    tags = {
        "verdict": "roll_back",
        "verdict_as_of": at.isoformat(),
        "verdict_reasons": "Rolled back by hand from ridge.\nops: it looks wrong\nOutcome.",
        "verdict_by": "ops",
    }
    for key, value in tags.items():
        shelf.client.set_model_version_tag(name, version, key, value)
