"""Control: is the champion still sound, by what came true of its forecasts since it took over?

Here: which periods of which forecasts each test sees. Not here: the arithmetic of the tests
(`monitoring.sequential`), their table (`promotion.control_state`), the roll back
(`promotion.rollback`).

**What is tested.** At each valid period, over the series and the leads of the gate: the mean of
|error of the champion| - |error of the opponent|, and the share of series inside the champion's
band. The absolute error is taken whatever the gate's loss: its difference is at most the distance
of the two forecasts, which is known before the value is, and a bet needs such a bound. Dividing by
the sum of both errors would bound it too, but asks for another mean than the gate does.

**Since when.** From the verdict by which the champion's recipe took the alias; a refresh of the
same recipe goes on with its tests. The coverage test begins anew with the first refresh after it
has alarmed, as that is the remedy. A sound champion must raise a false alarm before it can profit
from a new beginning, so the chance of ever raising one stays as stated.

**Opponents** are chosen before the value is known: the strongest baseline that the verdict in
force at the origin names, and the recipe that held the alias before. A forecast counts as it was
first said: of several versions of an opponent that speak about one origin the oldest is taken.

**Levels.** Two tests take the alias away, each at half of `control.alpha`: a sound champion is ever
rolled back with a chance of at most alpha (union bound). Coverage has alpha for itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from mlops_assets.monitoring.sequential import FloatArray, largest_e_values
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.control_state import CONTROL, ROLLS_BACK, ControlTest, no_control
from mlops_assets.promotion.holders import alias_moves

_PLACE: Final = ("series", "origin", "valid_time", "step")

_ROUNDING: Final = 1e-9
"""Of a forecast's size: errors of two forecasts that all but coincide differ by rounding."""


@dataclass(frozen=True)
class Tenure:
    """How long one recipe held the alias, refreshes included: from `since` to the next tenure."""

    candidate: str
    recipe_id: str
    since: datetime
    versions: tuple[tuple[datetime, str], ...]
    """Each version with the instant at which it took the alias, oldest first."""


@dataclass(frozen=True)
class _Outcome:
    """One test's result; `alarmed_at` is when the value that raised the alarm was known."""

    n: int
    e_value: float
    alarmed_at: datetime | None


def evaluate_control(
    scores: pl.DataFrame, verdicts: pl.DataFrame, problem: ForecastProblem, *, as_of: datetime
) -> pl.DataFrame:
    """The tests of the present champion, one row each.

    Args:
        scores: live scores known by `as_of`.
        verdicts: history of the champion; those after `as_of` are not seen.
        problem: gate leads, band and the rules of control.
        as_of: the present.

    Returns:
        `CONTROL`: `against_baseline` unless the champion is that baseline, `against_previous` if
        that recipe still forecasts, `coverage`; empty before the first verdict.
    """
    moves = alias_moves(verdicts, as_of=as_of)
    held = tenures(moves)
    if not held:
        return no_control()
    now, previous = held[-1], held[-2] if len(held) > 1 else None
    seen = scores.filter(pl.col("step").is_in(problem.gate_leads))
    own = seen.filter(
        pl.col("role") == "champion",
        pl.col("recipe_id") == now.recipe_id,
        pl.col("origin") >= now.since,
    )
    rows = [
        *_against_baseline(own, seen, moves, now, problem),
        *(_against_previous(own, seen, previous, problem) if previous else ()),
        _coverage(own, now, problem),
    ]
    champion = {"as_of": as_of, "version": now.versions[-1][1], "candidate": now.candidate}
    return pl.DataFrame(
        [{**champion, "recipe_id": now.recipe_id, **row} for row in rows], schema=CONTROL
    )


def tenures(moves: pl.DataFrame) -> list[Tenure]:
    """Who held the alias, oldest first; `moves` as `holders.alias_moves` gives them."""
    found: list[Tenure] = []
    for row in moves.iter_rows(named=True):
        recipe_id = json.loads(row["verdict"])["recipe_id"]
        took = (row["as_of"], row["version"])
        if not found or found[-1].recipe_id != recipe_id:
            found.append(Tenure(row["candidate"], recipe_id, row["as_of"], (took,)))
        elif found[-1].versions[-1][1] != row["version"]:
            last = found.pop()
            found.append(Tenure(last.candidate, recipe_id, last.since, (*last.versions, took)))
    return found


def faults(control: pl.DataFrame, problem: ForecastProblem) -> list[str]:
    """A sentence for each alarm that stands: value, rule, remedy."""
    return [_fault(row, problem) for row in control.filter("alarm").iter_rows(named=True)]


def threshold(test: ControlTest, problem: ForecastProblem) -> float:
    """The e-value at which a test alarms: 1 / its level."""
    shares = len(ROLLS_BACK) if test in ROLLS_BACK else 1
    return shares / problem.control.alpha


def _against_baseline(
    own: pl.DataFrame,
    seen: pl.DataFrame,
    moves: pl.DataFrame,
    now: Tenure,
    problem: ForecastProblem,
) -> Sequence[dict[str, object]]:
    """The test against the baseline in force at each origin; none while the champion is it."""
    named = moves.select(
        "as_of",
        against=pl.col("verdict").str.json_path_match("$.strongest_baseline"),
    ).sort("as_of")
    newest = str(named["against"][-1])
    if newest == now.candidate:
        return ()
    faced = own.sort("origin").join_asof(named, left_on="origin", right_on="as_of")
    rivals = _first_said(seen, "candidate").rename({"candidate": "against"})
    paired = _pair(faced.filter(pl.col("against") != now.candidate), rivals, on="against")
    known = seen.filter(pl.col("candidate") == newest)["recipe_id"]
    opponent = {"against": newest, "against_recipe_id": known[-1] if len(known) else None}
    return [_row("against_baseline", _losses_test(paired, problem), problem) | opponent]


