"""Live scores: what was said, beside what came true.

Here: joining forecasts with their values and the role of their version when they were made, and the
figures of that table. Not here: who held the alias (`promotion.holders`), whether the champion is
still sound (`monitoring.control`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import polars as pl

from mlops_assets.evaluation.metrics import row_loss
from mlops_assets.features.design import targets
from mlops_assets.forecasting.live import split_sound
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.holders import alias_moves, with_holders

_TIME: Final = pl.Datetime("us", "UTC")

LIVE_SCORES: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "version": pl.String,
    "candidate": pl.String,
    "recipe_id": pl.String,
    "baseline": pl.Boolean,
    "role": pl.String,
    "series": pl.String,
    "segment": pl.String,
    "origin": _TIME,
    "valid_time": _TIME,
    "step": pl.Int64,
    "target_known_at": _TIME,
    "last_value": pl.Float64,
    "point": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "nominal_coverage": pl.Float64,
    "actual": pl.Float64,
    "absolute_error": pl.Float64,
    "squared_error": pl.Float64,
    "covered": pl.Boolean,
}
"""Columns of the asset `live_scores`, grain (version, series, origin, step), target units.

`role`: `champion` where the version held the alias at the origin, else `challenger`.
`target_known_at`: when the value was first known. `covered`: the value lies in the band, ends
included.
"""


def score(
    forecasts: pl.DataFrame,
    observations: pl.DataFrame,
    verdicts: pl.DataFrame,
    problem: ForecastProblem,
    *,
    as_of: datetime,
) -> pl.DataFrame:
    """Forecasts that have come true, each against the first version of its value.

    Args:
        forecasts: of all versions, as `forecasting.live` gives them; what its check stops was
            never said and is left out.
        observations: versions of values; those known after `as_of` are not seen.
        verdicts: history of the champion (`promotion.champion.HISTORY`).
        problem: names series, segments and baselines.
        as_of: the present.

    Returns:
        `LIVE_SCORES`, sorted by valid time.
    """
    said, _ = split_sound(forecasts, frequency=problem.frequency)
    known = observations.filter(pl.col("known_at") <= as_of).join(
        said.select("valid_time").unique(), on="valid_time", how="semi"
    )
    if known.is_empty():
        return pl.DataFrame(schema=LIVE_SCORES)
    truth = targets(known, problem).select("series", "valid_time", "target_known_at", "actual")
    joined = said.join(
        truth.filter(pl.col("actual").is_not_null()),
        on=["series", "valid_time"],
        how="inner",
        validate="m:1",
    )
    scored = _with_roles(joined, alias_moves(verdicts, as_of=as_of)).with_columns(
        row_loss("absolute_error").alias("absolute_error"),
        row_loss("squared_error").alias("squared_error"),
        covered=pl.col("actual").is_between("lower", "upper"),
        baseline=pl.col("candidate").is_in(problem.baselines),
        segment=_segment(joined["series"], problem),
    )
    order = ["valid_time", "version", "series", "origin", "step"]
    return scored.select(pl.col(c).cast(t) for c, t in LIVE_SCORES.items()).sort(order)


def summary(scores: pl.DataFrame) -> pl.DataFrame:
    """Live figures by version, candidate, step and segment.

    Returns:
        Grain (version, step, segment): `version, candidate, recipe_id, role, step, segment, n,
        mae, rmse, coverage, mae_last_value`; errors in target units, coverage in [0, 1]. A version
        that held the alias for a part of its forecasts has a row for each role.
    """
    keys = ("version", "candidate", "recipe_id", "role", "step", "segment")
    return _figures(scores, keys).sort("step", "segment", "mae", "version", "role")


def by_candidate(scores: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """Live figures at the leads of the gate, grain (candidate, role), lowest error first.

    Columns and units as in `summary`.
    """
    return _figures(
        scores.filter(pl.col("step").is_in(problem.gate_leads)), ("candidate", "role")
    ).sort("mae", "candidate", "role")


def _figures(scores: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    return scores.group_by(keys).agg(
        n=pl.len(),
        mae=pl.col("absolute_error").mean(),
        rmse=pl.col("squared_error").mean().sqrt(),
        coverage=pl.col("covered").mean(),
        mae_last_value=(pl.col("last_value") - pl.col("actual")).abs().mean(),
    )


def _with_roles(rows: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    champion = pl.when("held").then(pl.lit("champion")).otherwise(pl.lit("challenger"))
    return with_holders(rows, moves, named="held").with_columns(role=champion)


def _segment(series: pl.Series, problem: ForecastProblem) -> pl.Expr:
    segments = {name: problem.segment_of(name) for name in series.unique()}
    return pl.col("series").replace_strict(segments, return_dtype=pl.String)
