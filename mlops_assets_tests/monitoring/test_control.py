from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mlops_assets.monitoring.control import evaluate_control, faults, tenures
from mlops_assets.monitoring.live_scores import score
from mlops_assets.monitoring.sequential import largest_e_values
from mlops_assets.promotion.champion import empty_history
from mlops_assets.promotion.control_state import CONTROL
from mlops_assets.promotion.holders import alias_moves
from mlops_assets_tests.evaluation.frames import share_problem
from mlops_assets_tests.monitoring.scored import at, history, observed, problem, said, verdict

PROBLEM = problem(least=5)
HOURS = 120
ACTUALS = 100 + np.random.default_rng(3).normal(0, 1, HOURS + 1)
PROMOTED = history(verdict(0, "2", "ridge"))


def forecasts(
    version: str,
    candidate: str,
    *,
    bias: float = 0.0,
    since: int = 0,
    until: int = HOURS,
    half_width: float = 3.0,
    recipe_id: str | None = None,
) -> pl.DataFrame:
    """What a version says from one hour to another: 100 plus its bias."""
    points = dict.fromkeys(range(since, until), 100.0 + bias)
    return said(version, candidate, points, half_width=half_width, recipe_id=recipe_id)


def control(
    *said_by: pl.DataFrame, verdicts: pl.DataFrame = PROMOTED, hour: int = HOURS
) -> dict[str, dict[str, object]]:
    """Rows of the control table, by test."""
    now = at(hour)
    scores = score(pl.concat(said_by), observed(ACTUALS.tolist()), verdicts, PROBLEM, as_of=now)
    table = evaluate_control(scores, verdicts, PROBLEM, as_of=now)
    assert table.schema == CONTROL
    return {row["test"]: row for row in table.iter_rows(named=True)}


LAST_VALUE = forecasts("1", "last_value")


def test_a_champion_with_small_errors_raises_no_alarm() -> None:
    found = control(LAST_VALUE, forecasts("2", "ridge", bias=0.01))

    assert set(found) == {"against_baseline", "coverage"}
    assert not any(row["alarm"] for row in found.values())
    baseline = found["against_baseline"]
    assert (baseline["version"], baseline["candidate"], baseline["recipe_id"]) == (
        "2",
        "ridge",
        "ridge-1",
    )
    assert (baseline["against"], baseline["against_recipe_id"], baseline["n"]) == (
        "last_value",
        "last_value-1",
        HOURS,
    )


def test_a_champion_with_large_errors_alarms_against_the_baseline() -> None:
    found = control(LAST_VALUE, forecasts("2", "ridge", bias=2.0))["against_baseline"]

    assert found["alarm"]
    assert found["threshold"] == 200  # two tests share alpha = 0.01


def test_the_e_value_is_that_of_the_differences_of_the_errors() -> None:
    found = control(LAST_VALUE, forecasts("2", "ridge", bias=0.5))["against_baseline"]

    gains = np.abs(100.5 - ACTUALS[1:]) - np.abs(100 - ACTUALS[1:])
    e_values = largest_e_values(gains, np.full(HOURS, 0.5), places=np.arange(HOURS), lead=1)
    assert found["e_value"] == pytest.approx(e_values[-1])


def test_fewer_periods_than_the_least_decide_nothing() -> None:
    rows = pl.concat([LAST_VALUE, forecasts("2", "ridge", bias=8.0)])
    scores = score(rows, observed(ACTUALS.tolist()), PROMOTED, PROBLEM, as_of=at(40))

    alarms = {
        least: evaluate_control(scores, PROMOTED, problem(least=least), as_of=at(40))["alarm"][0]
        for least in (40, 41)
    }

    assert alarms == {40: True, 41: False}


def test_an_alarm_stands_when_later_errors_are_small_again() -> None:
    bad = forecasts("2", "ridge", bias=3.0, until=40)
    good = forecasts("2", "ridge", since=40)

    assert control(LAST_VALUE, bad, good)["against_baseline"]["alarm"]


