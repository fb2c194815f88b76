"""The gate's error rates and power by simulation, and what "promote if lower" does instead.

Under the null every candidate's error is the same shock plus own noise of one distribution: the
candidates are exchangeable, so that no expected loss differs. Shocks are Student t4, as hourly
returns are, with a volatility that changes by the day.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from mlops_assets.evaluation.significance import diebold_mariano, holm
from mlops_assets.promotion.decision import decide
from mlops_assets.promotion.verdict import Incumbent
from mlops_assets_tests.evaluation.frames import HOUR, START, backtest_frame, small_problem

FloatArray = npt.NDArray[np.float64]

CHALLENGERS = 3
SPAN = 2016  # twelve weeks of hours
WEEK = 168
LOOKS = 52
YEARS = 300


def null_errors(rng: np.random.Generator, hours: int) -> FloatArray:
    """Errors of the incumbent (row 0) and the challengers, shape (1 + CHALLENGERS, hours)."""
    volatility = np.repeat(np.exp(0.4 * rng.normal(size=hours // 24 + 1)), 24)[:hours]
    shock = rng.standard_t(4, size=hours)
    own = 0.2 * rng.standard_t(4, size=(1 + CHALLENGERS, hours))
    return np.asarray(volatility * (shock + own))


def look_p_values(errors: FloatArray) -> dict[str, float]:
    """Holm-adjusted p-values of one look; the incumbent is the strongest baseline."""
    losses = np.abs(errors)
    return holm(
        {f"c{k}": diebold_mariano(losses[k] - losses[0], 1).p_value for k in range(1, len(losses))}
    )


def test_under_an_exact_null_a_year_of_weekly_looks_promotes_falsely_in_at_most_5_percent() -> None:
    rng = np.random.default_rng(2024)
    alpha = 0.05 / LOOKS
    false_years = 0
    for _ in range(YEARS):
        errors = null_errors(rng, SPAN + (LOOKS - 1) * WEEK)
        spans = (errors[:, k * WEEK : k * WEEK + SPAN] for k in range(LOOKS))
        false_years += any(min(look_p_values(span).values()) < alpha for span in spans)
    # Three binomial standard errors at 5 % of 300 years.
    assert false_years / YEARS <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / YEARS)


def test_the_simulated_path_and_the_gate_give_the_same_p_values() -> None:
    rng = np.random.default_rng(7)
    incumbent = Incumbent(candidate="c0", recipe_id="c0-1")
    for _ in range(5):
        errors = null_errors(rng, SPAN)
        actual = np.full(SPAN, 100.0)
        points = {f"c{k}": actual + e for k, e in enumerate(errors)}
        verdict = decide(
            backtest_frame(actual, points, baselines=("c0",)),
            small_problem(),
            incumbent=incumbent,
            as_of=START + SPAN * HOUR,
        )
        by_gate = {t.challenger: t.holm_p_value for t in verdict.tests}
        assert by_gate == pytest.approx(look_p_values(errors))


def test_on_the_same_draws_promoting_whatever_is_lower_promotes_half_of_the_time() -> None:
    rng = np.random.default_rng(2024)
    lower = better = 0
    draws = 300
    for _ in range(draws):
        losses = np.abs(null_errors(rng, SPAN))
        lower += losses[1].mean() < losses[0].mean()
        better += diebold_mariano(losses[1] - losses[0], 1).p_value < 0.05
    # Half, and at most 5 % plus the small excess of a robust variance; three standard errors each.
    assert abs(lower / draws - 0.5) < 3 * math.sqrt(0.25 / draws)
    assert better / draws < 0.06 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_a_true_edge_of_one_percent_over_twelve_weeks_of_hours_is_mostly_promoted() -> None:
    # The return is signal + noise, noise t4, signal normal with sd SIGNAL; the forecast is the
    # signal. SIGNAL makes the mean absolute error one percent lower than that of the last value.
    signal_sd, hours, draws = 0.165, 2016, 40
    rng = np.random.default_rng(5)
    big_signal, big_noise = signal_sd * rng.normal(size=4_000_000), rng.standard_t(4, 4_000_000)
    edge = 1 - np.abs(big_noise).mean() / np.abs(big_signal + big_noise).mean()
    assert edge == pytest.approx(0.01, abs=0.0005)
    problem = small_problem(evaluation={"guards": ["squared_error"]})
    promoted = 0
    for _ in range(draws):
        signal, move = signal_sd * rng.normal(size=hours), rng.standard_t(4, hours)
        last = np.full(hours, 100.0)
        frame = backtest_frame(last + signal + move, {"last_value": last, "ridge": last + signal})
        verdict = decide(frame, problem, incumbent=None, as_of=START + hours * HOUR)
        promoted += verdict.candidate == "ridge"
    # The power is 0.9 (300 draws of the test alone), less three standard errors of 40 draws.
    assert promoted / draws > 0.75
