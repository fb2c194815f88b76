"""One look of the gate: who holds the alias, what the evidence says, what happens to the alias.

Here: the act around the pure rules of `promotion.decision`: counting looks, refusing to let the
past move an alias, moving it, keeping the record.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.decision import decide
from mlops_assets.promotion.registry import RegisteredVersion, Registry
from mlops_assets.promotion.verdict import Verdict

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
    "reasons": pl.List(pl.String),
    "verdict": pl.String,
}
"""The asset `champion`: one row per verdict, newest last; `verdict` is the whole record as JSON."""


def hold_look(
    backtest: pl.DataFrame,
    fits: pl.DataFrame,
    problem: ForecastProblem,
    *,
    registry: Registry,
    history: pl.DataFrame,
    as_of: datetime,
) -> tuple[Verdict, pl.DataFrame]:
    """Decide, move the aliases, and add the verdict to the history.

    Args:
        backtest: rows of the evaluation span.
        fits: one row per final fit of this run (`training.final_fit.FinalFit`).
        problem: the gate's rules.
        registry: of this problem.
        history: earlier verdicts, schema `HISTORY`.
        as_of: the instant of the verdict.

    Returns:
        The verdict, and the history with it.
    """
    holder = registry.holder()
    verdict = decide(
        backtest,
        problem,
        incumbent=holder.incumbent if holder else None,
        as_of=as_of,
        look=count_looks(history, as_of) + 1,
        faulty_fits=dict(_faults(fits)),
    )
    if holder and as_of < holder.as_of:
        verdict = _of_the_past(verdict, holder)
        champion = holder
    else:
        champion = registry.apply(verdict, dict(_versions(fits)))
    return verdict, pl.concat([history, _row(verdict, champion)])


def empty_history() -> pl.DataFrame:
    """No verdict yet."""
    return pl.DataFrame(schema=HISTORY)


def newest_verdict(history: pl.DataFrame) -> dict[str, object]:
    """The newest verdict as JSON data, with the champion's `version`, `run_id`, `data_version`."""
    row = history.row(-1, named=True)
    champion = {name: row[name] for name in ("version", "run_id", "data_version")}
    return {**json.loads(row["verdict"]), **champion}


def count_looks(history: pl.DataFrame, as_of: datetime) -> int:
    """Looks with an incumbent in the year before `as_of`; a repeat at one instant counts once."""
    earlier = history.filter(
        pl.col("as_of") > as_of - _YEAR, pl.col("as_of") < as_of, pl.col("previous").is_not_null()
    )
    return earlier["as_of"].n_unique()


def _faults(fits: pl.DataFrame) -> Sequence[tuple[str, str]]:
    return fits.filter(pl.col("fault").is_not_null()).select("candidate", "fault").rows()


def _versions(fits: pl.DataFrame) -> Sequence[tuple[str, str]]:
    return fits.filter(pl.col("version").is_not_null()).select("candidate", "version").rows()


def _of_the_past(verdict: Verdict, holder: RegisteredVersion) -> Verdict:
    """The verdict of a run as of the past: it is recorded, and nothing moves."""
    reason = (
        f"This run looks back to {verdict.as_of:%Y-%m-%d %H:%M} UTC; {holder.candidate} version "
        f"{holder.version} was promoted as of {holder.as_of:%Y-%m-%d %H:%M} UTC. A run as of the "
        f"past never moves an alias (it would have been: {verdict.decision} {verdict.candidate})."
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
            "reasons": [list(verdict.reasons)],
            "verdict": [json.dumps(verdict.model_dump(mode="json"))],
        },
        schema=HISTORY,
    )