def test_a_refresh_of_the_recipe_goes_on_with_its_test() -> None:
    verdicts = history(verdict(0, "2", "ridge"), verdict(40, "3", "ridge"))
    found = control(
        LAST_VALUE,
        forecasts("2", "ridge", bias=0.5, until=40),
        forecasts("3", "ridge", bias=0.5, since=40),
        verdicts=verdicts,
    )["against_baseline"]

    assert (found["version"], found["n"]) == ("3", HOURS)


def test_another_recipe_begins_a_test_of_its_own() -> None:
    verdicts = history(verdict(0, "2", "ridge"), verdict(40, "3", "forest"))
    found = control(
        LAST_VALUE,
        forecasts("2", "ridge", bias=3.0),
        forecasts("3", "forest"),
        verdicts=verdicts,
    )

    assert found["against_baseline"]["n"] == HOURS - 40
    assert not found["against_baseline"]["alarm"]


def test_the_previous_recipe_is_an_opponent_while_it_forecasts() -> None:
    verdicts = history(verdict(0, "2", "ridge"), verdict(40, "3", "forest"))
    found = control(
        forecasts("1", "last_value", bias=3.0),
        forecasts("2", "ridge"),
        forecasts("3", "forest", bias=2.0),
        verdicts=verdicts,
    )

    assert found["against_previous"]["alarm"]
    assert (found["against_previous"]["against"], found["against_previous"]["n"]) == ("ridge", 80)
    assert not found["against_baseline"]["alarm"]


def test_a_previous_recipe_that_forecasts_no_more_is_no_opponent() -> None:
    verdicts = history(verdict(0, "2", "ridge"), verdict(40, "3", "forest"))
    found = control(
        LAST_VALUE, forecasts("2", "ridge", until=40), forecasts("3", "forest"), verdicts=verdicts
    )

    assert "against_previous" not in found


def test_a_champion_is_not_measured_against_itself() -> None:
    found = control(LAST_VALUE, verdicts=history(verdict(0, "1", "last_value")))

    assert set(found) == {"coverage"}


def test_the_baseline_is_the_one_named_before_the_origin() -> None:
    verdicts = history(verdict(0, "2", "ridge"), verdict(60, "3", "ridge", strongest="drift"))
    # Each baseline is bad while it is named and good otherwise: no alarm by hindsight.
    found = control(
        forecasts("1", "last_value", bias=3.0, until=60),
        forecasts("1", "last_value", since=60),
        forecasts("4", "drift", until=60),
        forecasts("4", "drift", bias=3.0, since=60),
        forecasts("2", "ridge", bias=1.0, until=60),
        forecasts("3", "ridge", bias=1.0, since=60),
        verdicts=verdicts,
    )["against_baseline"]

    assert (found["against"], found["n"], found["alarm"]) == ("drift", HOURS, False)


def test_a_later_fit_of_the_opponent_does_not_replace_what_an_earlier_one_said() -> None:
    champion = forecasts("2", "ridge", bias=0.5)

    alone = control(LAST_VALUE, champion)["against_baseline"]
    # Version 10 comes before 2 as text, and after it as a number.
    refitted = forecasts("10", "last_value", bias=5.0)
    both = control(forecasts("3", "last_value"), refitted, champion)["against_baseline"]

    assert both["e_value"] == alone["e_value"]


def test_bands_that_are_too_narrow_alarm_by_coverage_alone() -> None:
    found = control(LAST_VALUE, forecasts("2", "ridge", half_width=0.3))

    assert found["coverage"]["alarm"]
    assert found["coverage"]["threshold"] == 100
    assert not found["against_baseline"]["alarm"]


