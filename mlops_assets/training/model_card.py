"""The model card of a fit: filled from the fit, its data and the run that made it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.problem import ForecastProblem
from mlops_assets.training.fit import FittedRecipe
from mlops_assets.training.onnx_export import input_matrix, model_inputs, run
from mlops_assets.training.recipe import code_version
from mlops_assets.training.target_units import segment_codes, steps_of
from serving.contract.model_card import Example, Feature, ModelCard
from serving.contract.snapshot import BAND_LOWER, BAND_QUANTILE, BAND_UPPER
from serving.contract.steps import needs_segment, to_target_units

EXAMPLE_ROWS: Final = 3
"""Rows of a card's example; of shares it is one whole segment."""

_CALIBRATION_UNITS: Final = {
    BAND_QUANTILE: "scaled error",
    BAND_LOWER: "rad",
    BAND_UPPER: "rad",
}


@dataclass(frozen=True)
class Provenance:
    """Where a fit comes from: the run that made it and the data it saw."""

    as_of: datetime
    data_versions: dict[str, str]
    dagster_run_id: str
    synthetic: bool
    mlflow_run_id: str = ""

    def of_run(self, mlflow_run_id: str) -> Provenance:
        """The same with the model's MLflow run."""
        return replace(self, mlflow_run_id=mlflow_run_id)


def build_card(
    problem: ForecastProblem,
    fitted: FittedRecipe,
    *,
    model_sha256: str,
    example: Example,
    advance: frozenset[str],
    provenance: Provenance,
) -> ModelCard:
    """The card of a fit.

    Args:
        problem: unit, frequency, horizon, coverage.
        fitted: the fit.
        model_sha256: of the model file.
        example: an input with its expected output.
        advance: names of the features known in advance.
        provenance: run and data.
    """
    recipe = fitted.recipe
    return ModelCard(
        problem=problem.name,
        candidate=recipe.name,
        recipe_id=recipe.recipe_id,
        baseline=recipe.candidate.baseline,
        unit=problem.target_source.unit,
        frequency=problem.frequency,
        horizon=problem.horizon,
        nominal_coverage=problem.band.coverage,
        features=tuple(_feature(name, advance) for name in model_inputs(fitted, problem)),
        steps=steps_of(problem),
        refit_at=fitted.refit_at,
        as_of=provenance.as_of,
        training_start=fitted.training_start,
        training_end=fitted.training_end,
        training_rows=fitted.training_rows,
        synthetic=provenance.synthetic,
        data_versions=provenance.data_versions,
        code_version=code_version(),
        git_revision=git_revision(),
        dagster_run_id=provenance.dagster_run_id,
        mlflow_run_id=provenance.mlflow_run_id,
        model_sha256=model_sha256,
        example=example,
    )


def build_example(
    model: bytes, fitted: FittedRecipe, rows: pl.DataFrame, problem: ForecastProblem
) -> Example:
    """The newest rows as the model's input, with what the model file gives for them.

    Args:
        model: the model file.
        fitted: names the inputs.
        rows: design rows with their calibration, the newest last.
        problem: names the steps to target units.
    """
    newest = _example_rows(rows, problem)
    inputs = input_matrix(fitted, newest, problem)
    last, codes = newest["last_value"].to_numpy(), segment_codes(newest)
    expected = to_target_units(steps_of(problem), run(model, inputs), last, codes)
    return Example(
        features=[[None if np.isnan(v) else float(v) for v in row] for row in inputs],
        last_value=[float(v) for v in last],
        segment=codes.tolist() if needs_segment(steps_of(problem)) else [],
        expected=[[float(v) for v in row] for row in expected],
    )


def _example_rows(rows: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    if not needs_segment(steps_of(problem)):
        return rows.tail(EXAMPLE_ROWS)
    same = rows.select("origin", "step", "segment").tail(1)
    return rows.join(same, on=["origin", "step", "segment"], how="semi", maintain_order="left")


@cache
def git_revision() -> str:
    """Revision of the checkout this code runs from, `+changes` added when it is not clean.

    `unknown` outside a checkout or without git: an image carries its revision as a label instead.
    """
    root = Path(__file__).resolve().parents[2]
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+changes" if changed else head


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _feature(name: str, advance: frozenset[str]) -> Feature:
    if name in _CALIBRATION_UNITS:
        return Feature(name=name, unit=_CALIBRATION_UNITS[name], source="calibration")
    unit = "hours" if name.endswith("_hours") else "1"
    return Feature(
        name=name, unit=unit, source="known_in_advance" if name in advance else "observed"
    )
