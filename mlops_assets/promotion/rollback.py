"""Rolling back: what moves the alias away from a champion whose live forecasts proved worse.

Here: the rules, as pure functions of the control's rows, the verdicts so far and the registered
versions. Not here: the tests behind an alarm (`monitoring.control`) and their table
(`promotion.control_state`), the gate (`promotion.decision`), moving the alias
(`promotion.registry`), the same act by hand (`cli.rollback`).

**What rolls back.** An alarm against the baseline or against the previous recipe, raised by the
newest look of the control for the recipe that holds the alias, since the alias last moved. An alarm
of the band's coverage alone rolls nothing back: another recipe's band is not known to be better; it
warns and retrains.

**To whom.** The newest version of the recipe that held the alias before. Where there is none, or it
cannot be served or is barred: the newest version of the baseline that was strongest at the last
look.

**Cooldown.** For `control.cooldown` a recipe that was rolled back cannot take the alias, neither by
the gate nor by a roll back, and another roll back goes to a baseline only: the alias cannot swing
between two recipes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

import polars as pl

from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.control_state import ROLLS_BACK, control_table
from mlops_assets.promotion.registry import RegisteredVersion
from mlops_assets.promotion.verdict import Incumbent, Verdict
from mlops_assets.storage.tables import TableStore


@dataclass(frozen=True)
class LiveRecord:
    """What is known of live forecasts; None where nothing has come true yet."""

    control: pl.DataFrame | None = None
    scores: pl.DataFrame | None = None


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm that stands against the champion."""

    version: str
    candidate: str
    recipe_id: str
    test: str
    against: str | None
    against_recipe_id: str | None
    n: int
    e_value: float
    threshold: float

    @property
    def rolls_back(self) -> bool:
        """Whether it moves the alias."""
        return self.test in ROLLS_BACK


