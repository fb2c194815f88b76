"""The table of candidates, pooled and by fold, and the alarm for results too good to be true.

Here: scores side by side on the same rows, against the strongest baseline. Not here: formulas
(`evaluation.metrics`), tests (`evaluation.significance`), tables by lead and label in full
(`evaluation.breakdown`), who gets promoted (`promotion.decision`).

All scores are over the problem's leads (`evaluation.leads`), the rows that the gate judges.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.evaluation import metrics
from mlops_assets.evaluation.breakdown import by_lead
from mlops_assets.evaluation.rows import judged_rows
from mlops_assets.evaluation.significance import diebold_mariano, mean_differential
from mlops_assets.problem import ForecastProblem

LEAK_FLOOR: Final = 0.995
"""RMSE ratio to the last value below which an hourly price forecast is a leak until explained."""
_COLUMNS: Final = (
    "candidate",
    "baseline",
    "mae",
    "rmse",
    "mase",
    "mape_pct",
    "r2_return",
    "direction_pct",
    "coverage",
    "winkler",
    "winkler_unit",
    "n",
    "skill",
    "p_value",
    "worst_week_coverage",
    "mae_ratio",
    "rmse_ratio",
    "by_lead",
)
_POOLED: Final = ("p_value", "worst_week_coverage", "by_lead")
_LEAD_SCORES: Final = ("step", "mae", "rmse", "n", "coverage", "winkler")


class NoBaselineError(ValueError):
    """The backtest holds no baseline, so that nothing can be measured against one."""


def leaderboard(frame: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """One row a candidate, best first by the problem's loss (ties by name).

    Columns: `candidate, baseline, mae, rmse` (target units), `mase, mape_pct`, `r2_return` and
    `direction_pct` (null unless log returns are modelled), `coverage, winkler` (in
    `winkler_unit`: basis points of the last value for log returns, else target units), `n` (rows),
    `skill` and `p_value` against the strongest baseline by the problem's loss (one-sided
    Diebold-Mariano: is it better; 1 for that baseline), `worst_week_coverage`, `mae_ratio` and
    `rmse_ratio` to that baseline, `by_lead` (a list of structs `step, mae, rmse, n, coverage,
    winkler`, in the order of the leads).

    Raises:
        BacktestRowsError: the candidates do not have the same finite rows.
        NoBaselineError: no candidate is a baseline.
    """
    rows = judged_rows(frame, problem)
    strongest = strongest_baseline(rows, problem)
    table = _against(_scores(rows, problem, ["candidate"]), strongest, [])
    table = table.join(metrics.worst_week_coverage(rows), on="candidate", validate="1:1")
    p_values = pl.DataFrame(
        {
            "candidate": table["candidate"],
            "p_value": [_p_value(rows, problem, name, strongest) for name in table["candidate"]],
        }
    )
    table = table.join(p_values, on="candidate", validate="1:1")
    table = table.join(_lead_scores(rows, problem), on="candidate", validate="1:1")
    return table.sort("loss", "candidate").select(_COLUMNS)


def weekly(frame: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """The leaderboard's scores by candidate and fold (`refit_at`), in time order.

    Skill and ratios compare with the baseline that is strongest over the whole frame, in the same
    fold. There is no p-value: a fold is too short for a test.

    Raises:
        BacktestRowsError: the candidates do not have the same finite rows.
        NoBaselineError: no candidate is a baseline.
    """
    rows = judged_rows(frame, problem)
    scores = _scores(rows, problem, ["candidate", "refit_at"])
    table = _against(scores, strongest_baseline(rows, problem), ["refit_at"])
    columns = [c for c in _COLUMNS if c not in _POOLED]
    return table.select("refit_at", *columns).sort("refit_at", "candidate")


def mean_losses(rows: pl.DataFrame, problem: ForecastProblem) -> dict[str, float]:
    """Mean of the problem's loss by candidate, in its units, lowest first (ties by name)."""
    loss = metrics.row_loss(problem.evaluation.loss).mean().alias("loss")
    table = rows.group_by("candidate").agg(loss).sort("loss", "candidate")
    return dict(table.iter_rows())


def strongest_baseline(rows: pl.DataFrame, problem: ForecastProblem) -> str:
    """The baseline with the lowest mean loss on these rows (ties by name).

    Raises:
        NoBaselineError: no candidate is a baseline.
    """
    baselines = rows.filter("baseline")
    if baselines.is_empty():
        names = ", ".join(sorted(rows["candidate"].unique()))
        raise NoBaselineError(
            f"none of the candidates {names} is a baseline; skill is measured against one; "
            "backtest a candidate with `baseline: true`"
        )
    return next(iter(mean_losses(baselines, problem)))


def suspicious(leaderboard: pl.DataFrame, floor: float | None = LEAK_FLOOR) -> list[str]:
    """Candidates that beat `last_value` by more than is credible, which a leak would explain.

    Args:
        leaderboard: the table of `leaderboard`.
        floor: RMSE ratio to `last_value` below which a candidate is named; None disables the alarm.

    Returns:
        Names of such candidates (baselines never), best first; empty without a `last_value`.
    """
    last = leaderboard.filter(pl.col("baseline") & (pl.col("candidate") == "last_value"))
    if floor is None or last.is_empty():
        return []
    low = (pl.col("rmse") < floor * last["rmse"][0]) & ~pl.col("baseline")
    return leaderboard.filter(low)["candidate"].to_list()


def _scores(rows: pl.DataFrame, problem: ForecastProblem, by: list[str]) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.Float64)
    returns = problem.target.transform == "log_return"
    return rows.group_by(by).agg(
        pl.col("baseline").first(),
        metrics.row_loss(problem.evaluation.loss).mean().alias("loss"),
        metrics.mae().alias("mae"),
        metrics.rmse().alias("rmse"),
        metrics.mase().alias("mase"),
        metrics.mape_pct().alias("mape_pct"),
        (metrics.r2_of_return() if returns else nothing).alias("r2_return"),
        (metrics.direction_pct() if returns else nothing).alias("direction_pct"),
        metrics.coverage().alias("coverage"),
        metrics.band_score(problem).alias("winkler"),
        pl.lit(metrics.band_score_unit(problem)).alias("winkler_unit"),
        pl.len().alias("n"),
    )


def _lead_scores(rows: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    scores = by_lead(rows, problem).group_by("candidate", maintain_order=True)
    return scores.agg(pl.struct(_LEAD_SCORES).alias("by_lead"))


def _against(scores: pl.DataFrame, baseline: str, by: list[str]) -> pl.DataFrame:
    """Add skill and ratios to the baseline's scores, in each group of `by`."""
    reference = scores.filter(pl.col("candidate") == baseline).select(
        *by, pl.col("loss", "mae", "rmse").name.prefix("base_")
    )
    if by:
        joined = scores.join(reference, on=by, validate="m:1")
    else:
        joined = scores.join(reference, how="cross")
    ratios = [
        pl.when(pl.col(f"base_{c}") > 0).then(pl.col(c) / pl.col(f"base_{c}")).alias(f"{c}_ratio")
        for c in ("mae", "rmse")
    ]
    return joined.with_columns(
        metrics.skill(pl.col("loss"), pl.col("base_loss")).alias("skill"), *ratios
    )


def _p_value(rows: pl.DataFrame, problem: ForecastProblem, name: str, baseline: str) -> float:
    leads = problem.evaluation.leads
    differential = mean_differential(rows, name, baseline, problem.evaluation.loss, leads)
    return diebold_mariano(differential, max(leads)).p_value
