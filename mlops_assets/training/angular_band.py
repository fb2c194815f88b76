"""Prediction bands of shares: offsets on the angular scale `asin(sqrt(share))`.

On that scale a share out of a count of N has the variance 1/(4 N) whatever the share (Anscombe
1948), so one spread model serves shares of one percent and of sixty. What is added to the noise of
counting is learnt from past errors.

Here: spread and quantiles of past angular errors, and the offsets they give at every origin and
step. Not here: errors and counts themselves (`fit`), the way from an offset to percent
(`serving.contract.steps`), bands of other targets (`intervals`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import nnls

from mlops_assets.problem import Band
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.intervals import TooFewScoresError

PASSES: Final = 2
"""Fits of the spread; each after the first weighs a row by one over the variance found before."""

LEAST_VARIANCE: Final = 0.01
"""No row counts as less variable than this part of the mean squared error: errors that all happen
to be zero would otherwise give a band without width, and infinite ratios elsewhere."""

OWN_PRIOR: Final = 60.0
"""A series' own factor is drawn to one as if by so many further errors of the usual size."""

LARGEST_SQUARE: Final = 9.0
"""Squared ratios count as at most this in a series' own factor, so that no single error rules."""

IntArray = NDArray[np.int64]


def angular_offsets(history: pl.DataFrame, wanted: pl.DataFrame, band: Band) -> pl.DataFrame:
    """The offsets of a share's band that were known at each origin, in radians.

    An angular error has the variance `v = own (phi noise + tau spread)`. For every origin and step,
    over the newest `band.window` verified periods: phi and a tau for each part are found by
    non-negative least squares from the squared errors, `own` is the mean of a series' squared
    errors over their expectation, drawn to one, and an error counts half after `band.half_life`
    periods (None: all alike). The offsets are `z sqrt(v)`, with z the outer quantiles of
    `score / sqrt(v)` over all series.

    Steps between two that the history holds lie linearly between their parameters; steps outside
    take the nearest. A part without errors takes the tau of all parts together, a series without
    errors takes `own` = 1.

    Args:
        history: columns series, step, valid_time, target_known_at, score (radians: actual less
            forecast), noise (1/(4 N)), spread (m (1 - m)/4, m a fraction), part; one row per
            forecast come true.
        wanted: columns series, step, origin, noise, spread, part, and any others.
        band: coverage, window, least and half_life.

    Returns:
        `wanted` with `band_lower` <= 0 and `band_upper` >= 0.

    Raises:
        TooFewScoresError: fewer than `band.least` forecasts of a step had come true at an origin.
        ValueError: a number is missing or not finite, or a variance is negative.
    """
    _check_numbers(history, ("noise", "spread", "score"), "history")
    _check_numbers(wanted, ("noise", "spread"), "wanted")
    if wanted.is_empty():
        nothing = pl.lit(None, dtype=pl.Float64)
        return wanted.with_columns(band_lower=nothing, band_upper=nothing)
    parts = sorted(set(wanted["part"]) | set(history["part"]))
    series = sorted(set(wanted["series"]) | set(history["series"]))
    past = [_past_of_step(history, step, parts, series) for step in sorted(set(history["step"]))]
    origins, origin_of = np.unique(_instants(wanted["origin"]), return_inverse=True)
    steps, step_of = np.unique(wanted["step"].to_numpy(), return_inverse=True)
    asked = np.zeros((len(origins), len(steps)), dtype=bool)
    asked[origin_of, step_of] = True
    fitted = _parameters(past, origins, steps, asked, band=band, counts=(len(parts), len(series)))
    phi, floor, low, high = (fitted[origin_of, step_of, place] for place in range(_PARTS))
    tau = fitted[origin_of, step_of, _PARTS + _codes(wanted["part"], parts)]
    member = _codes(wanted["series"], series)
    own = fitted[origin_of, step_of, _PARTS + len(parts) + member]
    model = phi * _numbers(wanted["noise"]) + tau * _numbers(wanted["spread"])
    width = np.sqrt(own * np.maximum(model, floor))
    return wanted.with_columns(
        band_lower=pl.Series(low * width), band_upper=pl.Series(high * width)
    )


_PARTS: Final = 4
"""Parameters are phi, floor, low, high; from this place on tau by part, then `own` by series."""


