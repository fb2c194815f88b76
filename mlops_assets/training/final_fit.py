"""The final fit of a recipe up to the newest origin: fitted, checked, exported, registered.

A fit that fails its sanity checks is reported with the reason and not registered; the version that
serves stays.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.features.design import calendar_columns
from mlops_assets.problem import ForecastProblem
from mlops_assets.settings import Settings
from mlops_assets.storage.kept_objects import KeptObjects
from mlops_assets.training.bands import with_scores
from mlops_assets.training.fit import FittedRecipe
from mlops_assets.training.model_card import Provenance, build_card, build_example
from mlops_assets.training.onnx_export import Parity, ParityError, export, require_parity
from mlops_assets.training.recall import fit_or_recall
from mlops_assets.training.recipe import Recipe
from mlops_assets.training.target_units import points
from mlops_assets.training.tracking import ModelRun
from serving.contract.model_card import Example

WORST_TAIL_RATIO: Final = 1.5
"""A fit whose error on its newest rows exceeds that of "no change" by this factor is not sane.

It does not hold for candidates that are compared only: nothing can promote them, and how bad they
are is what the comparison is to show."""


class InsaneFitError(ValueError):
    """A fit gives numbers that no one should act on."""


@dataclass(frozen=True)
class FinalFit:
    """Outcome of a final fit, registered or not.

    Attributes:
        fault: why it was not registered; None when it was.
        version: registry version; None when it was not registered.
    """

    candidate: str
    recipe_id: str
    baseline: bool
    refit_at: datetime
    as_of: datetime
    training_rows: int
    run_id: str
    version: str | None
    fault: str | None
    parity_share: float | None
    tail_ratio: float | None
    data_version: str

    def as_frame(self) -> pl.DataFrame:
        """One row with these fields."""
        return pl.DataFrame(
            [self.__dict__], schema_overrides={"version": pl.String, "fault": pl.String}
        )


def fit_and_register(
    recipe: Recipe,
    rows: pl.DataFrame,
    problem: ForecastProblem,
    *,
    refit_at: datetime,
    provenance: Provenance,
    settings: Settings,
    fits: KeptObjects | None = None,
) -> FinalFit:
    """Fit a recipe at `refit_at`, and register it when it passes its sanity checks.

    Args:
        recipe: what to fit.
        rows: design rows with targets known by `refit_at`.
        problem: names unit, frequency and band.
        refit_at: the training cutoff, the newest origin.
        provenance: run and data; its MLflow run id is filled in here.
        settings: name the stores.
        fits: fits that were made before; None: make it.
    """
    fitted = fit_or_recall(recipe, rows, refit_at=refit_at, kept=fits)
    with ModelRun(f"model_{recipe.name}", tags := _tags(recipe, provenance)) as run:
        proof = _prove(fitted, newest_rows(rows, origins=problem.band.window), problem)
        run.log(_params(fitted), _metrics(fitted, proof))
        version = None
        if proof.example is not None:
            card = build_card(
                problem,
                fitted,
                model_sha256=hashlib.sha256(proof.model).hexdigest(),
                example=proof.example,
                advance=frozenset(calendar_columns(problem)),
                provenance=provenance.of_run(run.run_id),
            )
            version = run.register(settings, card, proof.model, tags).version
    return FinalFit(
        candidate=recipe.name,
        recipe_id=recipe.recipe_id,
        baseline=recipe.candidate.baseline,
        refit_at=refit_at,
        as_of=provenance.as_of,
        training_rows=fitted.training_rows,
        run_id=run.run_id,
        version=version,
        fault=proof.fault,
        parity_share=proof.parity.share if proof.parity else None,
        tail_ratio=proof.tail_ratio,
        data_version=provenance.data_versions["features"],
    )


@dataclass(frozen=True)
class _Proof:
    """What the sanity checks of a fit came to; `example` is there when it may be registered."""

    model: bytes = b""
    example: Example | None = None
    parity: Parity | None = None
    tail_ratio: float | None = None
    fault: str | None = None


def _prove(fitted: FittedRecipe, tail: pl.DataFrame, problem: ForecastProblem) -> _Proof:
    try:
        ratio = require_sane(fitted, tail, problem)
        laid = with_tail_calibration(fitted, tail, problem)
        model = export(fitted, problem)
        parity = require_parity(model, fitted, laid, problem)
    except (InsaneFitError, ParityError) as error:
        return _Proof(fault=str(error))
    example = build_example(model, fitted, laid, problem)
    return _Proof(model=model, example=example, parity=parity, tail_ratio=ratio)


def newest_rows(rows: pl.DataFrame, *, origins: int) -> pl.DataFrame:
    """The design rows of the newest origins, whole segments."""
    newest = rows["origin"].unique().sort().tail(origins)
    return rows.filter(pl.col("origin") >= newest[0])


def require_sane(fitted: FittedRecipe, tail: pl.DataFrame, problem: ForecastProblem) -> float:
    """Refuse a fit that gives no numbers on its newest training rows, or absurd ones to serve.

    Returns:
        Mean absolute error in target units over that of "no change".

    Raises:
        InsaneFitError: a forecast is not finite, or that ratio exceeds `WORST_TAIL_RATIO`.
    """
    location, scale = fitted.predict(tail)
    if not (np.isfinite(location).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise InsaneFitError(
            f"{fitted.recipe.name} gives forecasts that are not finite on its newest rows; every "
            "one must be a number with a positive scale; check its features and parameters"
        )
    actual, last = tail["actual"].to_numpy(), tail["last_value"].to_numpy()
    error = np.mean(np.abs(actual - points(tail, location, problem)))
    ratio = float(error / np.mean(np.abs(actual - last)))
    if ratio > WORST_TAIL_RATIO and fitted.recipe.candidate.promotable:
        raise InsaneFitError(
            f"{fitted.recipe.name} has {ratio:.2f} times the error of no change on its newest "
            f"{len(tail)} training rows; at most {WORST_TAIL_RATIO:g} is accepted; "
            "check its features and parameters"
        )
    return ratio


def with_tail_calibration(
    fitted: FittedRecipe, tail: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """The tail with a band from its own errors, for parity and the card's example.

    It is in-sample and so a little narrow; what serves is calibrated on the backtest.
    """
    location, scale = fitted.predict(tail)
    laid = tail.with_columns(location=pl.Series(location), scale=pl.Series(scale))
    score = with_scores(laid, points(tail, location, problem), problem)["score"]
    if problem.band.method == "angular":
        ends = [(1 - problem.band.coverage) / 2, (1 + problem.band.coverage) / 2]
        lower, upper = np.quantile(score.to_numpy(), ends)
        return laid.with_columns(band_lower=min(lower, 0.0), band_upper=max(upper, 0.0))
    return laid.with_columns(
        band_quantile=float(np.quantile(score.to_numpy(), problem.band.coverage))
    )


def _tags(recipe: Recipe, provenance: Provenance) -> dict[str, str]:
    return {
        "candidate": recipe.name,
        "recipe_id": recipe.recipe_id,
        "baseline": str(recipe.candidate.baseline).lower(),
        "promotable": str(recipe.candidate.promotable).lower(),
        "as_of": provenance.as_of.isoformat(),
        "data_version": provenance.data_versions["features"],
        "dagster_run": provenance.dagster_run_id,
        "synthetic": str(provenance.synthetic).lower(),
    }


def _params(fitted: FittedRecipe) -> dict[str, object]:
    recipe = fitted.recipe
    scale = recipe.scale.model_dump(mode="json") if recipe.scale else {}
    return {
        "family": recipe.candidate.family,
        "window": str(recipe.candidate.window),
        "scaled_target": recipe.candidate.scaled_target,
        "target_clip": recipe.candidate.target_clip,
        "features": len(recipe.features),
        "scale_features": len(recipe.scale_features),
        "refit_at": fitted.refit_at.isoformat(),
        **{f"params.{k}": v for k, v in recipe.candidate.params.items()},
        **{f"scale.{k}": v for k, v in scale.items()},
    }


def _metrics(fitted: FittedRecipe, proof: _Proof) -> dict[str, float]:
    figures = {"training_rows": float(fitted.training_rows)}
    figures |= {
        f"fit.{k}": float(v)
        for k, v in fitted.location.describe().items()
        if not isinstance(v, str)
    }
    if proof.parity:
        figures["parity_differing_share"] = proof.parity.share
    if proof.tail_ratio is not None:
        figures["tail_error_ratio"] = proof.tail_ratio
    return figures
