"""One look: who holds the alias, what the evidence says, what happens to the alias.

Here: the act around the pure rules of `promotion.rollback`, which come first, and of
`promotion.decision`: counting looks, refusing to let the past move an alias, moving it, keeping the
record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl

from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.decision import decide
from mlops_assets.promotion.registry import HandMove, RegisteredVersion, Registry
from mlops_assets.promotion.rollback import (
    Answer,
    LiveRecord,
    answer_alarms,
    bar_sentence,
    barred_recipes,
    last_move,
    roll_back_verdict,
    standing_alarms,
)
from mlops_assets.promotion.verdict import Incumbent, Verdict

_YEAR: Final = timedelta(days=365)

HISTORY: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "as_of": pl.Datetime("us", "UTC"),
    "decision": pl.String,
    "candidate": pl.String,
    "version": pl.String,
    "run_id": pl.String,
    "data_version": pl.String,
    "previous": pl.String,
    "look": pl.Int64,
    "trigger": pl.String,
    "reasons": pl.List(pl.String),
    "verdict": pl.String,
}
"""The asset `champion`: one row per verdict, newest last; `verdict` is the whole record as JSON."""

_NO_RECORD: Final = LiveRecord()


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What one look is held on."""

    backtest: pl.DataFrame
    fits: pl.DataFrame
    problem: ForecastProblem
    registry: Registry
    holder: RegisteredVersion | None
    history: pl.DataFrame
    as_of: datetime

    @property
    def incumbent(self) -> Incumbent | None:
        """The recipe that holds the alias."""
        return self.holder.incumbent if self.holder else None


def hold_look(
    backtest: pl.DataFrame,
    fits: pl.DataFrame,
    problem: ForecastProblem,
    *,
    registry: Registry,
    history: pl.DataFrame,
    as_of: datetime,
    live: LiveRecord = _NO_RECORD,
    trigger: str = "",
) -> tuple[Verdict, pl.DataFrame]:
    """Decide, move the aliases, and add the verdict to the history.

    A champion against whom an alarm stands is rolled back without asking the gate; where nobody
    can take the alias back, and without an alarm, the gate decides.

    Args:
        backtest: rows of the evaluation span.
        fits: one row per final fit of this run (`training.final_fit.FinalFit`).
        problem: the rules of gate and control.
        registry: of this problem.
        history: earlier verdicts, schema `HISTORY`.
        as_of: the instant of the verdict.
        live: the control's alarms, and the live scores that explain them.
        trigger: what started the run.

    Returns:
        The verdict, and the history with it.
    """
    look = _Look(
        backtest=backtest,
        fits=fits,
        problem=problem,
        registry=registry,
        holder=registry.holder(),
        history=with_move_by_hand(as_history(history), registry.move_by_hand()),
        as_of=as_of,
    )
    if look.holder is not None and as_of < _since(look.holder, look.history):
        verdict, champion = _of_the_past(_ask_gate(look), look.holder, look.history), look.holder
    else:
        verdict, champion = _act(look, live)
    verdict = verdict.model_copy(update={"trigger": trigger})
    return verdict, append_verdict(look.history, verdict, champion)


def empty_history() -> pl.DataFrame:
    """No verdict yet."""
    return pl.DataFrame(schema=HISTORY)


def as_history(stored: pl.DataFrame) -> pl.DataFrame:
    """A stored history in the columns of `HISTORY`; text that an older one lacks is empty."""
    absent = [pl.lit("").alias(name) for name in HISTORY if name not in stored.columns]
    return stored.with_columns(absent).select(*HISTORY)


def newest_verdict(history: pl.DataFrame) -> dict[str, object]:
    """The newest verdict as JSON data, with the champion's `version`, `run_id`, `data_version`."""
    row = history.row(-1, named=True)
    champion = {name: row[name] for name in ("version", "run_id", "data_version")}
    return {**json.loads(row["verdict"]), **champion}


def count_looks(history: pl.DataFrame, as_of: datetime, *, evidence: str | None = None) -> int:
    """Looks with an incumbent in the year before `as_of`.

    A look that repeats the evidence of another one, or its instant, tests nothing new and counts
    once with it. A roll back asks no question of the gate and is no look.

    Args:
        history: earlier verdicts.
        as_of: the instant of the look that is to be numbered.
        evidence: what that look rests on (`evidence_of`); looks on the same are left out.
    """
    earlier = history.filter(
        pl.col("as_of") > as_of - _YEAR,
        pl.col("as_of") < as_of,
        pl.col("previous").is_not_null(),
        pl.col("decision").ne_missing("roll_back"),
    )
    looks = earlier.select("as_of", "verdict").iter_rows()
    kept = {evidence_of(json.loads(v)) if v else at.isoformat() for at, v in looks}
    return len(kept - {evidence})


def evidence_of(verdict: Mapping[str, Any]) -> str:
    """What a look rests on: the newest origin and every candidate's loss, as one text."""
    losses = verdict["mean_losses"]
    # Sums over threads differ in their last bits from run to run.
    rounded = sorted((name, f"{loss:.9g}") for name, loss in losses.items())
    return json.dumps([str(verdict["last_origin"]), rounded])


