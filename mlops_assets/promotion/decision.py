"""The gate: who holds the champion alias after a look at the evidence.

Here: the rules as a pure function of the backtest. Not here: the record of the outcome
(`promotion.verdict`), moving the alias (`promotion.registry`), counting looks and refusing a run as
of the past (`promotion.champion`), and the roll back on live error (`promotion.rollback`).

**A challenger must be better.** d(t) = loss of the challenger - loss of its opponent at origin t,
averaged over series and the problem's leads, over the last evaluation span. Opponents are the
incumbent and the strongest baseline; against each a one-sided Diebold-Mariano test
(`evaluation.significance`) asks whether E d < 0, at the leads of `promotion.leads`. Both must
reject, so the challenger's p-value is the larger of the two: an intersection-union test needs no
correction (Berger 1982, Technometrics 24:295-300).

**Several challengers** share the level by Holm 1979. Once there is an incumbent every other
candidate is a challenger, baselines included: that is how an incumbent that is significantly worse
than the strongest baseline loses the alias to it. A candidate with `promotable: false` is on the
leaderboard only: it is no challenger, so it neither wins nor takes a share of the level.

**Several looks** share a budget: each look after the first is made at the level
yearly_error_budget / looks_per_year. The chance of any false promotion in a year of at most that
many looks is then at most the budget, however the looks overlap (union bound, Boole's inequality).
A look beyond them has nothing left to spend: its level is 0.

**No worse on the guards.** The same test the other way round, on each guard loss, against both
opponents, at guard_alpha: a challenger that is significantly worse on any is out. Guards look at
the mean over all evaluated leads; where the gate decides at some of them, its own loss is a guard
too.

**No incumbent**: the strongest baseline stands in for it, at first_look_alpha; a challenger that
passes takes the alias at once, otherwise the baseline does. An incumbent whose recipe is no longer
among the candidates that may serve is not refitted: the same test decides, at the level of a later
look.

**Nobody passes**: the incumbent recipe's newest fit takes the alias without a test (refresh) when
its sanity checks pass, else the version that holds it stays (keep).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import polars as pl
from pydantic import AwareDatetime

from mlops_assets.evaluation.leaderboard import mean_losses, strongest_baseline
from mlops_assets.evaluation.metrics import Loss, loss_unit
from mlops_assets.evaluation.rows import judged_rows
from mlops_assets.evaluation.significance import (
    DMResult,
    diebold_mariano,
    holm,
    mean_differential,
)
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.verdict import Decision, GateTest, Incumbent, Verdict

_NO_FAULTS: Final[Mapping[str, str]] = MappingProxyType({})


class NoSaneFitError(ValueError):
    """Nobody proved better, and no baseline has a fit that could hold the alias."""


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What all tests of one look share."""

    rows: pl.DataFrame
    problem: ForecastProblem
    losses: dict[str, float]
    overall: dict[str, float]
    holder: str
    strongest: str
    challengers: tuple[str, ...]
    alpha: float

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Challenger and opponent of every comparison."""
        opponents = dict.fromkeys((self.holder, self.strongest))
        return tuple((c, o) for c in self.challengers for o in opponents if o != c)


def decide(
    backtest: pl.DataFrame,
    problem: ForecastProblem,
    *,
    incumbent: Incumbent | None,
    as_of: AwareDatetime,
    look: int = 1,
    faulty_fits: Mapping[str, str] = _NO_FAULTS,
    barred: Mapping[str, str] = _NO_FAULTS,
) -> Verdict:
    """Decide who holds the champion alias (rules, formulas and sources: the module's docstring).

    Args:
        backtest: rows of the last evaluation span (see `evaluation.rows`), at the problem's leads.
        problem: names loss, guards, leads and error rates.
        incumbent: the recipe that holds the alias; None before the first verdict.
        as_of: the instant of the verdict.
        look: number of this look within the year that ends at `as_of`, this one included; a repeat
            on the same data is no new look. Without an incumbent it plays no part.
        faulty_fits: candidates whose newest fit failed its sanity checks, with the reason; such a
            fit never takes the alias.
        barred: challengers that may not take the alias whatever they prove, with the reason.

    Raises:
        BacktestRowsError: the candidates do not have the same finite rows.
        NoBaselineError: no candidate is a baseline.
        NoSaneFitError: a baseline should take the alias, and all their fits are faulty.
    """
    rows = judged_rows(backtest, problem)
    present = incumbent if incumbent and _may_stay(rows, incumbent, problem) else None
    state = _open_look(rows, problem, present, look_alpha(problem, incumbent, look))
    tests = _run_tests(state)
    winner = _winner(state, tests, {*faulty_fits, *barred})
    decision, candidate, outcome = _outcome(state, winner, present, faulty_fits)
    return Verdict(
        decision=decision,
        candidate=candidate,
        recipe_id=_recipe_id(rows, candidate),
        previous=incumbent.candidate if incumbent else None,
        as_of=as_of,
        look=look,
        tests=tests,
        reasons=(
            _opening(state, incumbent, present, look),
            *_compared_only(state),
            *(_explain(state, name, tests, faulty_fits, barred) for name in state.challengers),
            outcome,
        ),
        **_evidence(state),
    )


def look_alpha(problem: ForecastProblem, incumbent: Incumbent | None, look: int) -> float:
    """Level of a look: first_look_alpha without an incumbent, else the budget's share.

    Raises:
        ValueError: the look's number is below 1.
    """
    rule = problem.promotion
    if look < 1:
        raise ValueError(f"look {look}; looks of a year are counted from 1; pass 1 + earlier looks")
    if incumbent is None:
        return rule.first_look_alpha
    return rule.yearly_error_budget / rule.looks_per_year if look <= rule.looks_per_year else 0.0


def _recipe_id(rows: pl.DataFrame, candidate: str) -> str:
    return str(rows.filter(pl.col("candidate") == candidate)["recipe_id"][0])


def _may_stay(rows: pl.DataFrame, incumbent: Incumbent, problem: ForecastProblem) -> bool:
    """Whether the incumbent's recipe is among the candidates that may serve."""
    if incumbent.candidate in problem.compared_only:
        return False
    same = (pl.col("candidate") == incumbent.candidate) & (
        pl.col("recipe_id") == incumbent.recipe_id
    )
    return not rows.filter(same).is_empty()


def _compared_only(state: _Look) -> list[str]:
    """One sentence on the candidates that are no challengers; none without such."""
    names = [name for name in state.overall if name in state.problem.compared_only]
    if not names:
        return []
    return [f"For comparison only, never promoted (`promotable: false`): {', '.join(names)}."]


def _open_look(
    rows: pl.DataFrame, problem: ForecastProblem, present: Incumbent | None, alpha: float
) -> _Look:
    decisive = rows.filter(pl.col("step").is_in(problem.gate_leads))
    overall = mean_losses(rows, problem)
    strongest = strongest_baseline(decisive, problem)
    holder = present.candidate if present else strongest
    # A baseline that is not the strongest cannot pass, yet it counts for Holm once there is an
    # incumbent: which baseline is strongest is itself read from the data.
    baselines = set(rows.filter("baseline")["candidate"])
    excluded = {*({holder} if present else baselines), *problem.compared_only}
    return _Look(
        rows=rows,
        problem=problem,
        losses=mean_losses(decisive, problem),
        overall=overall,
        holder=holder,
        strongest=strongest,
        challengers=tuple(name for name in overall if name not in excluded),
        alpha=alpha,
    )


def _compare(
    state: _Look, pair: tuple[str, str], loss: Loss, alternative: Literal["less", "greater"]
) -> DMResult:
    """Better is asked at the gate's leads, not worse at all that are evaluated."""
    problem = state.problem
    leads = problem.gate_leads if alternative == "less" else problem.evaluation.leads
    return diebold_mariano(
        mean_differential(state.rows, *pair, loss, leads), max(leads), alternative
    )


def _run_tests(state: _Look) -> tuple[GateTest, ...]:
    loss = state.problem.evaluation.loss
    better = {pair: _compare(state, pair, loss, "less") for pair in state.pairs}
    larger = {
        name: max(better[pair].p_value for pair in state.pairs if pair[0] == name)
        for name in state.challengers
    }
    adjusted = holm(larger)
    return (
        *(_better(state, pair, result, adjusted[pair[0]]) for pair, result in better.items()),
        *(_guard(state, pair, g) for pair in state.pairs for g in _guards(state.problem)),
    )


def _guards(problem: ForecastProblem) -> tuple[Loss, ...]:
    """The guard losses; the gate's own among them when it decides at some of the leads only."""
    evaluation = problem.evaluation
    if set(problem.gate_leads) == set(evaluation.leads):
        return evaluation.guards
    return tuple(dict.fromkeys((evaluation.loss, *evaluation.guards)))


def _better(state: _Look, pair: tuple[str, str], result: DMResult, holm_p_value: float) -> GateTest:
    return GateTest(
        purpose="better",
        challenger=pair[0],
        against=pair[1],
        loss=state.problem.evaluation.loss,
        n=result.n,
        mean_differential=result.mean,
        statistic=result.statistic,
        bandwidth=result.bandwidth,
        p_value=result.p_value,
        holm_p_value=holm_p_value,
        alpha=state.alpha,
        passed=holm_p_value < state.alpha,
    )


def _guard(state: _Look, pair: tuple[str, str], loss: Loss) -> GateTest:
    alpha = state.problem.promotion.guard_alpha
    result = _compare(state, pair, loss, "greater")
    return GateTest(
        purpose="guard",
        challenger=pair[0],
        against=pair[1],
        loss=loss,
        n=result.n,
        mean_differential=result.mean,
        statistic=result.statistic,
        bandwidth=result.bandwidth,
        p_value=result.p_value,
        holm_p_value=None,
        alpha=alpha,
        passed=result.p_value >= alpha,
    )


def _winner(state: _Look, tests: tuple[GateTest, ...], unfit: Set[str]) -> str | None:
    """The passing challenger with the lowest loss at all leads (challengers are in that order)."""
    failed = {t.challenger for t in tests if not t.passed} | unfit
    return next((name for name in state.challengers if name not in failed), None)


def _outcome(
    state: _Look, winner: str | None, present: Incumbent | None, faulty_fits: Mapping[str, str]
) -> tuple[Decision, str, str]:
    """Decision, who holds the alias, and the closing sentence."""
    if winner is not None:
        return "promote", winner, f"{winner} takes the alias: lowest loss of those that passed."
    if present is None:
        name = _fallback(state, faulty_fits)
        return "promote", name, f"No challenger proved better: the baseline {name} takes the alias."
    if state.holder in faulty_fits:
        return (
            "keep",
            state.holder,
            f"No challenger proved better, and the new fit of {state.holder} is not sane "
            f"({faulty_fits[state.holder]}): the version that holds the alias stays.",
        )
    return (
        "refresh",
        state.holder,
        f"No challenger proved better: the new fit of {state.holder} takes the alias.",
    )


def _fallback(state: _Look, faulty_fits: Mapping[str, str]) -> str:
    baselines = set(state.rows.filter("baseline")["candidate"])
    for name in state.overall:
        if name in baselines and name not in faulty_fits:
            return name
    raise NoSaneFitError(
        f"no challenger proved better, and the fits of all baselines are faulty "
        f"({'; '.join(f'{k}: {v}' for k, v in faulty_fits.items())}); a baseline must "
        "be able to hold the alias; repair its fit and run again"
    )


def _evidence(state: _Look) -> dict[str, Any]:
    """The fields of the verdict that say what was looked at, by which rules."""
    evaluation, rule = state.problem.evaluation, state.problem.promotion
    origins = state.rows["origin"].unique().sort()
    return {
        "problem": state.problem.name,
        "loss": evaluation.loss,
        "guards": _guards(state.problem),
        "alpha": state.alpha,
        "looks_per_year": rule.looks_per_year,
        "yearly_error_budget": rule.yearly_error_budget,
        "guard_alpha": rule.guard_alpha,
        "strongest_baseline": state.strongest,
        "first_origin": origins[0],
        "last_origin": origins[-1],
        "rows": state.rows.filter(pl.col("candidate") == state.holder).height,
        "origins": len(origins),
        "mean_losses": state.overall,
    }


def _opening(
    state: _Look, incumbent: Incumbent | None, present: Incumbent | None, look: int
) -> str:
    rule = state.problem.promotion
    level = (
        f"look {look} of {rule.looks_per_year} in the year, level {state.alpha:.2g} "
        f"of a yearly error budget of {rule.yearly_error_budget:g}"
    )
    if incumbent is None:
        return (
            f"No incumbent: the strongest baseline {state.strongest} stands in for it at the first "
            f"look's level {state.alpha:g}."
        )
    if present is None:
        return (
            f"The incumbent {incumbent.candidate} (recipe {incumbent.recipe_id}) is no longer "
            "among the candidates that may serve, so it is not refitted: the strongest baseline "
            f"{state.strongest} stands in for it; {level}."
        )
    return f"{state.holder} holds the alias, the strongest baseline is {state.strongest}; {level}."


def _explain(
    state: _Look,
    name: str,
    tests: tuple[GateTest, ...],
    faulty_fits: Mapping[str, str],
    barred: Mapping[str, str],
) -> str:
    """One challenger's sentence: losses, p-values, guards."""
    own = [t for t in tests if t.challenger == name]
    better = [t for t in own if t.purpose == "better"]
    versus = " and ".join(
        f"{t.against} {state.losses[t.against]:.6g} (t = {t.statistic:.2f}, p = {t.p_value:.2g})"
        for t in better
    )
    adjusted = better[0].holm_p_value
    verb = "proved better" if better[0].passed else "did not prove better"
    loss = state.problem.evaluation.loss
    text = (
        f"{name} {verb}: {loss.replace('_', ' ')} {state.losses[name]:.6g} against {versus}, in "
        f"{loss_unit(loss, state.problem.target_source.unit)}; Holm-adjusted p {adjusted:.2g}, "
        f"level {state.alpha:.2g}."
    )
    for guard in (t for t in own if t.purpose == "guard" and not t.passed):
        text += (
            f" Its {guard.loss.replace('_', ' ')} is significantly worse than that of "
            f"{guard.against} (t = {guard.statistic:.2f}, p = {guard.p_value:.2g}): it is out."
        )
    if name in faulty_fits:
        text += f" Its new fit is not sane ({faulty_fits[name]}): it cannot take the alias."
    if name in barred:
        text += f" It cannot take the alias: {barred[name]}."
    return text
