"""One forecast by onnxruntime against its Python twin: microseconds a call, and the ratio.

The model is the exported `ridge` of `bitcoin_close`, fitted on sample data; the row is its newest.
`README.md` says what the figures mean.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from measurement.homes import temporary_folder
from measurement.problems import NAME
from measurement.rounds import arguments, interleaved, show

from mlops_assets.cli.problems import problem_files
from mlops_assets.features.design import add_targets, lay_rows
from mlops_assets.features.feature_set import compute_features
from mlops_assets.ingestion.observations import observe
from mlops_assets.ingestion.quality import split
from mlops_assets.ingestion.sources import fetch_for
from mlops_assets.problem import ForecastProblem, load_problem
from mlops_assets.settings import load_settings
from mlops_assets.training.bands import calibration_columns
from mlops_assets.training.final_fit import newest_rows, with_tail_calibration
from mlops_assets.training.fit import FittedRecipe, fit_recipe, matrix
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.onnx_export import INPUT, OUTPUT, export, input_matrix
from mlops_assets.training.recipe import recipes_of
from mlops_assets.training.target_units import model_output

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

HISTORY: Final = timedelta(days=120)
"""Sample history behind the fit; the time of a call does not depend on it."""
LARGEST_DIFFERENCE: Final = 1e-9
"""Relative to the width of the band: both sides must give the same forecast."""
MEANING: Final = {
    "onnx": "onnxruntime, one row as an array",
    "onnx_from_frame": "onnxruntime, the array made from a polars row first",
    "twin": "FittedRecipe.predict on one polars row",
    "twin_arithmetic": "the twin's arithmetic alone, on arrays",
}


@dataclass(frozen=True)
class Subject:
    """The two sides and the one row that they forecast, with its calibration."""

    problem: ForecastProblem
    fitted: FittedRecipe
    session: InferenceSession
    row: pl.DataFrame


def main() -> None:
    """Measure, and print the outcome."""
    given = arguments(__doc__ or "", rounds=15)
    with temporary_folder("sample"):
        subject = prepare(load_problem(problem_files()[NAME]))
        require_agreement(subject)
        calls = 20 if given.quick else 300
        variants = {
            name: partial(microseconds_a_call, call, calls)
            for name, call in calls_of(subject).items()
        }
        taken = interleaved(variants, rounds=given.rounds)
    median = {name: statistics.median(samples) for name, samples in taken.items()}
    figures = {
        "benchmark": "model_call",
        "rounds": given.rounds,
        "calls_a_round": calls,
        "features": len(subject.fitted.recipe.columns) + 1,
        "microseconds": {name: round(value, 2) for name, value in median.items()},
        "ratio": round(median["twin"] / median["onnx"], 2),
        "ratio_to": {n: round(value / median["onnx"], 2) for n, value in median.items()},
    }
    show(figures, _text(figures, median), as_json=given.json)


def prepare(problem: ForecastProblem) -> Subject:
    """Fit `ridge` on sample data and load its export as serving does."""
    import onnxruntime

    features, observations = _history(problem)
    laid = lay_rows(features, problem, steps=[1])
    rows = add_targets(laid, observations, problem)
    recipe = recipes_of(problem, features, rows)["ridge"]
    fitted = fit_recipe(recipe, rows, refit_at=laid["origin"][-1])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        export(fitted, problem), options, providers=["CPUExecutionProvider"]
    )
    tail = newest_rows(rows, origins=problem.band.window)
    calibration = with_tail_calibration(fitted, tail, problem).select(calibration_columns(problem))
    return Subject(problem, fitted, session, laid.tail(1).hstack(calibration.tail(1)))


def calls_of(subject: Subject) -> dict[str, Callable[[], FloatArray]]:
    """Each way to make the forecast; every call gives p05, p50, p95 as (1, 3)."""
    problem, fitted = subject.problem, subject.fitted
    session, row = subject.session, subject.row
    ready = input_matrix(fitted, row, problem)
    location_inputs = matrix(row, fitted.recipe.features)
    scale_inputs = matrix(row, fitted.recipe.scale_features)
    calibration = matrix(row, calibration_columns(problem))
    assert fitted.scale is not None
    log_scale = fitted.scale.linear

    def onnx() -> FloatArray:
        return np.asarray(session.run([OUTPUT], {INPUT: ready})[0])

    def onnx_from_frame() -> FloatArray:
        inputs = input_matrix(fitted, row, problem)
        return np.asarray(session.run([OUTPUT], {INPUT: inputs})[0])

    def twin() -> FloatArray:
        return model_output(
            problem, *fitted.predict(row), matrix(row, calibration_columns(problem))
        )

    def twin_arithmetic() -> FloatArray:
        scale = np.exp(log_scale.predict(scale_inputs))
        location = fitted.location.predict(location_inputs) * scale
        return model_output(problem, location, scale, calibration)

    return {
        "onnx": onnx,
        "onnx_from_frame": onnx_from_frame,
        "twin": twin,
        "twin_arithmetic": twin_arithmetic,
    }


def require_agreement(subject: Subject) -> None:
    """Refuse to compare the speed of different answers.

    Raises:
        RuntimeError: two ways differ by more than `LARGEST_DIFFERENCE` of the band's width.
    """
    answers = {name: call() for name, call in calls_of(subject).items()}
    wanted = answers["twin"]
    width = float(wanted[0, 2] - wanted[0, 0])
    for name, given in answers.items():
        off = float(np.max(np.abs(given - wanted))) / width
        if not off <= LARGEST_DIFFERENCE:
            raise RuntimeError(
                f"{name} differs from the twin by {off:.2g} of the band's width, at most "
                f"{LARGEST_DIFFERENCE:g} is allowed; correct `calls_of`, or the export"
            )


def microseconds_a_call(call: Callable[[], FloatArray], calls: int) -> float:
    """Mean wall time of one call, after one call that is not counted."""
    call()
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls * 1e6


def _history(problem: ForecastProblem) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features and observations of the sample's first `HISTORY`."""
    settings, sample = load_settings(), problem.target_source.sample
    assert sample is not None
    start, as_of = sample.start, sample.start + HISTORY
    fetch = fetch_for(settings.data)
    raw = {
        name: split(
            fetch(name, source, start=start, end=as_of, fetched_at=as_of, settings=settings),
            source,
        ).clean
        for name, source in problem.sources.items()
    }
    observations = observe(raw[problem.target.source], raw, problem, as_of)
    return compute_features(observations, problem), observations


def _text(figures: dict[str, object], median: dict[str, float]) -> str:
    lines = [
        f"One forecast of `ridge` ({figures['features']} inputs), medians of "
        f"{figures['rounds']} rounds of {figures['calls_a_round']} calls",
        "",
        f"{'us a call':>10}{'to onnx':>9}",
        *(
            f"{median[name]:>10.1f}{median[name] / median['onnx']:>9.2f}  {meaning}"
            for name, meaning in MEANING.items()
        ),
        "",
        f"ratio: the Python twin takes {figures['ratio']} times as long as onnxruntime",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