def _against_previous(
    own: pl.DataFrame, seen: pl.DataFrame, previous: Tenure, problem: ForecastProblem
) -> Sequence[dict[str, object]]:
    """The test against the recipe that held the alias before; none if it forecasts no more."""
    rivals = _first_said(seen.filter(pl.col("recipe_id") == previous.recipe_id), "recipe_id")
    faced = own.with_columns(against=pl.lit(previous.recipe_id))
    paired = _pair(faced, rivals.rename({"recipe_id": "against"}), on="against")
    if paired.is_empty():
        return ()
    opponent = {"against": previous.candidate, "against_recipe_id": previous.recipe_id}
    return [_row("against_previous", _losses_test(paired, problem), problem) | opponent]


def _coverage(own: pl.DataFrame, now: Tenure, problem: ForecastProblem) -> dict[str, object]:
    """The test of the band, begun anew with each refresh that follows its alarm."""
    outcome = _coverage_test(own, problem)
    while outcome.alarmed_at is not None:
        refreshes = [since for since, _ in now.versions if since >= outcome.alarmed_at]
        if not refreshes:
            break
        outcome = _coverage_test(own.filter(pl.col("origin") >= refreshes[0]), problem)
    return _row("coverage", outcome, problem) | {"against": None, "against_recipe_id": None}


def _first_said(rows: pl.DataFrame, who: str) -> pl.DataFrame:
    """One forecast for each `who` and place: that of the oldest version."""
    return (
        rows.sort(pl.col("version").cast(pl.Int64))
        .unique([who, *_PLACE], keep="first", maintain_order=True)
        .select(who, *_PLACE, rival_point="point", rival_error="absolute_error")
    )


def _pair(own: pl.DataFrame, rivals: pl.DataFrame, *, on: str) -> pl.DataFrame:
    """Gain of a bet against the champion, and its floor, by valid period."""
    joined = own.join(rivals, on=[on, *_PLACE], how="inner", validate="1:1")
    point, rival = pl.col("point"), pl.col("rival_point")
    return _by_period(
        joined,
        gain=pl.col("absolute_error") - pl.col("rival_error"),
        floor=(point - rival).abs() + _ROUNDING * (point.abs() + rival.abs()),
    )


def _losses_test(paired: pl.DataFrame, problem: ForecastProblem) -> _Outcome:
    return _run(paired, problem, at=threshold("against_baseline", problem))


def _coverage_test(own: pl.DataFrame, problem: ForecastProblem) -> _Outcome:
    """The bet that fewer are covered than `nominal - slack`; it loses at most the rest to 1."""
    least = max(0.0, problem.band.coverage - problem.control.coverage_slack)
    periods = _by_period(
        own, gain=least - pl.col("covered").cast(pl.Float64), floor=pl.lit(1.0 - least)
    )
    return _run(periods, problem, at=threshold("coverage", problem))


def _by_period(rows: pl.DataFrame, *, gain: pl.Expr, floor: pl.Expr) -> pl.DataFrame:
    """Means over series and leads, grain (valid_time), oldest first."""
    return (
        rows.with_columns(gain=gain, floor=floor)
        .group_by("valid_time")
        .agg(pl.col("gain", "floor").mean(), known_at=pl.col("target_known_at").max())
        .sort("valid_time")
    )


def _run(periods: pl.DataFrame, problem: ForecastProblem, *, at: float) -> _Outcome:
    """Bet on the periods; an alarm needs `control.least` of them."""
    if periods.is_empty():
        return _Outcome(0, 1.0, None)
    period = problem.frequency // timedelta(microseconds=1)
    largest: FloatArray = largest_e_values(
        periods["gain"].to_numpy(),
        periods["floor"].to_numpy(),
        places=periods["valid_time"].dt.epoch("us").to_numpy() // period,
        lead=max(problem.gate_leads),
    )
    n = periods.height
    over = np.flatnonzero(largest >= at)
    place = max(int(over[0]), problem.control.least - 1) if len(over) else n
    alarmed_at = periods["known_at"][place] if place < n else None
    return _Outcome(n, float(largest[-1]), alarmed_at)


def _row(test: ControlTest, outcome: _Outcome, problem: ForecastProblem) -> dict[str, object]:
    return {
        "test": test,
        "n": outcome.n,
        "e_value": outcome.e_value,
        "threshold": threshold(test, problem),
        "alarm": outcome.alarmed_at is not None,
    }


def _fault(row: dict[str, Any], problem: ForecastProblem) -> str:
    champion = f"{row['candidate']} version {row['version']}"
    evidence = (
        f"e-value {row['e_value']:,.3g} after {row['n']:,} verified periods, alarm at "
        f"{row['threshold']:,.4g}"
    )
    if row["test"] == "coverage":
        least = problem.band.coverage - problem.control.coverage_slack
        return (
            f"The bands of {champion} cover less than {least:.0%} of what came true ({evidence}); "
            "retrain, so that a new fit brings bands calibrated on newer errors."
        )
    return (
        f"The live errors of {champion} are larger than those of {row['against']} ({evidence}); "
        "materialise champion: it rolls back."
    )
