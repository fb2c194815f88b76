"""The backtest frame and the rule that makes a comparison fair: the same rows for every candidate.

Here: the columns that every score reads, and the refusal of frames that would compare unlike with
like. Not here: how the rows are made (`evaluation.backtest`) or scored (`evaluation.metrics`).

Grain (candidate, series, origin, step). Columns: `candidate, recipe_id` text, `baseline` flag,
`refit_at, origin, last_observed, valid_time` UTC instants, `series, segment` text, `step` (1 = next
period), `last_value, actual, point, lower, upper` and `mase_scale` (null when unknown) in target
units.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.problem import ForecastProblem

ROW: Final = ("series", "origin", "step")
"""What a candidate forecasts once and every candidate forecasts."""
VALUES: Final = ("last_value", "actual", "point", "lower", "upper")
"""The measured columns, in target units."""
COLUMNS: Final = (
    "candidate",
    "recipe_id",
    "baseline",
    "refit_at",
    "series",
    "segment",
    "origin",
    "last_observed",
    "valid_time",
    "step",
    *VALUES,
    "mase_scale",
)


class BacktestRowsError(ValueError):
    """The backtest frame allows no fair comparison; the message names candidate and row."""


def require_same_rows(backtest: pl.DataFrame) -> None:
    """Refuse a frame whose candidates cannot be compared row by row.

    Raises:
        BacktestRowsError: a column is missing, there is no row, a value is not finite, a row occurs
            twice, a candidate lacks a row that another has, or candidates disagree on the truth.
    """
    missing = [c for c in COLUMNS if c not in backtest.columns]
    if missing:
        raise BacktestRowsError(
            f"the backtest lacks the columns {', '.join(missing)}; every score needs them all; "
            "write them in the backtest"
        )
    if backtest.is_empty():
        raise BacktestRowsError(
            "the backtest has no row; a comparison needs at least one; run the backtest, or ask "
            "for a span and leads that it covers"
        )
    _require_finite(backtest)
    _require_unique(backtest)
    _require_complete(backtest)
    _require_one_truth(backtest)


def judged_rows(backtest: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """The rows at the problem's leads, checked: the only ones that scores and gate look at.

    Raises:
        BacktestRowsError: see `require_same_rows`.
    """
    rows = backtest
    if "step" in backtest.columns:
        rows = backtest.filter(pl.col("step").is_in(problem.evaluation.leads))
    require_same_rows(rows)
    return rows


def _name(row: dict[str, object]) -> str:
    return f"series {row['series']!r}, origin {row['origin']}, step {row['step']}"


def _require_finite(backtest: pl.DataFrame) -> None:
    finite = pl.all_horizontal(pl.col(c).is_finite().fill_null(value=False) for c in VALUES)
    bad = backtest.filter(~finite)
    if not bad.is_empty():
        row = bad.row(0, named=True)
        values = ", ".join(f"{c} {row[c]}" for c in VALUES)
        raise BacktestRowsError(
            f"candidate {row['candidate']!r} has {values} at {_name(row)} ({bad.height} such rows)"
            "; every value must be a finite number; drop the row for all candidates or repair it"
        )


def _require_unique(backtest: pl.DataFrame) -> None:
    keys = ["candidate", *ROW]
    twice = backtest.filter(pl.struct(keys).is_duplicated())
    if not twice.is_empty():
        row = twice.sort(keys).row(0, named=True)
        raise BacktestRowsError(
            f"candidate {row['candidate']!r} has more than one forecast at {_name(row)}; a row is "
            "forecast once; keep the latest refit's forecast of one recipe"
        )


def _require_complete(backtest: pl.DataFrame) -> None:
    keys = backtest.select(ROW).unique()
    counts = backtest.group_by("candidate").len().sort("candidate")
    short = counts.filter(pl.col("len") < keys.height)
    if not short.is_empty():
        name = short["candidate"][0]
        own = backtest.filter(pl.col("candidate") == name).select(ROW)
        gaps = keys.join(own, on=ROW, how="anti").sort("origin", "series", "step")
        raise BacktestRowsError(
            f"candidate {name!r} lacks the row {_name(gaps.row(0, named=True))} and "
            f"{gaps.height - 1} others; every candidate is judged on the same rows; backtest "
            f"{name!r} there, or drop the rows for all candidates"
        )


def _require_one_truth(backtest: pl.DataFrame) -> None:
    truth = ("actual", "last_value")
    spread = backtest.group_by(ROW).agg(pl.max(c) - pl.min(c) for c in truth)
    torn = spread.filter(pl.any_horizontal(pl.col(c) > 0 for c in truth))
    if not torn.is_empty():
        key = torn.sort(ROW).row(0, named=True)
        raise BacktestRowsError(
            f"candidates disagree on `actual` or `last_value` at {_name(key)}; there is one truth; "
            "backtest all recipes again on the same observations"
        )