def with_move_by_hand(history: pl.DataFrame, move: HandMove | None) -> pl.DataFrame:
    """The history with the roll back that was made through the API, unless it holds it already.

    The API moves the alias and tags its version; what follows from a roll back, such as the time
    for which the other recipe is barred, follows from this table.

    Args:
        history: schema `HISTORY`.
        move: what the registry tells; None: nobody used the API.
    """
    newest = last_move(history)
    if move is None or newest is None or move.as_of <= newest:
        return history
    latest = json.loads(history.row(-1, named=True)["verdict"])
    verdict = roll_back_verdict(
        history,
        holder=Incumbent(candidate=latest["candidate"], recipe_id=latest["recipe_id"]),
        target=move.target,
        as_of=move.as_of,
        reasons=move.reasons[:-1],  # the last one is the outcome, which the verdict says itself
    )
    by_hand = verdict.model_copy(update={"trigger": "by hand"})
    return append_verdict(history, by_hand, move.target)


def append_verdict(
    history: pl.DataFrame, verdict: Verdict, champion: RegisteredVersion
) -> pl.DataFrame:
    """The history with one more verdict, after which `champion` holds the alias."""
    return pl.concat([as_history(history), _row(verdict, champion)])


def _act(look: _Look, live: LiveRecord) -> tuple[Verdict, RegisteredVersion]:
    """Roll back on an alarm, else do what the gate says; the verdict and who holds the alias."""
    notes: tuple[str, ...] = ()
    if look.incumbent is not None:
        answer = _answer_control(look, look.incumbent, live)
        if answer.verdict is not None and answer.target is not None:
            return answer.verdict, look.registry.roll_back(answer.verdict, answer.target)
        notes = answer.notes
    verdict = _noted(_ask_gate(look), notes)
    return verdict, look.registry.apply(verdict, dict(_versions(look.fits)))


def _answer_control(look: _Look, holder: Incumbent, live: LiveRecord) -> Answer:
    alarms = standing_alarms(live.control, look.history, holder, as_of=look.as_of)
    return answer_alarms(
        alarms,
        holder,
        look.history,
        look.registry.versions() if alarms else [],
        look.problem,
        scores=live.scores,
        servable=set(look.backtest["recipe_id"]),
        as_of=look.as_of,
    )


def _ask_gate(look: _Look) -> Verdict:
    first = _decide(look, number=1)
    evidence = evidence_of(first.model_dump(mode="json"))
    earlier = count_looks(look.history, look.as_of, evidence=evidence)
    return _decide(look, number=earlier + 1) if earlier else first


def _decide(look: _Look, *, number: int) -> Verdict:
    return decide(
        look.backtest,
        look.problem,
        incumbent=look.incumbent,
        as_of=look.as_of,
        look=number,
        faulty_fits=dict(_faults(look.fits)),
        barred=_barred(look),
    )


def _barred(look: _Look) -> dict[str, str]:
    """Candidates whose recipe was rolled back lately, each with the sentence that says so."""
    free_from = barred_recipes(look.history, look.problem, holder=look.incumbent, as_of=look.as_of)
    recipes = look.backtest.select("candidate", "recipe_id").unique().iter_rows(named=True)
    present = {Incumbent(**row) for row in recipes}
    return {
        recipe.candidate: bar_sentence(until)
        for recipe, until in free_from.items()
        if recipe in present
    }


def _noted(verdict: Verdict, notes: Sequence[str]) -> Verdict:
    """The verdict with what the control says, after its opening sentence."""
    opening, *others = verdict.reasons
    return verdict.model_copy(update={"reasons": (opening, *notes, *others)})


def _since(holder: RegisteredVersion, history: pl.DataFrame) -> datetime:
    """A run as of an earlier instant is of the past: the holder's fit was not known, or not back.

    After a roll back the fit that holds the alias is older than the move that gave it the alias.
    """
    back = last_move(history.filter(pl.col("decision") == "roll_back"))
    return holder.as_of if back is None else max(holder.as_of, back)


def _faults(fits: pl.DataFrame) -> Sequence[tuple[str, str]]:
    return fits.filter(pl.col("fault").is_not_null()).select("candidate", "fault").rows()


def _versions(fits: pl.DataFrame) -> Sequence[tuple[str, str]]:
    return fits.filter(pl.col("version").is_not_null()).select("candidate", "version").rows()


def _of_the_past(verdict: Verdict, holder: RegisteredVersion, history: pl.DataFrame) -> Verdict:
    """The verdict of a run as of the past: it is recorded, and nothing moves."""
    reason = (
        f"This run looks back to {verdict.as_of:%Y-%m-%d %H:%M} UTC; {holder.candidate} version "
        f"{holder.version} took the alias as of {_since(holder, history):%Y-%m-%d %H:%M} UTC. "
        "A run as of the past never moves an alias (it would have been: "
        f"{verdict.decision} {verdict.candidate})."
    )
    return verdict.model_copy(
        update={
            "decision": "keep",
            "candidate": holder.candidate,
            "recipe_id": holder.recipe_id,
            "reasons": (*verdict.reasons, reason),
        }
    )


def _row(verdict: Verdict, champion: RegisteredVersion) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "as_of": [verdict.as_of],
            "decision": [verdict.decision],
            "candidate": [verdict.candidate],
            "version": [champion.version],
            "run_id": [champion.run_id],
            "data_version": [champion.data_version],
            "previous": [verdict.previous],
            "look": [verdict.look],
            "trigger": [verdict.trigger],
            "reasons": [list(verdict.reasons)],
            "verdict": [json.dumps(verdict.model_dump(mode="json"))],
        },
        schema=HISTORY,
    )
