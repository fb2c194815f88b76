"""One fit of a recipe at a cutoff, and what it forecasts.

The one path for backtest folds, final fits and tests: the volatility model first, then the
location of the target in units of that volatility.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mlops_assets.problem import ScaleModel
from mlops_assets.training.families import FAMILIES
from mlops_assets.training.forecaster import FloatArray, Location
from mlops_assets.training.linear import LinearFit, ridge_clipped_at_sd
from mlops_assets.training.recipe import Recipe


class TooFewRowsError(ValueError):
    """A fit was asked for where history holds too little."""


@dataclass(frozen=True)
class ScaleFit:
    """The volatility model of one cutoff: `exp` of a linear forecast of log volatility."""

    features: tuple[str, ...]
    linear: LinearFit

    def predict(self, rows: pl.DataFrame) -> FloatArray:
        """Volatility of each row's coming period, (rows,), on the scale of log returns."""
        return np.exp(self.linear.predict(matrix(rows, self.features)))


@dataclass(frozen=True)
class FittedRecipe:
    """A recipe fitted at one cutoff."""

    recipe: Recipe
    refit_at: datetime
    scale: ScaleFit
    location: Location
    training_start: datetime
    training_end: datetime
    training_rows: int

    def predict(self, rows: pl.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Location and scale of each design row, both (rows,), on the model's scale."""
        scale = self.scale.predict(rows)
        location = self.location.predict(matrix(rows, self.recipe.features))
        return (location * scale if self.recipe.candidate.scaled_target else location), scale


def matrix(rows: pl.DataFrame, columns: tuple[str, ...]) -> FloatArray:
    """Feature columns as (rows, columns), missing as NaN."""
    if not columns:
        return np.empty((len(rows), 0))
    floats = rows.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan")))
    return floats.to_numpy()


def known_by(rows: pl.DataFrame, cutoff: datetime, window: timedelta | str) -> pl.DataFrame:
    """Training rows: their target was known at the cutoff, their origin lies in the window."""
    known = rows.filter(pl.col("target_known_at") <= cutoff, pl.col("log_return").is_finite())
    if isinstance(window, str):
        return known
    return known.filter(pl.col("origin") >= cutoff - window)


def fit_scale(
    spec: ScaleModel, features: tuple[str, ...], rows: pl.DataFrame, *, refit_at: datetime
) -> ScaleFit:
    """Fit the volatility model on what was known at `refit_at`.

    Raises:
        TooFewRowsError: fewer rows than two per input.
    """
    used = known_by(rows, refit_at, spec.window).filter(pl.col("log_volatility").is_finite())
    _require_rows(used, 2 * len(features), refit_at, "the volatility model")
    target = used["log_volatility"].to_numpy()
    linear = ridge_clipped_at_sd(
        matrix(used, features), target, alpha=spec.alpha, clip_sd=spec.clip_sd
    )
    return ScaleFit(features, linear)


def fit_recipe(
    recipe: Recipe, rows: pl.DataFrame, *, refit_at: datetime, scale: ScaleFit | None = None
) -> FittedRecipe:
    """Fit a recipe on what was known at `refit_at`.

    Args:
        recipe: what to fit.
        rows: design rows with targets; those not known at `refit_at` are left out here.
        refit_at: the training cutoff.
        scale: the volatility model of the same cutoff, where it is already there.

    Raises:
        TooFewRowsError: history holds too little.
    """
    scale = scale or fit_scale(recipe.scale, recipe.scale_features, rows, refit_at=refit_at)
    used = known_by(rows, refit_at, recipe.candidate.window)
    _require_rows(used, max(100, 2 * len(recipe.features)), refit_at, f"recipe {recipe.name!r}")
    target = used["log_return"].to_numpy()
    if recipe.candidate.scaled_target:
        target = target / scale.predict(used)
    if recipe.candidate.target_clip is not None:
        target = np.clip(target, -recipe.candidate.target_clip, recipe.candidate.target_clip)
    family = FAMILIES[recipe.candidate.family]
    location = family(matrix(used, recipe.features), target, params=recipe.candidate.params)
    first, last = used["origin"].min(), used["origin"].max()
    assert isinstance(first, datetime) and isinstance(last, datetime)  # noqa: PT018 narrows a type
    return FittedRecipe(
        recipe=recipe,
        refit_at=refit_at,
        scale=scale,
        location=location,
        training_start=first,
        training_end=last,
        training_rows=len(used),
    )


def _require_rows(used: pl.DataFrame, least: int, refit_at: datetime, what: str) -> None:
    if len(used) < least:
        raise TooFewRowsError(
            f"{what} has {len(used)} training rows at {refit_at:%Y-%m-%dT%H:%M}Z and needs "
            f"{least}; load more history (sources.*.start) or start the evaluation later"
        )
