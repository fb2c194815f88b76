"""One fit of a recipe at a cutoff, and what it forecasts.

The one path for backtest folds, final fits and tests: the volatility model first, where the
problem has one, then the location of the target in units of that volatility.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mlops_assets.problem import ScaleModel
from mlops_assets.training.composed import AboveReference, Part, WeightedAverage
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
    """A recipe fitted at one cutoff; `scale` is None where the problem has no scale model."""

    recipe: Recipe
    refit_at: datetime
    scale: ScaleFit | None
    location: Location
    training_start: datetime
    training_end: datetime
    training_rows: int

    @property
    def is_scaled(self) -> bool:
        """Whether the location is in units of the forecast scale."""
        return self.scale is not None and self.recipe.candidate.scaled_target

    def predict(self, rows: pl.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Location and scale of each design row, both (rows,), on the model's scale."""
        location = self.location.predict(matrix(rows, self.recipe.features))
        if self.scale is None:
            return location, np.ones(len(rows))
        scale = self.scale.predict(rows)
        return (location * scale if self.is_scaled else location), scale


def matrix(rows: pl.DataFrame, columns: tuple[str, ...]) -> FloatArray:
    """Feature columns as (rows, columns), missing as NaN."""
    if not columns:
        return np.empty((len(rows), 0))
    floats = rows.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan")))
    return floats.to_numpy()


def known_by(rows: pl.DataFrame, cutoff: datetime, window: timedelta | str) -> pl.DataFrame:
    """Training rows: their target was known at the cutoff, their origin lies in the window."""
    known = rows.filter(pl.col("target_known_at") <= cutoff, pl.col("realised").is_finite())
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


def scale_of(recipe: Recipe, rows: pl.DataFrame, *, refit_at: datetime) -> ScaleFit | None:
    """The volatility model of a cutoff, which all recipes of a problem share; None without one."""
    if recipe.scale is None:
        return None
    return fit_scale(recipe.scale, recipe.scale_features, rows, refit_at=refit_at)


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
    scale = scale or scale_of(recipe, rows, refit_at=refit_at)
    location, used = _fit_location(recipe, rows, refit_at=refit_at, scale=scale)
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


def _fit_location(
    recipe: Recipe, rows: pl.DataFrame, *, refit_at: datetime, scale: ScaleFit | None
) -> tuple[Location, pl.DataFrame]:
    """The location over `recipe.features`, and the rows it was fitted on."""
    if recipe.members:
        return _fit_average(recipe, rows, refit_at=refit_at, scale=scale)
    candidate = recipe.candidate
    used = known_by(rows, refit_at, candidate.window)
    if candidate.reference is not None:
        used = used.filter(pl.col(candidate.reference).is_finite())
    family = FAMILIES[candidate.family]
    least = max(100, 2 * len(recipe.features)) if family.learns else 1
    _require_rows(used, least, refit_at, f"recipe {recipe.name!r}")
    target = used["realised"].to_numpy()
    if candidate.reference is not None:
        target = target - used[candidate.reference].to_numpy()
    if candidate.scaled_target and scale is not None:
        target = target / scale.predict(used)
    if candidate.target_clip is not None:
        target = np.clip(target, -candidate.target_clip, candidate.target_clip)
    inputs = matrix(used, recipe.features)
    if candidate.reference is None:
        return family(inputs, target, params=candidate.params), used
    learned = family(inputs, target, params=candidate.params)
    return AboveReference(recipe.features.index(candidate.reference), learned), used


def _fit_average(
    recipe: Recipe, rows: pl.DataFrame, *, refit_at: datetime, scale: ScaleFit | None
) -> tuple[Location, pl.DataFrame]:
    """The members' locations, and the rows of the member with most of them."""
    parts, widest = [], rows.clear()
    for weight, member in recipe.members:
        location, used = _fit_location(member, rows, refit_at=refit_at, scale=scale)
        positions = tuple(recipe.features.index(column) for column in member.features)
        parts.append(Part(weight, positions, location))
        widest = used if len(used) > len(widest) else widest
    return WeightedAverage(tuple(parts)), widest


def _require_rows(used: pl.DataFrame, least: int, refit_at: datetime, what: str) -> None:
    if len(used) < least:
        raise TooFewRowsError(
            f"{what} has {len(used)} training rows at {refit_at:%Y-%m-%dT%H:%M}Z and needs "
            f"{least}; load more history (sources.*.start) or start the evaluation later"
        )
