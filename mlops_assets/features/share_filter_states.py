"""The state space behind a panel of shares: what a state is, and how a day changes it.

A segment's shares are the softmax over brands of

    eta[g, b] = M[g, b] + A[g, b] + lam[g] (B[b] + S[b] c(day) + D[weekday, b])

with M the mean of a brand in a segment, A the level's deviation from it, which fades (correlated
between segments), and, shared by all segments at their loading lam: B a short shock, S the yearly
season, D the day of the week. The state is estimated by an extended Kalman filter, one
linearisation a day: a day's counts are a multinomial draw, overdispersed.

Here: the state, its start, a day's prediction and update, and the shares it means. Not here: the
pass over the days and the forecasts (`share_filter`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular

from mlops_assets.features.share_filter_layout import FloatArray, IntArray, Labels
from mlops_assets.features.share_filter_parameters import ShareFilterParameters
from mlops_assets.problem import ProblemError

WEEKDAYS: Final = 7


@dataclass(frozen=True)
class StateSpace:
    """The matrices that do not change from day to day; G segments, B brands, state of length n.

    Attributes:
        segments, brands: G and B.
        loadings: (G,), lam.
        fading: (n,), part of each state that is left a day on.
        innovation: (n, n), covariance that a day adds.
        prior: (n, n), covariance at the start.
        parameters: those it is made of.
    """

    segments: int
    brands: int
    loadings: FloatArray
    fading: FloatArray
    innovation: FloatArray
    prior: FloatArray
    parameters: ShareFilterParameters


@dataclass
class State:
    """Mean (n,) and covariance (n, n), in the order M, A, B, S, D."""

    mean: FloatArray
    covariance: FloatArray


def state_space(
    parameters: ShareFilterParameters,
    *,
    segments: Labels,
    brands: Labels,
    labels: Mapping[str, Labels],
) -> StateSpace:
    """Lay the parameters out for these segments and brands.

    Args:
        parameters: by label.
        segments: (G,), their names.
        brands: (B,), their labels.
        labels: key of a segment -> (G,) its label in each.

    Raises:
        ProblemError: a parameter names a segment, brand or key that does not exist.
    """
    _refuse_unknown("loadings", parameters.loadings, segments)
    _refuse_unknown("brand_scale", parameters.brand_scale, brands)
    _refuse_unknown("group_sd", parameters.group_sd, np.array(list(labels), dtype=np.str_))
    loadings = np.array([parameters.loadings.get(str(name), 1.0) for name in segments])
    scale = np.array([parameters.brand_scale.get(str(name), 1.0) for name in brands])
    innovation, prior = _covariances(parameters, loadings, scale, labels)
    of_level, of_brand = len(segments) * len(brands), len(brands)
    fading = np.repeat(
        [1.0, parameters.level_persistence, parameters.shock_persistence, 1.0],
        [of_level, of_level, of_brand, (1 + WEEKDAYS) * of_brand],
    )
    return StateSpace(
        segments=len(segments),
        brands=len(brands),
        loadings=loadings,
        fading=fading,
        innovation=innovation,
        prior=prior,
        parameters=parameters,
    )


def starting_state(space: StateSpace, shares: FloatArray, counts: FloatArray) -> State:
    """A state whose mean M is that of the first days' shares.

    Args:
        space: the state space.
        shares: (days, G, B), fractions; NaN where unknown.
        counts: (days, G), without NaN. Half an observation is added to each brand, so that one
            without any is rare, not impossible.
    """
    known = ~np.isnan(shares.sum(axis=2))
    observed = np.where(known[:, :, None], shares * counts[:, :, None], 0.0).sum(axis=0) + 0.5
    logs = np.log(observed)
    centred = logs - logs.mean(axis=1, keepdims=True)
    mean = np.zeros(len(space.fading))
    mean[: centred.size] = centred.ravel()
    return State(mean, space.prior.copy())


def predict(space: StateSpace, state: State) -> State:
    """The state a day on, before that day's shares are known."""
    covariance = state.covariance * space.fading[:, None] * space.fading
    return State(state.mean * space.fading, covariance + space.innovation)


