"""Fits that were made before: the same recipe on the same rows is not fitted twice.

Here: what tells two fits apart, and asking before fitting. Not here: the fit (`training.fit`) and
where fits are kept (`storage.kept_objects`). A fit that is recalled forecasts the same bits as one
that is made, since it is the same object.
"""

from __future__ import annotations

import hashlib
import platform
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.storage.kept_objects import KeptObjects
from mlops_assets.training.fit import (
    FittedRecipe,
    ScaleFit,
    fit_recipe,
    known_by,
    matrix,
    scale_of,
)
from mlops_assets.training.recipe import Recipe, code_version

_LIBRARIES: Final = (
    *("numpy", "polars", "scipy", "scikit-learn"),
    *("jax", "jaxlib", "optax"),
    *("prophet", "cmdstanpy"),
)
"""What fits: another version of one may give other numbers."""
_TARGETS: Final = ("realised", "log_volatility", "last_value", "actual")
_TIMES: Final = ("origin", "step", "valid_time", "target_known_at")


def fit_or_recall(
    recipe: Recipe,
    rows: pl.DataFrame,
    *,
    refit_at: datetime,
    scale: ScaleFit | None = None,
    kept: KeptObjects | None = None,
) -> FittedRecipe:
    """The recipe fitted on what was known at `refit_at`, made only where it is not kept.

    Args:
        recipe: what to fit.
        rows: design rows with targets.
        refit_at: the training cutoff.
        scale: see `fit.fit_recipe`.
        kept: fits that were made before; None: make it.

    Raises:
        TooFewRowsError: history holds too little.
    """
    if kept is None:
        return fit_recipe(recipe, rows, refit_at=refit_at, scale=scale)
    key = fit_key(recipe, rows, refit_at=refit_at)
    found = kept.find(key)
    if isinstance(found, FittedRecipe):
        return found
    scale = scale or _scale(recipe, rows, refit_at=refit_at, kept=kept)
    fitted = fit_recipe(recipe, rows, refit_at=refit_at, scale=scale)
    kept.keep(key, fitted)
    return fitted


def _scale(
    recipe: Recipe, rows: pl.DataFrame, *, refit_at: datetime, kept: KeptObjects
) -> ScaleFit | None:
    """The volatility model that all recipes of a problem share, made once for a cutoff."""
    if recipe.scale is None:
        return None
    what = f"scale {recipe.problem} {recipe.scale.model_dump_json()} {code_version()}"
    key = f"{what} {_state(rows, recipe.scale_features, refit_at=refit_at)}"
    found = kept.find(key)
    if isinstance(found, ScaleFit):
        return found
    scale = scale_of(recipe, rows, refit_at=refit_at)
    kept.keep(key, scale)
    return scale


def fit_key(recipe: Recipe, rows: pl.DataFrame, *, refit_at: datetime) -> str:
    """What a fit depends on: recipe and code, cutoff, training rows and libraries.

    Args:
        recipe: its id covers parameters, columns and code.
        rows: design rows with targets; those not known at `refit_at` play no part.
        refit_at: the training cutoff.
    """
    return f"{recipe.recipe_id} {_state(rows, recipe.columns, refit_at=refit_at)}"


def _state(rows: pl.DataFrame, columns: tuple[str, ...], *, refit_at: datetime) -> str:
    """Cutoff, fingerprint of the rows known by then, names of the columns, and libraries."""
    known = known_by(rows, refit_at, "all")
    digest = hashlib.blake2b(" ".join(columns).encode(), digest_size=16)
    digest.update(known.select(_TIMES).cast(pl.Int64).to_numpy().tobytes())
    digest.update(known["series"].hash(seed=0).to_numpy().tobytes())
    values = matrix(known, (*columns, *_TARGETS))
    digest.update(np.ascontiguousarray(values).tobytes())
    return f"{refit_at.isoformat()} {digest.hexdigest()} {_libraries()}"


@cache
def _libraries() -> str:
    return " ".join((platform.python_version(), *map(_version, _LIBRARIES)))


def _version(library: str) -> str:
    """The installed version; "absent" where a problem can do without the library."""
    try:
        return f"{library}={version(library)}"
    except PackageNotFoundError:
        return f"{library}=absent"