@dataclass(frozen=True)
class _Errors:
    """Errors of one step that have come true, one entry a row; `period` counts from the oldest."""

    step: int
    period: IntArray
    known_at: IntArray
    score: FloatArray
    noise: FloatArray
    spread: FloatArray
    part: IntArray
    series: IntArray


def _past_of_step(history: pl.DataFrame, step: int, parts: list[str], series: list[str]) -> _Errors:
    rows = history.filter(pl.col("step") == step).sort("valid_time", "series")
    _, period = np.unique(_instants(rows["valid_time"]), return_inverse=True)
    return _Errors(
        step=step,
        period=period,
        known_at=_instants(rows["target_known_at"]),
        score=_numbers(rows["score"]),
        noise=_numbers(rows["noise"]),
        spread=_numbers(rows["spread"]),
        part=_codes(rows["part"], parts),
        series=_codes(rows["series"], series),
    )


def _parameters(
    past: list[_Errors],
    origins: IntArray,
    steps: IntArray,
    asked: NDArray[np.bool_],
    *,
    band: Band,
    counts: tuple[int, int],
) -> FloatArray:
    """(origins, steps, parameters), filled where `asked`; `counts` are those of parts and series.

    Each origin and step is fitted once for all series, and only where a row asks for it.
    """
    if not past:
        raise _too_few(int(steps[0]), int(origins[0]), 0, band)
    mix = _interpolation(steps, np.array([errors.step for errors in past]))
    fitted = np.zeros((len(origins), len(past), _PARTS + sum(counts)))
    for place, k in np.argwhere(asked @ (mix > 0)):
        fitted[place, k] = _fit(past[k], int(origins[place]), band, counts)
    return np.asarray(np.einsum("sk,okp->osp", mix, fitted), dtype=np.float64)


def _interpolation(steps: IntArray, fitted: IntArray) -> FloatArray:
    """(steps, fitted): what each fitted step contributes to each step; a row adds up to one."""
    return np.column_stack([np.interp(steps, fitted, unit) for unit in np.eye(len(fitted))])


def _fit(past: _Errors, origin: int, band: Band, counts: tuple[int, int]) -> FloatArray:
    """The parameters of one step from what was known at one origin."""
    parts, series = counts
    rows, age = _newest(past, origin, band.window)
    if len(rows) < band.least:
        raise _too_few(past.step, origin, len(rows), band)
    decay = np.ones(len(rows)) if band.half_life is None else 0.5 ** (age / band.half_life)
    score, noise, spread = past.score[rows], past.noise[rows], past.spread[rows]
    part, member = past.part[rows], past.series[rows]
    floor = LEAST_VARIANCE * float(np.average(score**2, weights=decay))
    if floor == 0:
        return np.concatenate([np.zeros(_PARTS + parts), np.ones(series)])  # never an error
    coefficients = _spread_model(noise, spread, part, score**2, decay=decay, parts=parts)
    phi, tau = coefficients[0], coefficients[1:]
    variance = np.maximum(phi * noise + tau[part] * spread, floor)
    own = _own_factors(score**2 / variance, member, decay, series)
    tail = (1 - band.coverage) / 2
    ratio = score / np.sqrt(own[member] * variance)
    low, high = _weighted_quantiles(ratio, decay, (tail, 1 - tail))
    return np.array([phi, floor, min(low, 0.0), max(high, 0.0), *tau, *own])


def _newest(past: _Errors, origin: int, window: int) -> tuple[IntArray, IntArray]:
    """Rows of the newest `window` periods known at an origin, and their age in such periods."""
    known = past.known_at <= origin
    seen = np.zeros(past.period.max() + 1, dtype=np.int64)
    seen[past.period[known]] = 1
    newer = seen[::-1].cumsum()[::-1] - seen
    rows = np.flatnonzero(known & (newer[past.period] < window))
    return rows, newer[past.period[rows]]


def _spread_model(
    noise: FloatArray,
    spread: FloatArray,
    part: IntArray,
    squares: FloatArray,
    *,
    decay: FloatArray,
    parts: int,
) -> FloatArray:
    """(1 + parts,): phi and every tau; a part without a row takes the tau of all rows together."""
    present, place = np.unique(part, return_inverse=True)
    found = _least_squares(_design(noise, spread, place, len(present)), squares, decay)
    if len(present) == parts:
        return found
    together = _least_squares(_design(noise, spread, np.zeros_like(place), 1), squares, decay)
    coefficients = np.full(1 + parts, together[1])
    coefficients[0] = found[0]
    coefficients[1 + present] = found[1:]
    return coefficients


