"""The rolling-origin backtest: every recipe refitted on the grid, on the same rows.

Incremental: a complete fold is stored under its recipe and the fingerprint of its data, and never
computed again for the same two. Bands are added afterwards, from the trailing errors of all folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import polars as pl

from mlops_assets.evaluation.folds import Fold, fold_digests
from mlops_assets.problem import ForecastProblem
from mlops_assets.storage.kept_objects import KeptObjects
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.bands import (
    calibrated,
    calibration_columns,
    with_scores,
    with_spread,
)
from mlops_assets.training.fit import ScaleFit, known_by, scale_of
from mlops_assets.training.recall import fit_or_recall
from mlops_assets.training.recipe import Recipe
from mlops_assets.training.target_units import points, target_units

TABLE: Final = (
    "candidate", "recipe_id", "baseline", "refit_at", "series", "segment", "origin",
    "last_observed", "step", "valid_time", "max_known_at", "target_known_at", "last_value",
    "actual", "point", "lower", "upper", "location", "scale", "score", "noise", "spread", "part",
    "mase_scale",
)  # fmt: skip
"""Columns of the asset `backtest`; the calibration columns of the problem's band follow."""

_KEYS: Final = ["series", "origin", "step"]


@dataclass
class FoldCount:
    """How much of a backtest was computed, and how much was read from earlier runs."""

    computed: int = 0
    reused: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


def run_backtest(
    rows: pl.DataFrame,
    recipes: Mapping[str, Recipe],
    folds: Sequence[Fold],
    *,
    store: TableStore,
    log: Callable[[str], None],
    fits: KeptObjects | None = None,
) -> tuple[pl.DataFrame, FoldCount]:
    """Location and scale of every recipe for every origin of the folds.

    Args:
        rows: design rows with targets, sorted by origin.
        recipes: by candidate name.
        folds: as `plan_folds` gives them.
        store: keeps complete folds.
        log: takes one line per fold computed.
        fits: fits that were made before, by a final fit or another run; None: all are made.

    Returns:
        Grain (candidate, series, origin, step): candidate, recipe_id, refit_at, evaluated,
        location, scale; and the count of folds computed and reused.
    """
    count = FoldCount()
    digests = {name: fold_digests(rows, r.columns, folds) for name, r in recipes.items()}
    parts = []
    for number, fold in enumerate(folds, start=1):
        before, scale = count.computed, None
        for name, recipe in recipes.items():
            table = fold_table(recipe, fold, digests[name][fold.refit_at])
            if fold.complete and store.exists(table):
                count.reused += 1
                forecasts = store.read(table)
            else:
                if fits is None:
                    scale = scale or scale_of(recipe, rows, refit_at=fold.refit_at)
                forecasts = _fold_forecasts(recipe, rows, fold, scale, fits)
                count.computed += 1
                if fold.complete:
                    store.write(table, forecasts)
            parts.append(_labelled(forecasts, recipe, fold))
        if count.computed > before:
            log(
                f"fold {number} of {len(folds)}: refitted at {fold.refit_at:%Y-%m-%d %H:%M} UTC, "
                f"{count.computed - before} recipes"
            )
    return pl.concat(parts), count


def fold_table(recipe: Recipe, fold: Fold, digest: str) -> str:
    """Name of the table that keeps one fold of one recipe on one state of the data."""
    span = f"{fold.refit_at:%Y%m%dT%H%M}-{fold.end:%Y%m%dT%H%M}"
    return f"{recipe.problem}/backtest_folds/{recipe.recipe_id}/{span}-{digest}"


def add_bands(
    forecasts: pl.DataFrame,
    rows: pl.DataFrame,
    problem: ForecastProblem,
    *,
    evaluate_from: datetime,
) -> pl.DataFrame:
    """The backtest table: forecasts in target units with their bands and what came true.

    Args:
        forecasts: as `run_backtest` gives them, the folds before the span included.
        rows: design rows with targets.
        problem: band and candidates.
        evaluate_from: periods that start earlier are left out, after they served the band.

    Returns:
        Grain (candidate, series, origin, step), sorted: `TABLE`, then the calibration columns of
        the problem's band (`training.bands.calibration_columns`).
    """
    facts = with_spread(rows, problem).select(
        *_KEYS, "segment", "last_observed", "valid_time", "max_known_at", "target_known_at",
        "last_value", "actual", "realised", "noise", "spread", "part",
    )  # fmt: skip
    joined = forecasts.join(facts, on=_KEYS, how="inner", validate="m:1").join(
        mase_scales(rows, forecasts["refit_at"].unique()),
        on=["series", "refit_at"],
        how="left",
        validate="m:1",
    )
    parts = [
        _banded(part, evaluate_from=evaluate_from, problem=problem)
        for _, part in joined.group_by("candidate", maintain_order=True)
    ]
    return pl.concat(parts).sort("candidate", "series", "origin", "step")


def mase_scales(rows: pl.DataFrame, refits: pl.Series) -> pl.DataFrame:
    """Mean absolute change over a season of the values known at each refit, by series.

    Returns:
        Grain (series, refit_at): `mase_scale`, in target units.
    """
    known = rows.select("series", "valid_time", "target_known_at", "season_change").unique(
        ["series", "valid_time"], keep="first"
    )
    parts = [
        known.filter(pl.col("target_known_at") <= refit_at)
        .group_by("series")
        .agg(mase_scale=pl.col("season_change").mean())
        .with_columns(refit_at=pl.lit(refit_at).cast(refits.dtype))
        for refit_at in refits.sort()
    ]
    return pl.concat(parts)


def _banded(
    part: pl.DataFrame, *, evaluate_from: datetime, problem: ForecastProblem
) -> pl.DataFrame:
    point = points(part, part["location"].to_numpy(), problem)
    scored = with_scores(part, point, problem)
    wanted = scored.filter(
        pl.col("evaluated"), pl.col("valid_time") - problem.frequency >= evaluate_from
    )
    calibration = calibration_columns(problem)
    laid = target_units(calibrated(scored, wanted, problem), problem, calibration)
    baseline = problem.candidates[str(part["candidate"][0])].baseline
    return laid.with_columns(baseline=pl.lit(baseline)).select(*TABLE, *calibration)


def _fold_forecasts(
    recipe: Recipe,
    rows: pl.DataFrame,
    fold: Fold,
    scale: ScaleFit | None,
    fits: KeptObjects | None,
) -> pl.DataFrame:
    past = known_by(rows, fold.refit_at, "all")
    fitted = fit_or_recall(recipe, past, refit_at=fold.refit_at, scale=scale, kept=fits)
    ahead = rows.filter(pl.col("origin") >= fold.refit_at, pl.col("origin") < fold.end)
    location, predicted = fitted.predict(ahead)
    return ahead.select(*_KEYS, location=pl.Series(location), scale=pl.Series(predicted))


def _labelled(forecasts: pl.DataFrame, recipe: Recipe, fold: Fold) -> pl.DataFrame:
    return forecasts.with_columns(
        candidate=pl.lit(recipe.name),
        recipe_id=pl.lit(recipe.recipe_id),
        refit_at=pl.lit(fold.refit_at).cast(pl.Datetime("us", "UTC")),
        evaluated=pl.lit(fold.evaluated),
    )