def test_coverage_is_tested_anew_after_the_refresh_that_follows_its_alarm() -> None:
    verdicts = history(verdict(0, "2", "ridge"), verdict(80, "3", "ridge"))
    found = control(
        LAST_VALUE,
        forecasts("2", "ridge", half_width=0.3, until=80),
        forecasts("3", "ridge", since=80),
        verdicts=verdicts,
    )["coverage"]

    assert (found["alarm"], found["n"]) == (False, HOURS - 80)


def test_a_refresh_before_any_alarm_does_not_begin_the_coverage_test_anew() -> None:
    verdicts = history(verdict(0, "2", "ridge"), verdict(80, "3", "ridge"))
    found = control(
        LAST_VALUE,
        forecasts("2", "ridge", until=80),
        forecasts("3", "ridge", since=80),
        verdicts=verdicts,
    )["coverage"]

    assert found["n"] == HOURS


def test_right_after_a_promotion_every_test_waits_for_its_first_period() -> None:
    found = control(
        LAST_VALUE, forecasts("2", "ridge"), verdicts=history(verdict(HOURS, "2", "ridge"))
    )

    assert {row["n"] for row in found.values()} == {0}
    assert {row["e_value"] for row in found.values()} == {1.0}


def test_before_the_first_verdict_there_is_nothing_to_control() -> None:
    assert control(LAST_VALUE, verdicts=empty_history()) == {}


def test_a_panel_gives_one_gain_a_period_however_many_its_series_and_leads() -> None:
    shares = share_problem(leads=(1, 3))
    rows = [
        {
            "version": version,
            "candidate": name,
            "recipe_id": f"{name}-1",
            "role": "champion" if name == "ridge" else "challenger",
            "series": series,
            "origin": at(24 * (day - step)),
            "valid_time": at(24 * day),
            "step": step,
            "target_known_at": at(24 * day),
            "point": 10.0 + bias,
            "absolute_error": bias,
            "covered": True,
        }
        for version, name, bias in (("1", "last_value", 0.5), ("2", "ridge", 2.0))
        for day in range(4, 64)
        for step in (1, 3)
        for series in shares.series
    ]
    time = pl.Datetime("us", "UTC")
    scores = pl.DataFrame(
        rows, schema_overrides=dict.fromkeys(("origin", "valid_time", "target_known_at"), time)
    )

    table = evaluate_control(scores, PROMOTED, shares, as_of=at(24 * 70))

    gains, floors = np.full(60, 1.5), np.full(60, 1.5)
    expected = largest_e_values(gains, floors, places=np.arange(60), lead=3)[-1]
    row = table.row(0, named=True)
    assert (row["test"], row["n"]) == ("against_baseline", 60)
    assert row["e_value"] == pytest.approx(expected)


def test_a_roll_back_is_a_tenure_of_its_own() -> None:
    verdicts = history(
        verdict(0, "2", "ridge"),
        verdict(1, "4", "forest"),
        verdict(2, "5", "forest"),
        verdict(3, "2", "ridge"),
    )

    found = tenures(alias_moves(verdicts, as_of=at(9)))

    assert [(t.candidate, t.since, [v for _, v in t.versions]) for t in found] == [
        ("ridge", at(0), ["2"]),
        ("forest", at(1), ["4", "5"]),
        ("ridge", at(3), ["2"]),
    ]


def test_changed_code_of_a_candidate_is_another_recipe() -> None:
    verdicts = history(verdict(0, "2", "ridge"), verdict(1, "3", "ridge", recipe_id="ridge-2"))

    assert len(tenures(alias_moves(verdicts, as_of=at(9)))) == 2


def test_an_alarm_says_value_rule_and_remedy() -> None:
    found = control(LAST_VALUE, forecasts("2", "ridge", bias=2.0, half_width=0.3))

    sentences = faults(pl.DataFrame(list(found.values()), schema=CONTROL), PROBLEM)

    assert len(sentences) == 2
    assert "ridge version 2 are larger than those of last_value" in sentences[0]
    assert "alarm at 200); materialise champion: it rolls back." in sentences[0]
    assert "cover less than 85%" in sentences[1]