def _design(noise: FloatArray, spread: FloatArray, part: IntArray, parts: int) -> FloatArray:
    """(1 + parts, rows): the noise, then the spread in the line of the row's part."""
    design = np.zeros((1 + parts, len(noise)))
    design[0] = noise
    design[1 + part, np.arange(len(noise))] = spread
    return design


def _least_squares(design: FloatArray, squares: FloatArray, decay: FloatArray) -> FloatArray:
    """What explains the squared errors best, none below zero (Lawson and Hanson 1974).

    Args:
        design: (coefficients, rows).
        squares: (rows,).
        decay: (rows,), weights.
    """
    floor = LEAST_VARIANCE * np.average(squares, weights=decay)
    variance = np.ones(len(squares))
    for _ in range(PASSES):
        lines = np.vstack([design, squares]) * np.sqrt(decay / variance)
        size = np.sqrt(np.einsum("ir,ir->i", lines, lines))
        size[size == 0] = 1.0  # a line of zeros explains nothing and keeps the coefficient zero
        folded = _folded(lines / size[:, None])
        solution, _ = nnls(folded[:, :-1], folded[:, -1])
        found = np.asarray(solution * size[-1] / size[:-1], dtype=np.float64)
        variance = np.maximum(np.einsum("ir,i->r", design, found), floor)
    return found


def _folded(lines: FloatArray) -> FloatArray:
    """(n, n): a square matrix with the products of (n, rows) lines, so the same least squares.

    Products are summed by einsum: on so few lines the threads of a BLAS cost more than they bring.
    """
    values, vectors = np.linalg.eigh(np.einsum("ir,jr->ij", lines, lines))
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T, dtype=np.float64)


def _own_factors(
    squares: FloatArray, series: IntArray, decay: FloatArray, count: int
) -> FloatArray:
    """(count,): a series' mean squared ratio over that of all, drawn to one by `OWN_PRIOR`."""
    bounded = np.minimum(squares, LARGEST_SQUARE)
    relative = bounded / np.average(bounded, weights=decay)
    total = np.bincount(series, weights=decay * relative, minlength=count)
    weight = np.bincount(series, weights=decay, minlength=count)
    return np.asarray((total + OWN_PRIOR) / (weight + OWN_PRIOR), dtype=np.float64)


def _weighted_quantiles(
    values: FloatArray, weights: FloatArray, levels: tuple[float, float]
) -> tuple[float, float]:
    """Quantiles, linear between the middles of the weights: the usual ones for equal weights."""
    order = np.argsort(values, kind="stable")
    middle = np.cumsum(weights[order]) - weights[order] / 2
    place = (middle - middle[0]) / max(middle[-1] - middle[0], np.finfo(np.float64).tiny)
    low, high = np.interp(levels, place, values[order])
    return float(low), float(high)


def _check_numbers(table: pl.DataFrame, columns: tuple[str, ...], name: str) -> None:
    for column in columns:
        allowed = pl.col(column).is_finite()
        if column != "score":
            allowed &= pl.col(column) >= 0
        refused = table.filter(~allowed.fill_null(value=False))
        if len(refused):
            row = refused.row(0, named=True)
            raise ValueError(
                f"{name}: {column} = {row[column]} of series {row['series']!r} at step "
                f"{row['step']}; an angular band needs finite errors, and variances that are "
                "finite and not negative; correct the count or the share behind it"
            )


def _too_few(step: int, origin: int, have: int, band: Band) -> TooFewScoresError:
    when = np.datetime64(origin, "us").astype("datetime64[m]")
    return TooFewScoresError(
        f"step {step} at origin {when}Z: {have} forecasts have come true; an angular band needs "
        f"{band.least}; lengthen band.calibration or start the evaluation later"
    )


def _instants(column: pl.Series) -> IntArray:
    """Microseconds since 1970, UTC."""
    return column.dt.epoch("us").to_numpy()


def _numbers(column: pl.Series) -> FloatArray:
    return column.cast(pl.Float64).to_numpy()


def _codes(column: pl.Series, names: list[str]) -> IntArray:
    """The place of each entry in `names`."""
    return column.cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()