@dataclass(frozen=True)
class Target:
    """Who takes the alias back, or None when nobody can; `because` says who was passed over."""

    version: RegisteredVersion | None
    because: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What follows from the alarms: a verdict and who takes the alias, or only what to say."""

    verdict: Verdict | None
    target: RegisteredVersion | None
    notes: tuple[str, ...]


def read_live_record(store: TableStore, problem: str) -> LiveRecord:
    """The control's newest look and the live scores, from storage.

    They come after the champion in the graph, so the asset cannot depend on them.
    """
    tables = (control_table(problem), f"{problem}/live_scores")
    return LiveRecord(*(store.read(table) if store.exists(table) else None for table in tables))


def last_move(history: pl.DataFrame) -> datetime | None:
    """When the alias last moved; None before the first verdict."""
    moved = history.filter(pl.col("decision") != "keep")["as_of"].max()
    return moved if isinstance(moved, datetime) else None


def standing_alarms(
    control: pl.DataFrame | None, history: pl.DataFrame, holder: Incumbent, *, as_of: datetime
) -> list[Alarm]:
    """The alarms of the newest look that speak of the recipe holding the alias.

    Args:
        control: the table `control`; None before the first look.
        history: the verdicts so far; a look from before the alias last moved is stale.
        holder: the recipe that holds the alias.
        as_of: later looks are not known yet.
    """
    if control is None:
        return []
    known = control.filter(pl.col("as_of") <= as_of)
    moved = last_move(history)
    rows = known.filter(
        pl.col("as_of") == pl.col("as_of").max(),
        pl.lit(value=True) if moved is None else pl.col("as_of") >= moved,
        pl.col("candidate") == holder.candidate,
        pl.col("recipe_id") == holder.recipe_id,
        pl.col("alarm"),
    )
    return [Alarm(**row) for row in rows.select(*Alarm.__dataclass_fields__).iter_rows(named=True)]


def answer_alarms(
    alarms: Sequence[Alarm],
    holder: Incumbent,
    history: pl.DataFrame,
    versions: Sequence[RegisteredVersion],
    problem: ForecastProblem,
    *,
    scores: pl.DataFrame | None,
    servable: Collection[str],
    as_of: datetime,
) -> Answer:
    """Roll back when an alarm asks for it and someone can take the alias.

    Args:
        alarms: those that stand.
        holder: the recipe that holds the alias.
        history: the verdicts so far; without any there is nothing to go back from.
        versions: all registered versions, newest first.
        problem: names baselines, cooldown and unit.
        scores: the live scores, to explain an alarm by.
        servable: recipe ids whose band can be calibrated.
        as_of: the instant of the look.
    """
    own = None if scores is None else _of_tenure(scores, history, holder, problem)
    notes = tuple(explain_alarm(alarm, own, problem) for alarm in alarms)
    if not any(alarm.rolls_back for alarm in alarms):
        return Answer(None, None, notes)
    if history.is_empty():
        unknown = "No earlier verdict is recorded: there is nothing to roll back to."
        return Answer(None, None, (*notes, unknown))
    target = find_target(holder, history, versions, problem, as_of=as_of, servable=servable)
    reasons = (*notes, *target.because)
    if target.version is None:
        return Answer(None, None, reasons)
    verdict = roll_back_verdict(
        history, holder=holder, target=target.version, as_of=as_of, reasons=reasons
    )
    return Answer(verdict, target.version, reasons)


def barred_recipes(
    history: pl.DataFrame, problem: ForecastProblem, *, holder: Incumbent | None, as_of: datetime
) -> dict[Incumbent, datetime]:
    """Recipes that were rolled back within the cooldown, and when each is free again.

    The recipe that holds the alias is never among them: someone put it back by hand.
    """
    barred: dict[Incumbent, datetime] = {}
    for verdict in _recent_roll_backs(history, problem, as_of=as_of):
        if verdict.previous is None or verdict.previous_recipe_id is None:
            continue
        recipe = Incumbent(candidate=verdict.previous, recipe_id=verdict.previous_recipe_id)
        if recipe not in {holder, verdict.holder}:
            until = verdict.as_of + problem.control.cooldown
            barred[recipe] = max(until, barred.get(recipe, until))
    return barred


def find_target(
    holder: Incumbent,
    history: pl.DataFrame,
    versions: Sequence[RegisteredVersion],
    problem: ForecastProblem,
    *,
    as_of: datetime,
    servable: Collection[str] | None = None,
) -> Target:
    """Who takes the alias back from `holder` (the rules: the module's docstring).

    Args:
        holder: the recipe that holds the alias.
        history: the verdicts so far, at least one, schema `promotion.champion.HISTORY`.
        versions: all registered versions, newest first; only sane fits are registered.
        problem: names baselines and cooldown.
        as_of: the instant of the roll back.
        servable: recipe ids whose band can be calibrated; None: not looked at.
    """
    barred = barred_recipes(history, problem, holder=holder, as_of=as_of)
    open_to = [
        v
        for v in versions
        if v.incumbent != holder
        and v.incumbent not in barred
        and v.candidate not in problem.compared_only
        and (servable is None or v.recipe_id in servable)
    ]
    previous = previous_recipe(history, holder)
    if previous is None:
        return _baseline(
            open_to, history, problem, f"Nothing held the alias before {_name(holder)}."
        )
    if previous in barred:
        why = f"was rolled back itself and is barred until {_instant(barred[previous])}"
    elif previous.candidate not in problem.baselines and _recent_roll_backs(
        history, problem, as_of=as_of
    ):
        why = "is no baseline, and a second roll back within the cooldown goes to a baseline only"
    else:
        found = next((v for v in open_to if v.incumbent == previous), None)
        if found is not None:
            return Target(found, ())
        why = "has no registered version that can be served; its recipe has changed or is gone"
    passed_over = f"{_name(previous)}, which held the alias before, {why}."
    return _baseline(open_to, history, problem, passed_over)


def previous_recipe(history: pl.DataFrame, holder: Incumbent) -> Incumbent | None:
    """The recipe that held the alias before the one that holds it; None when there is none."""
    return next((v.holder for v in reversed(_verdicts(history)) if v.holder != holder), None)


def roll_back_verdict(
    history: pl.DataFrame,
    *,
    holder: Incumbent,
    target: RegisteredVersion,
    as_of: datetime,
    reasons: Sequence[str],
) -> Verdict:
    """The verdict of a roll back; its evidence is that of the newest look of the gate.

    Args:
        history: the verdicts so far, at least one.
        holder: who loses the alias.
        target: who takes it.
        as_of: the instant of the roll back.
        reasons: why, in order; the outcome is added.
    """
    latest = _verdicts(history)[-1]
    return latest.model_copy(
        update={
            "as_of": as_of,
            "decision": "roll_back",
            "candidate": target.candidate,
            "recipe_id": target.recipe_id,
            "previous": holder.candidate,
            "previous_recipe_id": holder.recipe_id,
            "reasons": (
                *reasons,
                f"{_name(target.incumbent)}, version {target.version}, takes the alias back from "
                f"{_name(holder)}.",
            ),
            # No test of the gate was made, so no part of its error budget is spent.
            "alpha": 0.0,
            "tests": (),
        }
    )


def explain_alarm(alarm: Alarm, scores: pl.DataFrame | None, problem: ForecastProblem) -> str:
    """One alarm as a sentence, with the live errors behind it where they are known."""
    figures = (
        f"e-value {alarm.e_value:.3g} after {alarm.n} verified periods, threshold "
        f"{alarm.threshold:.3g}"
    )
    who = f"{alarm.candidate} version {alarm.version}"
    if not alarm.rolls_back:
        return (
            f"The band of {who} covers too few values ({figures}): that warns and retrains, and "
            "rolls nothing back, since no other band is known to be better."
        )
    text = f"Live, {who} proved worse than {alarm.against} ({figures})"
    errors = None if scores is None else live_errors(scores, alarm)
    if errors is None:
        return f"{text}."
    own, other = errors
    return (
        f"{text}: mean absolute error {own:.6g} against {other:.6g}, in "
        f"{problem.target_source.unit}."
    )


def live_errors(scores: pl.DataFrame, alarm: Alarm) -> tuple[float, float] | None:
    """Mean absolute live errors of an alarm's two recipes over the forecasts that both made.

    Several versions of a recipe that spoke about one value count as their mean. None when the two
    share no verified forecast.

    Args:
        scores: live scores of the champion's tenure.
        alarm: names the two recipes.
    """
    key = ["series", "origin", "step"]
    own, other = (
        scores.filter(pl.col("recipe_id") == recipe)
        .group_by(key)
        .agg(pl.col("absolute_error").mean())
        for recipe in (alarm.recipe_id, alarm.against_recipe_id)
    )
    both = own.join(other, on=key, validate="1:1")
    if both.is_empty():
        return None
    means = both.select(pl.col("absolute_error", "absolute_error_right").mean()).row(0)
    return float(means[0]), float(means[1])


def bar_sentence(until: datetime) -> str:
    """Why a barred candidate cannot take the alias."""
    return f"its recipe was rolled back and is barred until {_instant(until)}"


def _baseline(
    open_to: Sequence[RegisteredVersion],
    history: pl.DataFrame,
    problem: ForecastProblem,
    passed_over: str,
) -> Target:
    """The newest version of the baseline that was strongest at the last look, of those left."""
    latest = _verdicts(history)[-1]
    ranked = (latest.strongest_baseline, *latest.mean_losses, *problem.baselines)
    for name in dict.fromkeys(ranked):
        found = next((v for v in open_to if v.candidate == name), None)
        if found is not None and name in problem.baselines:
            return Target(found, (passed_over,))
    nobody = "No baseline has a registered version that may take the alias and can be served."
    return Target(None, (passed_over, nobody))


def _of_tenure(
    scores: pl.DataFrame, history: pl.DataFrame, holder: Incumbent, problem: ForecastProblem
) -> pl.DataFrame:
    """Live scores at the gate's leads since `holder` took the alias, refreshes included."""
    tenure = takewhile(lambda verdict: verdict.holder == holder, reversed(_verdicts(history)))
    since = min((verdict.as_of for verdict in tenure), default=None)
    at_leads = scores.filter(pl.col("step").is_in(problem.gate_leads))
    return at_leads if since is None else at_leads.filter(pl.col("origin") >= since)


def _recent_roll_backs(
    history: pl.DataFrame, problem: ForecastProblem, *, as_of: datetime
) -> list[Verdict]:
    """Roll backs whose cooldown is not over; it is over at its very end."""
    recent = history.filter(
        pl.col("decision") == "roll_back", pl.col("as_of") > as_of - problem.control.cooldown
    )
    return _verdicts(recent)


def _verdicts(history: pl.DataFrame) -> list[Verdict]:
    return [Verdict.model_validate_json(text) for text in history["verdict"]]


def _name(recipe: Incumbent) -> str:
    return f"{recipe.candidate} (recipe {recipe.recipe_id})"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
