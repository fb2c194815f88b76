"""Design rows: one row per (series, origin, step), with calendar features and, apart, targets.

`lay_rows` is what backtest, final fits, forecasts and publication all call, so that no path can
see other inputs than another. `add_targets` joins what came true and is called for training and
evaluation only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from mlops_assets.features.bars import bars_on_grid
from mlops_assets.features.calendar import LEAD, LEAD_COLUMN, clock_columns
from mlops_assets.features.feature_set import INDEX
from mlops_assets.features.stepwise import columns_by_design_name, step_column
from mlops_assets.problem import ForecastProblem

KEYS: Final = ("series", "origin", "step")
ROW: Final = (*INDEX, "step", "valid_time", "segment")
"""Columns of a design row that are no features."""

TARGETS: Final = ("target_known_at", "actual", "realised", "season_change", "log_volatility")
"""Columns that `add_targets` joins."""


def lay_rows(
    features: pl.DataFrame, problem: ForecastProblem, *, steps: Sequence[int]
) -> pl.DataFrame:
    """Design rows of the given origins and steps.

    Returns:
        Grain (series, origin, step), sorted by origin: `ROW`, the observed features, each at the
        row's own step where it depends on it, and the calendar features of each valid time. Rows
        whose valid time is not after their origin are left out: that period has begun and ended,
        there is nothing to forecast.

    Raises:
        ValueError: a feature that depends on the step is not there for one of the steps.
    """
    laid = pl.concat([_at_step(features, problem, step=step) for step in steps])
    laid = laid.filter(pl.col("valid_time") > pl.col("origin"))
    calendar = calendar_features(laid["valid_time"].unique().sort(), problem)
    joined = laid.join(calendar, on="valid_time", how="left", validate="m:1")
    if _has_lead(problem):
        joined = joined.with_columns(pl.col("step").cast(pl.Float64).alias(LEAD_COLUMN))
    names = [c for c in joined.columns if c not in ROW]
    return joined.select(*ROW, *names).sort("origin", "series", "step")


def calendar_features(valid_times: pl.Series, problem: ForecastProblem) -> pl.DataFrame:
    """Features known in advance, grain (valid_time): functions of the period alone."""
    opens = (valid_times - problem.frequency).dt.replace_time_zone(None).to_numpy()
    return pl.DataFrame({"valid_time": valid_times, **clock_columns(opens, problem)})


def calendar_columns(problem: ForecastProblem) -> list[str]:
    """Names of the features known in advance, in the order of design rows."""
    probe = pl.Series([problem.evaluation.anchor]).dt.cast_time_unit("us")
    names = calendar_features(probe.dt.convert_time_zone("UTC"), problem).columns[1:]
    return [*names, LEAD_COLUMN] if _has_lead(problem) else names


def feature_columns(rows: pl.DataFrame) -> list[str]:
    """Names of all feature columns of design rows, in their order."""
    return [c for c in rows.columns if c not in ROW and c not in TARGETS]


def targets(observations: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """What came true, grain (series, valid_time), from each value's first version.

    The first version is what a forecast is scored against when it comes true. `season_change` is
    its absolute difference, in the target's unit, to the first version one season earlier, null
    where that is unknown; `log_volatility` is the bar's own, the target of the volatility model,
    null where the target has no bars.
    """
    first = observations.sort("known_at").unique(["series", "valid_time"], keep="first")
    known = first.select(
        "series", "valid_time", target_known_at="known_at", actual=pl.col(problem.target.column)
    )
    season = problem.evaluation.season * problem.frequency
    earlier = known.select("series", pl.col("valid_time") + season, season_change=pl.col("actual"))
    on = ["series", "valid_time"]
    compared = known.join(earlier, on=on, how="left", validate="1:1").with_columns(
        (pl.col("actual") - pl.col("season_change")).abs().alias("season_change")
    )
    if problem.target_source.kind != "candles":
        return compared.with_columns(log_volatility=pl.lit(None, dtype=pl.Float64))
    return compared.join(_log_volatility(first, problem), on=on, how="left", validate="1:1")


def training_rows(
    features: pl.DataFrame, observations: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """Design rows of all origins at the evaluated leads, with `TARGETS`, where they came true."""
    laid = lay_rows(features, problem, steps=problem.evaluation.leads)
    return add_targets(laid, observations, problem)


def add_targets(
    rows: pl.DataFrame, observations: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """Design rows whose period has come true, with `TARGETS`; the others are left out.

    `realised` is the target on the scale that models fit: `log(actual / last_value)` for log
    returns, `actual - last_value` for differences, `actual` for shares.
    """
    joined = rows.join(
        targets(observations, problem), on=["series", "valid_time"], how="inner", validate="m:1"
    )
    actual, last = pl.col("actual"), pl.col("last_value")
    realised = {
        "log_return": (actual / last).log(),
        "difference": actual - last,
        "share": actual,
    }[problem.target.transform]
    return joined.with_columns(realised=realised).sort("origin", "series", "step")


def _at_step(features: pl.DataFrame, problem: ForecastProblem, *, step: int) -> pl.DataFrame:
    """One row for each origin: the keys of this step, and the features as they are for it."""
    names = columns_by_design_name(c for c in features.columns if c not in INDEX)
    chosen = []
    for name, columns in names.items():
        column = name if columns == [name] else step_column(name, step)
        if column not in columns:
            raise ValueError(
                f"step {step} has no column {column} in the features of {problem.name}, which "
                f"have {columns[0]} to {columns[-1]}; ask for steps within the horizon "
                f"{problem.horizon}, or materialise features again"
            )
        chosen.append(pl.col(column).alias(name))
    segments = {name: problem.segment_of(name) for name in features["series"].unique()}
    return features.select(
        *INDEX,
        pl.lit(step, dtype=pl.Int64).alias("step"),
        (pl.col("last_observed") + step * problem.frequency).alias("valid_time"),
        pl.col("series").replace_strict(segments, return_dtype=pl.String).alias("segment"),
        *chosen,
    )


def _has_lead(problem: ForecastProblem) -> bool:
    return any(group.source == "calendar" and group.kind == LEAD for group in problem.features)


def _log_volatility(first: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """The volatility of each bar, grain (series, valid_time)."""
    parts = []
    for bars in bars_on_grid(first, frequency=problem.frequency, exogenous=()):
        times = pl.Series(bars.valid_time).dt.replace_time_zone("UTC")
        level = pl.Series(bars.log_volatility()).fill_nan(None)
        parts.append(
            pl.DataFrame({"valid_time": times, "log_volatility": level}).with_columns(
                series=pl.lit(bars.series)
            )
        )
    return pl.concat(parts)