def update(
    space: StateSpace,
    state: State,
    shares: FloatArray,
    counts: FloatArray,
    *,
    season: float,
    weekday: int,
) -> State:
    """The state after a day's shares; a segment with an unknown share changes nothing.

    Extended Kalman update on the first B - 1 brands of each segment, with observation covariance
    `phi J / N + w^2 J J'`, J the derivative of the softmax. A segment's innovation is scaled down
    so that none of its parts is more than `clip_sd` standard deviations.

    Args:
        space: the state space.
        state: as predicted for the day.
        shares: (G, B), fractions.
        counts: (G,).
        season: `c(day)`.
        weekday: 0 on Monday.
    """
    known = np.flatnonzero(~np.isnan(shares.sum(axis=1)))
    if not len(known):
        return state
    expected = shares_of(space, state.mean, np.array([season]), np.array([weekday]))[0][known]
    slopes, noise = _observation(space.parameters, expected, counts[known])
    # Covariance of the states with each share, (n, known, B - 1), and of the shares.
    logits = _state_with_logits(space, state.covariance, season, weekday)[:, known]
    cross = _times_slopes(logits, slopes)
    total = _of_logits(space, cross, season, weekday)[known].reshape(*expected.shape, -1)
    rows = cross[0].size
    total = np.matmul(slopes, total).reshape(rows, rows) + _block_diagonal(noise)
    surprise = _clipped((shares[known] - expected)[:, :-1], total, space.parameters.clip_sd)
    root = cholesky(total, lower=True, check_finite=False)
    weights = solve_triangular(root, cross.reshape(-1, rows).T, lower=True, check_finite=False)
    scaled = solve_triangular(root, surprise.ravel(), lower=True, check_finite=False)
    return State(state.mean + scaled @ weights, state.covariance - weights.T @ weights)


def shares_of(
    space: StateSpace,
    mean: FloatArray,
    season: FloatArray,
    weekday: IntArray,
    *,
    ahead: bool = False,
) -> FloatArray:
    """The shares (days, G, B) that a state means on days of these seasons and weekdays.

    Args:
        space: the state space.
        mean: (n,), of the state.
        season: (days,), `c` of each day.
        weekday: (days,), 0 on Monday.
        ahead: the days are 1, 2, .. days after the state's, on which levels and shocks have
            faded; otherwise they are the state's own day.
    """
    level, deviation, shock, amplitude, of_week = _parts(space, mean)
    steps = np.arange(1, len(season) + 1) if ahead else np.zeros(len(season))
    p = space.parameters
    left, shock_left = p.level_persistence**steps, p.shock_persistence**steps
    common = shock * shock_left[:, None] + amplitude * season[:, None] + of_week[weekday]
    logits = level + deviation * left[:, None, None]
    logits = logits + space.loadings[:, None] * common[:, None, :]
    return softmax(logits)


