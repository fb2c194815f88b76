"""Folds of a rolling-origin backtest: when is refitted, which origins each refit forecasts.

Intervals are half-open. The refit grid is fixed by the problem's anchor, whatever the span asked
for, so that a fold computed once serves every later run.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from mlops_assets.problem import Evaluation, ForecastProblem, floor_to_grid
from mlops_assets.training.fit import matrix


class SpanError(ValueError):
    """The evaluation span asked for holds no fold."""


@dataclass(frozen=True)
class Fold:
    """One refit and the origins [refit_at, end) it forecasts.

    Attributes:
        refit_at: training cutoff and first origin.
        end: end of its origins.
        complete: whether every origin of it has come.
        evaluated: False for the folds before the span, which only start the band's quantile.
    """

    refit_at: datetime
    end: datetime
    complete: bool
    evaluated: bool = True


def evaluation_start(spec: Evaluation, as_of: datetime) -> datetime:
    """Start of the default span: `folds` whole folds before the newest refit of the grid."""
    return floor_to_grid(as_of, anchor=spec.anchor, every=spec.refit_every) - (
        spec.folds * spec.refit_every
    )


def plan_folds(
    problem: ForecastProblem, *, as_of: datetime, evaluate_from: datetime | None = None
) -> list[Fold]:
    """The folds that start the band's quantile, then those that forecast [evaluate_from, as_of).

    The first evaluated period is forecast at the largest lead from an origin `max(leads) - 1`
    periods before it, where the evaluated folds begin. Those for the quantile go back by the
    calibration stretch and by as much again, since errors at the largest lead come true that much
    later than at lead 1. All lie on one grid, so a span that moves on finds all but its newest
    fold computed.

    Args:
        problem: refit rhythm, anchor, number of folds, leads, calibration stretch.
        as_of: the instant up to which history is known.
        evaluate_from: start of the evaluation; default `evaluation_start`.

    Raises:
        SpanError: the span is empty.
    """
    spec = problem.evaluation
    start = evaluate_from or evaluation_start(spec, as_of)
    if start >= as_of:
        raise SpanError(
            f"evaluation starts at {start:%Y-%m-%dT%H:%M}Z, as-of is {as_of:%Y-%m-%dT%H:%M}Z; "
            "the start must be earlier; move --evaluate-from back or --as-of forward"
        )
    reach = (max(spec.leads) - 1) * problem.frequency
    first = floor_to_grid(start - reach, anchor=spec.anchor, every=spec.refit_every)
    lead_in = math.ceil((problem.band.calibration + reach) / spec.refit_every)
    folds, refit_at = [], first - lead_in * spec.refit_every
    while refit_at < as_of:
        end = refit_at + spec.refit_every
        evaluated = refit_at >= first
        folds.append(Fold(refit_at, min(end, as_of), complete=end <= as_of, evaluated=evaluated))
        refit_at = end
    return folds


def fold_digests(
    rows: pl.DataFrame, columns: Sequence[str], folds: Sequence[Fold]
) -> dict[datetime, str]:
    """Fingerprint of all data that a fold's fit and forecasts can depend on, by refit.

    It covers index, features and targets of every origin before the fold's end, so a corrected
    value anywhere before that changes it and a later value does not.

    Args:
        rows: design rows with targets, sorted by origin.
        columns: feature columns that the recipe uses.
        folds: sorted by end.
    """
    index = rows.select("origin", "step", "valid_time", "target_known_at").cast(pl.Int64).to_numpy()
    names = rows["series"].hash(seed=0).to_numpy()
    values = matrix(rows, (*columns, "last_value", "actual", "log_volatility"))
    wanted = pl.Series([fold.end for fold in folds], dtype=rows["origin"].dtype)
    ends = rows["origin"].search_sorted(wanted, side="left")
    # One hash a column group: its bytes are then those of the rows before the end, one after the
    # other, however the folds cut them, and a fold is found again by a run with another first fold.
    parts = [(hashlib.blake2b(digest_size=8), part) for part in (index, names, values)]
    done, out = 0, {}
    for fold, end in zip(folds, ends.to_list(), strict=True):
        for digest, part in parts:
            digest.update(np.ascontiguousarray(part[done:end]).tobytes())
        done = end
        together = b"".join(digest.digest() for digest, _ in parts)
        out[fold.refit_at] = hashlib.blake2b(together, digest_size=8).hexdigest()
    return out
