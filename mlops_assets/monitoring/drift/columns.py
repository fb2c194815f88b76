"""What is compared: chosen features, what came true, and what the champion said.

Here: one table of columns on scales that can keep still: changes and residuals, never the level of
a price. Not here: the stretches of time (`windows`).
"""

from __future__ import annotations

import fnmatch
from typing import Final

import polars as pl

from mlops_assets.features.feature_set import INDEX
from mlops_assets.features.stepwise import columns_by_design_name, step_column
from mlops_assets.problem import Drift, ForecastProblem, ProblemError

TARGET: Final = "target"
PREDICTION: Final = "prediction"

_PERCENT: Final = 100.0
_SERIES_ORIGIN: Final = ["series", "origin"]


def compared_columns(
    features: pl.DataFrame, said: pl.DataFrame, problem: ForecastProblem, drift: Drift
) -> pl.DataFrame:
    """The compared columns at each origin.

    Args:
        features: the feature table.
        said: the champion recipe's forecasts, `champion_forecasts`.
        problem: names the target's scale.
        drift: names the features.

    Returns:
        Grain (series, origin), sorted by origin: the features by their names in design rows (at
        step 1 where they depend on it), `target` (`realised_change`) and `prediction` (the point
        one step ahead, as a change from the last value or, of shares, from the usual share).

    Raises:
        ProblemError: a pattern of `drift.features` matches no feature.
    """
    names = _feature_columns(features, problem, drift)
    chosen = features.select(
        *_SERIES_ORIGIN, *(pl.col(column).alias(name) for name, column in names.items())
    )
    return (
        chosen.join(
            realised_change(features, problem), on=_SERIES_ORIGIN, how="left", validate="1:1"
        )
        .join(
            predicted_change(said, features, problem),
            on=_SERIES_ORIGIN,
            how="left",
            validate="1:1",
        )
        .sort("origin", "series")
    )


def realised_change(features: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """What the target did until each origin, grain (series, origin): `target`.

    A log return over one period in percent, a difference over one period in the target's unit, or
    of shares the difference over one season in percentage points.
    """
    periods = problem.evaluation.season if problem.target.transform == "share" else 1
    now = features.select(*_SERIES_ORIGIN, "last_observed", "last_value")
    # An origin with corrected history may repeat the newest period: its first origin counts.
    then = now.sort("origin").unique(["series", "last_observed"], keep="first")
    earlier = then.select(
        "series", pl.col("last_observed") + periods * problem.frequency, before="last_value"
    )
    on = ["series", "last_observed"]
    both = then.join(earlier, on=on, how="inner", validate="1:1")
    change = _change("last_value", "before", problem).alias(TARGET)
    return both.select(*_SERIES_ORIGIN, change).sort("origin", "series")


def champion_forecasts(
    backtest: pl.DataFrame, forecasts: pl.DataFrame, recipe_id: str
) -> pl.DataFrame:
    """What a recipe said one step ahead, in backtest and live; live counts where both spoke.

    Returns:
        Grain (series, origin): `last_value` and `point` in target units.
    """
    columns = [*_SERIES_ORIGIN, "last_value", "point"]
    mine = (pl.col("recipe_id") == recipe_id) & (pl.col("step") == 1)
    live = forecasts.filter(mine).sort(pl.col("version").cast(pl.Int64, strict=False))
    said = pl.concat([backtest.filter(mine).select(columns), live.select(columns)])
    return said.unique(_SERIES_ORIGIN, keep="last", maintain_order=True)


def predicted_change(
    said: pl.DataFrame, features: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """The champion's point as a change, grain (series, origin): `prediction`.

    From the last value; of shares from the usual share (`band.level_feature`).
    """
    if problem.target.transform != "share":
        return said.select(
            *_SERIES_ORIGIN, _change("point", "last_value", problem).alias(PREDICTION)
        )
    usual = features.select(
        *_SERIES_ORIGIN, usual=_step_one(features, problem.band.level_feature or "last_value")
    )
    both = said.join(usual, on=_SERIES_ORIGIN, how="inner", validate="1:1")
    return both.select(*_SERIES_ORIGIN, _change("point", "usual", problem).alias(PREDICTION))


def names_of(compared: pl.DataFrame) -> list[str]:
    """Names of the compared columns, in their order."""
    return [column for column in compared.columns if column not in _SERIES_ORIGIN]


def _change(to: str, since: str, problem: ForecastProblem) -> pl.Expr:
    if problem.target.transform == "log_return":
        return (pl.col(to) / pl.col(since)).log() * _PERCENT
    return pl.col(to) - pl.col(since)


def _step_one(features: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name if name in features.columns else step_column(name, 1))


def _feature_columns(
    features: pl.DataFrame, problem: ForecastProblem, drift: Drift
) -> dict[str, str]:
    """Name in design rows -> column of the feature table at step 1."""
    stored = columns_by_design_name(c for c in features.columns if c not in INDEX)
    for pattern in drift.features:
        if not fnmatch.filter(stored, pattern):
            raise ProblemError(
                f"{problem.name}: drift.features names {pattern!r}, which matches no observed "
                f"feature; have {', '.join(list(stored)[:8])} ...; correct the pattern"
            )
    return {
        name: columns[0]
        for name, columns in stored.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in drift.features)
    }