def softmax(logits: FloatArray) -> FloatArray:
    """Shares over the last axis that add up to 1."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _covariances(
    p: ShareFilterParameters,
    loadings: FloatArray,
    scale: FloatArray,
    labels: Mapping[str, Labels],
) -> tuple[FloatArray, FloatArray]:
    """What a day adds, and the prior at the start; levels and shocks begin as they go on."""
    level = np.kron(_shared_covariance(p, loadings, labels), np.diag(scale**2))
    level += p.own_sd**2 * np.eye(len(level))
    shock = np.diag((p.shock_sd * scale) ** 2)
    of_week = np.eye(WEEKDAYS * len(scale))
    innovation = _blocks(
        np.zeros(level.shape),
        level,
        (1 - p.shock_persistence**2) * shock,
        np.zeros(shock.shape),
        p.weekday_walk_sd**2 * of_week,
    )
    prior = _blocks(
        p.mean_sd**2 * np.eye(len(level)),
        level / (1 - p.level_persistence**2),
        shock,
        p.season_sd**2 * np.eye(len(scale)),
        p.weekday_sd**2 * of_week,
    )
    return innovation, prior


def _shared_covariance(
    p: ShareFilterParameters, loadings: FloatArray, labels: Mapping[str, Labels]
) -> FloatArray:
    """(G, G): what segments have in common in a day's change of a brand's level."""
    shared = p.common_sd**2 * np.outer(loadings, loadings)
    for key, sd in p.group_sd.items():
        shared = shared + sd**2 * (labels[key][:, None] == labels[key])
    return shared


def _blocks(*parts: npt.NDArray[np.floating]) -> FloatArray:
    size = sum(len(part) for part in parts)
    out, start = np.zeros((size, size)), 0
    for part in parts:
        out[start : start + len(part), start : start + len(part)] = part
        start += len(part)
    return out


def _block_diagonal(parts: FloatArray) -> FloatArray:
    count, size, _ = parts.shape
    out = np.zeros((count, size, count, size))
    out[np.arange(count), :, np.arange(count), :] = parts
    return out.reshape(count * size, count * size)


def _parts(
    space: StateSpace, mean: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """M (G, B), A (G, B), B (B,), S (B,), D (7, B), views of anything laid out like a state."""
    g, b = space.segments, space.brands
    ends = np.cumsum([g * b, g * b, b, b])
    level, deviation, shock, amplitude, of_week = np.split(mean, ends)
    return (
        level.reshape(g, b, *mean.shape[1:]),
        deviation.reshape(g, b, *mean.shape[1:]),
        shock,
        amplitude,
        of_week.reshape(WEEKDAYS, b, *mean.shape[1:]),
    )


def _of_logits(space: StateSpace, rows: FloatArray, season: float, weekday: int) -> FloatArray:
    """(G, B, ..): the logits' combination of n rows, one for each state."""
    level, deviation, shock, amplitude, of_week = _parts(space, rows)
    common = shock + season * amplitude + of_week[weekday]
    loadings = space.loadings.reshape(-1, *(1 for _ in common.shape))
    combined: FloatArray = level + deviation + loadings * common
    return combined


def _state_with_logits(
    space: StateSpace, covariance: FloatArray, season: float, weekday: int
) -> FloatArray:
    """(n, G, B): covariance of each state with each logit."""
    return np.moveaxis(_of_logits(space, covariance, season, weekday), -1, 0)


def _times_slopes(logits: FloatArray, slopes: FloatArray) -> FloatArray:
    """(n, G, B - 1): covariances with shares, from those with logits (n, G, B)."""
    by_segment = np.matmul(logits.transpose(1, 0, 2), slopes.transpose(0, 2, 1))
    return np.ascontiguousarray(by_segment.transpose(1, 0, 2))


def _clipped(surprise: FloatArray, variance: FloatArray, clip_sd: float) -> FloatArray:
    """Each segment's surprise (G, B - 1), scaled down to at most `clip_sd` deviations."""
    sd = np.sqrt(np.diag(variance)).reshape(surprise.shape)
    largest = np.max(np.abs(surprise) / sd, axis=1, keepdims=True)
    clipped: FloatArray = surprise / np.maximum(largest / clip_sd, 1.0)
    return clipped


def _observation(
    p: ShareFilterParameters, expected: FloatArray, counts: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The softmax's derivative (G, B - 1, B), and the covariance (G, B - 1, B - 1) of the noise."""
    slopes = -expected[:, :, None] * expected[:, None, :]
    diagonal = np.arange(expected.shape[1])
    slopes[:, diagonal, diagonal] += expected
    slopes = slopes[:, :-1]
    noise = p.overdispersion * slopes[:, :, :-1] / counts[:, None, None]
    return slopes, noise + p.extra_sd**2 * np.matmul(slopes, slopes.transpose(0, 2, 1))


def _refuse_unknown(parameter: str, given: Mapping[str, float], known: Labels) -> None:
    unknown = sorted(set(given) - {str(name) for name in known})
    if unknown:
        raise ProblemError(
            f"share_filter: {parameter} names {unknown}, and there is {', '.join(known)}; "
            "use these names"
        )
