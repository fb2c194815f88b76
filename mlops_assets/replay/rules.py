"""Rules for handing over the champion's alias, compared on the forecasts of one replay.

Every version that a replay registers speaks about the origins until the next training, whether it
holds the alias or not. So it is known what any other rule would have come to, and nothing has to be
run again. Here: pure functions of the record and the live scores. Not here: the gate itself
(`promotion.decision`) and the ledger (`replay.ledger`).

- `gate`: what the replay did.
- `lower`: at each training the candidate with the lowest mean backtest loss takes over.
- `newest`: at each training the new fit of one candidate takes over, whatever it scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal

import polars as pl

from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.holders import with_holders
from mlops_assets.replay.isolation import ReplayError
from mlops_assets.replay.progress import StepOutcome
from serving.contract.evidence import LiveError, ReplayRule

Rule = Literal["gate", "lower", "newest"]
RULES: Final[tuple[Rule, ...]] = ("gate", "lower", "newest")

_KEY: Final = ("series", "origin", "step")


@dataclass(frozen=True)
class Reign:
    """Who holds the alias from an origin to the next; nobody before the first handover."""

    origin: datetime
    candidate: str | None
    version: str | None


def main_candidate(problem: ForecastProblem) -> str:
    """The candidate that the rule `newest` retrains: the first that learns and may be promoted.

    Raises:
        ReplayError: every candidate is a baseline or compared only.
    """
    found = [
        name
        for name, candidate in problem.candidates.items()
        if not candidate.baseline and candidate.promotable
    ]
    if not found:
        raise ReplayError(
            f"{problem.name} has no candidate that is no baseline and may be promoted; the rule "
            "`newest` retrains one; add a candidate to its defs.yaml"
        )
    return found[0]


def reigns(
    rule: Rule,
    steps: Sequence[StepOutcome],
    losses: Mapping[datetime, Mapping[str, float]],
    problem: ForecastProblem,
    *,
    newest_of: str | None = None,
) -> list[Reign]:
    """Who holds the alias after each step, by a rule.

    Args:
        rule: how it is handed over.
        steps: of the replay, ascending.
        losses: origin of a look -> candidate -> mean backtest loss.
        problem: names who may be promoted.
        newest_of: the candidate of the rule `newest`; default `main_candidate`.
    """
    if rule == "gate":
        return [Reign(step.origin, step.candidate, step.version) for step in steps]
    main = newest_of or main_candidate(problem)
    held: list[Reign] = []
    for step in steps:
        if rule == "newest":
            winner = main if main in step.registered else None
        else:
            winner = _lowest(losses.get(step.origin, {}), step.registered, problem)
        if winner is not None:
            held.append(Reign(step.origin, winner, step.registered[winner]))
        else:
            before = held[-1] if held else Reign(step.origin, None, None)
            held.append(Reign(step.origin, before.candidate, before.version))
    return held


def rows_of(
    scores: pl.DataFrame, held: Sequence[Reign], problem: ForecastProblem, *, until: datetime
) -> pl.DataFrame:
    """The live scores of the holders, each from its origin to the next.

    Args:
        scores: `monitoring.live_scores.LIVE_SCORES` of all versions.
        held: at least one reign, ascending.
        problem: only forecasts at the leads of the gate count.
        until: end of the last reign; origins from then on are left out.

    Returns:
        Those rows with `step_origin`: the origin from which its holder held the alias.
    """
    moves = pl.DataFrame(
        {"as_of": [r.origin for r in held], "version": [r.version for r in held]},
        schema={"as_of": pl.Datetime("us", "UTC"), "version": pl.String},
    )
    judged = scores.filter(
        pl.col("step").is_in(problem.gate_leads),
        pl.col("origin") >= held[0].origin,
        pl.col("origin") < until,
    )
    own = with_holders(judged, moves, named="held").filter("held").drop("held")
    steps = moves.select(step_origin="as_of")
    return own.join_asof(steps, left_on="origin", right_on="step_origin", strategy="backward")


def live_error(rows: pl.DataFrame) -> LiveError | None:
    """Errors of live scores beside the last value's on the same rows; None without rows."""
    if rows.is_empty():
        return None
    away = pl.col("last_value") - pl.col("actual")
    figures = rows.select(
        n=pl.len(),
        mae=pl.col("absolute_error").mean(),
        rmse=pl.col("squared_error").mean().sqrt(),
        mae_last_value=away.abs().mean(),
        rmse_last_value=away.pow(2).mean().sqrt(),
        coverage=pl.col("covered").mean(),
    )
    return LiveError(**figures.row(0, named=True))


def ratios(error: LiveError) -> dict[str, float | None]:
    """MAE and RMSE over the last value's; None where that never erred."""
    pairs = {"mae": error.mae_last_value, "rmse": error.rmse_last_value}
    return {
        f"{name}_ratio_to_last_value": getattr(error, name) / last if last else None
        for name, last in pairs.items()
    }


def compare_rules(
    scores: pl.DataFrame,
    steps: Sequence[StepOutcome],
    losses: Mapping[datetime, Mapping[str, float]],
    problem: ForecastProblem,
    *,
    until: datetime,
) -> list[ReplayRule]:
    """What each rule would have come to, the gate first.

    Args:
        scores: live scores of all versions.
        steps: of the replay, at least one, ascending.
        losses: as in `reigns`.
        problem: as in `reigns`.
        until: end of the last reign.
    """
    gate = rows_of(scores, reigns("gate", steps, losses, problem), problem, until=until)
    compared = []
    for rule in RULES:
        held = reigns(rule, steps, losses, problem)
        own = rows_of(scores, held, problem, until=until)
        first = 1 if held[-1].candidate is not None else 0
        churn = _changes([reign.candidate for reign in held])
        compared.append(
            ReplayRule(
                rule=rule,
                promotions=churn + first,
                churn=churn,
                versions=_changes([reign.version for reign in held]),
                missing=len(gate.join(own, on=_KEY, how="anti")),
                live=live_error(own),
            )
        )
    return compared


def by_candidate(
    scores: pl.DataFrame, steps: Sequence[StepOutcome], problem: ForecastProblem, *, until: datetime
) -> dict[str, LiveError | None]:
    """Each candidate's live errors, had its newest fit held the alias throughout.

    Args:
        scores: live scores of all versions.
        steps: of the replay, at least one, ascending.
        problem: names the candidates.
        until: end of the last reign.
    """
    return {
        name: live_error(
            rows_of(
                scores,
                reigns("newest", steps, {}, problem, newest_of=name),
                problem,
                until=until,
            )
        )
        for name in problem.candidates
    }


def _lowest(
    losses: Mapping[str, float], registered: Mapping[str, str], problem: ForecastProblem
) -> str | None:
    """The registered candidate with the lowest loss that may serve (ties by name)."""
    open_to = [
        (loss, name)
        for name, loss in losses.items()
        if name in registered and name not in problem.compared_only
    ]
    return min(open_to)[1] if open_to else None


def _changes(holders: Sequence[str | None]) -> int:
    """How often one holder followed another one."""
    known = [holder for holder in holders if holder is not None]
    return sum(before != after for before, after in pairwise(known))
