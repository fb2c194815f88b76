"""Scores of forecasts as polars expressions over the backtest frame (see `evaluation.rows`).

Here: one function a score, each an aggregation that works in `select` (pooled) and `group_by`
(by candidate, fold, series or lead). Not here: comparing candidates (`evaluation.leaderboard`,
`evaluation.significance`).

Notation: y `actual`, f `point`, l `lower`, u `upper`, y0 `last_value`, all in target units; an
error is f - y; the mean runs over rows. A score that is not defined on some rows is null.
`mase_scale` is how much a value of the series usually changes over a season, in target units.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from mlops_assets.problem import ForecastProblem

Loss = Literal["absolute_error", "squared_error"]
"""Losses a problem may name; each is per row, lower is better."""

_Y, _F, _Y0 = pl.col("actual"), pl.col("point"), pl.col("last_value")
_LOWER, _UPPER = pl.col("lower"), pl.col("upper")
_SCALE = pl.col("mase_scale")


def row_loss(loss: Loss) -> pl.Expr:
    """Loss of each row: |f - y| in target units, or (f - y)^2 in target units squared."""
    error = _F - _Y
    return error.abs() if loss == "absolute_error" else error**2


def loss_unit(loss: Loss, unit: str) -> str:
    """Unit of a loss, given that of the target."""
    return unit if loss == "absolute_error" else f"{unit}²"


def mae() -> pl.Expr:
    """Mean absolute error, mean(|f - y|). Range [0, inf), target units.

    The median of the predictive distribution minimises it (Gneiting 2011, JASA 106:746-762).
    """
    return row_loss("absolute_error").mean()


def rmse() -> pl.Expr:
    """Root mean squared error, sqrt(mean((f - y)^2)). Range [0, inf), target units.

    The mean of the predictive distribution minimises it (Gneiting 2011, JASA 106:746-762).
    """
    return row_loss("squared_error").mean().sqrt()


def mase() -> pl.Expr:
    """Mean absolute scaled error, mean(|f - y| / s). Range [0, inf), no unit.

    s is `mase_scale`: the mean absolute change over one season of the values of the same series
    that were known at the refit, which is the in-sample error of the seasonal naive forecast. Below
    1 is better than that. Null when a scale is unknown or zero. Hyndman & Koehler 2006, Int. J.
    Forecasting 22:679-688, section 3 for a season of one period; for others the seasonal naive
    forecast takes the naive one's place.
    """
    scaled = row_loss("absolute_error") / _SCALE
    return pl.when((_SCALE > 0).fill_null(value=False).all()).then(scaled.mean())


def mape_pct() -> pl.Expr:
    """Mean absolute percentage error, 100 mean(|f - y| / |y|). Range [0, inf), percent.

    Null when an actual value is zero (Hyndman & Koehler 2006, Int. J. Forecasting 22:679-688).
    """
    return pl.when((_Y != 0).all()).then(100 * ((_F - _Y) / _Y).abs().mean())


def r2_of_return() -> pl.Expr:
    """R2 of the log return against a zero return, 1 - sum((a - p)^2) / sum(a^2).

    a = log(y / y0), p = log(f / y0). Range (-inf, 1]; 0 is the last value's score. Null when a
    value is not positive or nothing moved. Campbell & Thompson 2008, Rev. Financ. Stud.
    21:1509-1531, with zero in place of the historical mean.
    """
    actual, forecast = (_Y / _Y0).log(), (_F / _Y0).log()
    moved = (actual**2).sum()
    defined = pl.all_horizontal((c > 0).all() for c in (_Y, _F, _Y0)) & (moved > 0)
    return pl.when(defined).then(1 - ((actual - forecast) ** 2).sum() / moved)


def direction_pct() -> pl.Expr:
    """Share of rows with sign(f - y0) = sign(y - y0). Range [0, 100], percent.

    Rows where the forecast or the actual value equals the last value have no direction and are
    left out; null when none is left. Pesaran & Timmermann 1992, J. Bus. Econ. Stat. 10:461-465.
    """
    forecast, actual = (_F - _Y0).sign(), (_Y - _Y0).sign()
    return 100 * (forecast == actual).filter((forecast != 0) & (actual != 0)).mean()


def coverage() -> pl.Expr:
    """Share of actual values inside the band, mean(l <= y <= u). Range [0, 1].

    Christoffersen 1998, Int. Econ. Rev. 39:841-862.
    """
    return ((_LOWER <= _Y) & (_Y <= _UPPER)).mean()


def interval_score(nominal_coverage: float) -> pl.Expr:
    """Interval score of each row, (u - l) + 2/a (l - y) [y < l] + 2/a (y - u) [y > u].

    a = 1 - nominal coverage. Range [0, inf), target units; lower is better. Proper for the central
    band (Gneiting & Raftery 2007, JASA 102:359-378, eq. 43; Winkler 1972, JASA 67:187-191).
    """
    penalty = 2 / (1 - nominal_coverage)
    below, above = (_LOWER - _Y).clip(lower_bound=0), (_Y - _UPPER).clip(lower_bound=0)
    return ((_UPPER - _LOWER) + penalty * (below + above)).alias("interval_score")


def winkler(nominal_coverage: float) -> pl.Expr:
    """Mean interval score in target units; see `interval_score`. Range [0, inf)."""
    return interval_score(nominal_coverage).mean()


def winkler_bp(nominal_coverage: float) -> pl.Expr:
    """Mean interval score in basis points of the last value, 10^4 mean(score / y0). Range [0, inf).

    Comparable across price levels, hence the one for targets that are modelled as log returns.
    """
    return (1e4 * interval_score(nominal_coverage) / _Y0).mean()


def band_score(problem: ForecastProblem) -> pl.Expr:
    """Mean interval score of a problem's bands, in `band_score_unit`. Range [0, inf)."""
    score = winkler_bp if problem.target.transform == "log_return" else winkler
    return score(problem.band.coverage)


def band_score_unit(problem: ForecastProblem) -> str:
    """Unit of `band_score`: `bp` of the last value for log returns, else that of the target."""
    return "bp" if problem.target.transform == "log_return" else problem.target_source.unit


def skill(loss: pl.Expr, baseline_loss: pl.Expr) -> pl.Expr:
    """Share of the baseline's loss that a forecast saves, 1 - loss / baseline loss.

    Range (-inf, 1]; 0 is the baseline itself; null when the baseline has no loss. Murphy 1988,
    Mon. Weather Rev. 116:2417-2424.
    """
    return pl.when(baseline_loss > 0).then(1 - loss / baseline_loss)


def worst_week_coverage(frame: pl.DataFrame) -> pl.DataFrame:
    """Lowest coverage of any fold (rows of one `refit_at`; a week for weekly refits), range [0, 1].

    Returns:
        One row a candidate: `candidate, worst_week_coverage`.
    """
    folds = frame.group_by("candidate", "refit_at").agg(coverage().alias("worst_week_coverage"))
    return folds.group_by("candidate").agg(pl.min("worst_week_coverage"))
