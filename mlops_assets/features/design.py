"""Design rows: one row per (series, origin, step), with calendar features and, apart, targets.

`lay_rows` is what backtest, final fits, forecasts and publication all call, so that no path can
see other inputs than another. `add_targets` joins what came true and is called for training and
evaluation only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.features.bars import bars_on_grid
from mlops_assets.features.calendar import BUILDERS as CALENDAR_BUILDERS
from mlops_assets.features.calendar import event_hours
from mlops_assets.features.feature_set import INDEX
from mlops_assets.problem import ForecastProblem

KEYS: Final = ("series", "origin", "step")
ROW: Final = (*INDEX, "step", "valid_time")
"""Columns of a design row that are no features."""

TARGETS: Final = ("target_known_at", "actual", "log_return", "log_volatility")
"""Columns that `add_targets` joins."""


def lay_rows(
    features: pl.DataFrame, problem: ForecastProblem, *, steps: Sequence[int]
) -> pl.DataFrame:
    """Design rows of the given origins and steps.

    Returns:
        Grain (series, origin, step), sorted by origin: `ROW`, the observed features, and the
        calendar features of each valid time. Rows whose valid time is not after their origin are
        left out: that period has begun and ended, there is nothing to forecast.
    """
    laid = features.join(pl.DataFrame({"step": list(steps)}), how="cross").with_columns(
        valid_time=pl.col("last_observed") + pl.col("step") * problem.frequency
    )
    laid = laid.filter(pl.col("valid_time") > pl.col("origin"))
    calendar = calendar_features(laid["valid_time"].unique().sort(), problem)
    joined = laid.join(calendar, on="valid_time", how="left", validate="m:1")
    names = [c for c in joined.columns if c not in ROW]
    return joined.select(*ROW, *names).sort("origin", "series", "step")


def calendar_features(valid_times: pl.Series, problem: ForecastProblem) -> pl.DataFrame:
    """Features known in advance, grain (valid_time): functions of the period alone."""
    opens = (valid_times - problem.frequency).dt.replace_time_zone(None).to_numpy()
    columns: dict[str, np.ndarray] = {}
    for group in problem.features:
        if group.source == "calendar":
            columns |= CALENDAR_BUILDERS[group.kind](opens, problem.frequency)
        elif group.source == "events":
            columns |= event_hours(opens, problem.frequency, problem.events)
    return pl.DataFrame({"valid_time": valid_times, **columns})


def calendar_columns(problem: ForecastProblem) -> list[str]:
    """Names of the features known in advance."""
    probe = pl.Series([problem.evaluation.anchor]).dt.cast_time_unit("us")
    return calendar_features(probe.dt.convert_time_zone("UTC"), problem).columns[1:]


def feature_columns(rows: pl.DataFrame) -> list[str]:
    """Names of all feature columns of design rows, in their order."""
    return [c for c in rows.columns if c not in ROW and c not in TARGETS]


def targets(observations: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """What came true, grain (series, valid_time), from each value's first version.

    The first version is what a forecast is scored against when it comes true; `log_volatility`
    is the bar's own, the target of the volatility model.
    """
    first = observations.sort("known_at").unique(["series", "valid_time"], keep="first")
    parts = []
    for bars in bars_on_grid(first, frequency=problem.frequency, exogenous=()):
        times = pl.Series(bars.valid_time).dt.replace_time_zone("UTC")
        level = pl.Series(bars.log_volatility()).fill_nan(None)
        parts.append(
            pl.DataFrame({"valid_time": times, "log_volatility": level}).with_columns(
                series=pl.lit(bars.series)
            )
        )
    known = first.select(
        "series", "valid_time", target_known_at="known_at", actual=pl.col(problem.target.column)
    )
    return known.join(pl.concat(parts), on=["series", "valid_time"], how="left", validate="1:1")


def add_targets(
    rows: pl.DataFrame, observations: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """Design rows whose period has come true, with `TARGETS`; the others are left out.

    `log_return` is `log(actual / last_value)`.
    """
    joined = rows.join(
        targets(observations, problem), on=["series", "valid_time"], how="inner", validate="m:1"
    )
    return joined.with_columns(log_return=(pl.col("actual") / pl.col("last_value")).log()).sort(
        "origin", "series", "step"
    )
