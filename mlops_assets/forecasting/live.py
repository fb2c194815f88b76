"""Live forecasts: registered versions run on the newest design rows.

The model files themselves are run (ONNX), as in serving, so a batch forecast and an answer of the
API are the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.evaluation.alignment import honest_stamps
from mlops_assets.problem import ForecastProblem
from mlops_assets.training.bands import calibrated, with_spread
from mlops_assets.training.fit import matrix
from mlops_assets.training.onnx_export import run
from mlops_assets.training.target_units import segment_codes
from serving.contract.model_card import ModelCard
from serving.contract.steps import to_target_units

KEY: Final = ("version", "series", "origin", "step")


SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "problem": pl.String,
    "version": pl.String,
    "candidate": pl.String,
    "recipe_id": pl.String,
    "series": pl.String,
    "origin": pl.Datetime("us", "UTC"),
    "last_observed": pl.Datetime("us", "UTC"),
    "valid_time": pl.Datetime("us", "UTC"),
    "step": pl.Int64,
    "max_known_at": pl.Datetime("us", "UTC"),
    "last_value": pl.Float64,
    "point": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "nominal_coverage": pl.Float64,
    "data_version": pl.String,
    "run_id": pl.String,
    "synthetic": pl.Boolean,
}
"""Columns of the asset `forecasts`; values in target units."""


@dataclass(frozen=True)
class LoadedVersion:
    """A registered version, ready to run."""

    version: str
    run_id: str
    model: bytes
    card: ModelCard


def calibrate(
    rows: pl.DataFrame, backtest: pl.DataFrame, recipe_id: str, problem: ForecastProblem
) -> pl.DataFrame:
    """Design rows with the calibration of a recipe's band at their origins.

    Args:
        rows: design rows (series, origin, step) with their features.
        backtest: its rows of this recipe carry the scores that had come true.
        recipe_id: whose scores.
        problem: names the band.

    Raises:
        TooFewScoresError: the backtest holds too few rows of the recipe before an origin.
    """
    own = backtest.filter(pl.col("recipe_id") == recipe_id)
    return calibrated(own, with_spread(rows, problem), problem)


def forecast(
    loaded: LoadedVersion, rows: pl.DataFrame, backtest: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """Forecasts of one version for the origins that it may speak about.

    Args:
        loaded: the version.
        rows: design rows; origins before the version's refit are left out, since its fit has seen
            what came after them.
        backtest: for the band quantile.
        problem: names units.

    Returns:
        Grain (version, series, origin, step), the columns of the contract's `forecasts.parquet`.
    """
    card = loaded.card
    ahead = rows.filter(pl.col("origin") >= card.refit_at)
    if ahead.is_empty():
        return empty()
    laid = calibrate(ahead, backtest, card.recipe_id, problem)
    inputs = matrix(laid, tuple(feature.name for feature in card.features))
    last = laid["last_value"].to_numpy()
    given = to_target_units(card.steps, run(loaded.model, inputs), last, segment_codes(laid))
    table = laid.select(
        "series", "origin", "last_observed", "valid_time", "step", "max_known_at", "last_value"
    ).with_columns(
        point=pl.Series(given[:, 1]),
        lower=pl.Series(given[:, 0]),
        upper=pl.Series(given[:, 2]),
        problem=pl.lit(card.problem),
        nominal_coverage=pl.lit(card.nominal_coverage),
        candidate=pl.lit(card.candidate),
        recipe_id=pl.lit(card.recipe_id),
        version=pl.lit(loaded.version),
        run_id=pl.lit(loaded.run_id),
        data_version=pl.lit(card.data_versions["features"]),
        synthetic=pl.lit(card.synthetic),
    )
    return table.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def empty() -> pl.DataFrame:
    """No forecast."""
    return pl.DataFrame(schema=SCHEMA)


def add_new(earlier: pl.DataFrame, new: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Earlier forecasts with the new ones; what was said once is never rewritten."""
    return (
        pl.concat([earlier, *new])
        .unique(list(KEY), keep="first", maintain_order=True)
        .sort("origin", "version", "series", "step")
    )


def split_sound(said: pl.DataFrame, *, frequency: timedelta) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Forecasts with honest stamps and numbers inside their bands, and the others.

    The others were stopped by their check and never published; they are forecast again.
    """
    inside = (pl.col("lower") <= pl.col("point")) & (pl.col("point") <= pl.col("upper"))
    finite = pl.all_horizontal(pl.col("lower", "point", "upper").is_finite())
    sound = (honest_stamps(frequency) & inside & finite).fill_null(value=False)
    return said.filter(sound), said.filter(~sound)


def newest_origins(features: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """The origins to forecast from: those after the newest forecast, at least the newest one."""
    newest = features["origin"].max()
    since = earlier["origin"].max() if len(earlier) else None
    after = pl.col("origin") > since if since is not None else pl.lit(value=False)
    return features.filter(after | (pl.col("origin") == newest))


def is_finite(table: pl.DataFrame) -> bool:
    """Whether every forecast is a number with a band around its point."""
    values = table.select("lower", "point", "upper").to_numpy()
    return bool(np.isfinite(values).all() and (np.diff(values, axis=1) >= 0).all())
