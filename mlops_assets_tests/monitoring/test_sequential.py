"""Tests that may be looked at at any time: the arithmetic, and the error rates by simulation.

A simulated year is 8,760 hourly steps of Student t3 shocks whose volatility wanders slowly.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from mlops_assets.monitoring.sequential import (
    HALF_LIFE,
    after,
    largest_e_values,
    open_bet,
    unspent,
)

FloatArray = npt.NDArray[np.float64]

YEAR = 8760
T3_SD = math.sqrt(3)


def wandering(rng: np.random.Generator, years: int, hours: int) -> FloatArray:
    """Volatility: exp of a first-order autoregression of 0.99, shape (years, hours)."""
    level = np.zeros(years)
    found = np.empty((years, hours))
    for hour, shock in enumerate(0.1 * rng.normal(size=(hours, years))):
        level = 0.99 * level + shock
        found[:, hour] = level
    return np.exp(found)


def run(gains: FloatArray, floors: FloatArray, lead: int = 1) -> FloatArray:
    """Largest e-values of periods without a gap."""
    return largest_e_values(gains, floors, places=np.arange(gains.shape[-1]), lead=lead)


def against(
    actual: FloatArray, own: FloatArray, rival: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gains and floors of a bet that `own` has the larger absolute errors."""
    return np.abs(own - actual) - np.abs(rival - actual), np.abs(own - rival)


def alarms_after(e_values: FloatArray, threshold: float, *, begin: int = 0) -> FloatArray:
    """Periods from `begin` until each test alarms; infinite where it never does."""
    over = e_values >= threshold
    return np.where(over.any(axis=-1), over.argmax(axis=-1) + 1.0 - begin, np.inf)


def test_the_first_period_moves_nothing_since_nothing_was_seen_before_it() -> None:
    bet = after(open_bet(), 1.0, 1.0)

    assert float(bet.e_value) == pytest.approx(1.0)


def test_the_second_period_multiplies_what_started_by_the_stake_chosen_before_it() -> None:
    bet = after(after(open_bet(), 0.5, 1.0), 0.4, 1.0)

    # Stake of both halves: 0.5 / (1^2 + 0.5^2) = 0.4; what started before either period was 1.
    working = 1 - unspent(2)
    assert float(bet.e_value) == pytest.approx(working * (1 + 0.4 * 0.4) + unspent(2))


def test_the_recursion_is_the_mean_of_bets_over_their_starts() -> None:
    rng = np.random.default_rng(5)
    gains, floor = rng.uniform(-1, 1, 40), 1.0
    total = 0.0
    for keep in (1.0, 0.5 ** (1 / HALF_LIFE)):
        factors = []
        for t, gain in enumerate(gains):
            kept = keep ** np.arange(t - 1, -1, -1)
            stake = (kept @ gains[:t]) / (floor**2 + kept @ gains[:t] ** 2)
            factors.append(1 + min(max(stake, 0.0), 0.5 / floor) * gain)
        starts = range(len(gains))
        weights = [unspent(j) - unspent(j + 1) for j in starts]
        total += sum(w * math.prod(factors[j:]) for w, j in zip(weights, starts, strict=True)) / 2

    bet = open_bet()
    for gain in gains:
        bet = after(bet, gain, floor)

    assert float(bet.e_value) == pytest.approx(total + unspent(40))


def test_one_step_after_another_gives_what_the_whole_stretch_gives() -> None:
    rng = np.random.default_rng(6)
    floors = rng.uniform(0, 2, 300)
    gains = rng.uniform(-1, 1, 300) * floors
    bet, largest = open_bet(), []
    for gain, floor in zip(gains, floors, strict=True):
        bet = after(bet, gain, floor)
        largest.append(float(bet.largest))

    np.testing.assert_array_equal(run(gains, floors), largest)


def test_a_change_of_unit_changes_no_e_value() -> None:
    rng = np.random.default_rng(7)
    floors = rng.uniform(0, 2, 100)
    gains = rng.uniform(-0.5, 1, 100) * floors

    np.testing.assert_allclose(run(1000 * gains, 1000 * floors), run(gains, floors))


def test_forecasts_that_coincide_say_nothing() -> None:
    assert run(np.zeros(50), np.zeros(50))[-1] == pytest.approx(1.0)


def test_wealth_without_end_does_not_overflow() -> None:
    with np.errstate(over="raise"):
        assert np.isfinite(run(np.ones(5000), np.ones(5000))[-1])


def test_a_gain_below_its_floor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.5 below minus its floor.*pass a larger floor"):
        run(np.array([-1.5]), np.array([1.0]))


def test_a_lead_of_two_deals_the_periods_to_two_streams_and_halves_the_larger() -> None:
    rng = np.random.default_rng(8)
    gains = rng.uniform(-0.2, 1, 60)
    even, odd = run(gains[::2], np.ones(30))[-1], run(gains[1::2], np.ones(30))[-1]

    assert run(gains, np.ones(60), lead=2)[-1] == pytest.approx(max(even, odd) / 2)


def test_a_missing_period_does_not_move_the_others_to_another_stream() -> None:
    rng = np.random.default_rng(9)
    gains = rng.uniform(-0.2, 1, 60)
    places = np.delete(np.arange(60), 10)
    even = run(np.delete(gains[::2], 5), np.ones(29))[-1]
    odd = run(gains[1::2], np.ones(30))[-1]

    found = largest_e_values(gains[places], np.ones(59), places=places, lead=2)

    assert found[-1] == pytest.approx(max(even, odd) / 2)


def test_under_an_exact_null_at_most_alpha_of_300_simulated_years_alarm() -> None:
    rng = np.random.default_rng(2026)
    volatility = wandering(rng, 300, YEAR)
    actual = volatility * rng.standard_t(3, size=volatility.shape)
    # Two forecasts at the same distance on both sides of the centre: neither is the better one.
    distance = volatility * rng.normal(size=volatility.shape)
    e_values = run(*against(actual, distance / 2, -distance / 2))[:, -1]

    counts = {alpha: int((e_values >= 1 / alpha).sum()) for alpha in (0.05, 0.01)}

    # Three binomial standard errors above alpha * 300 = 15 and 3.
    assert counts[0.05] <= 15 + 11, f"alarms in 300 years: {counts}"
    assert counts[0.01] <= 3 + 5, f"alarms in 300 years: {counts}"


def test_under_an_exact_null_overlapping_forecasts_alarm_no_more_often() -> None:
    rng = np.random.default_rng(11)
    lead, hours = 7, 2000
    shocks = rng.standard_t(3, size=(300, hours + lead))
    actual = np.sum([shocks[:, k : k + hours] for k in range(lead)], axis=0)
    # Forecasts keep their side for a week, so that overlapping errors agree.
    side = np.repeat(rng.choice([-1.0, 1.0], size=(300, hours // lead + 1)), lead, axis=1)
    e_values = run(*against(actual, side[:, :hours], -side[:, :hours]), lead=lead)[:, -1]

    alarms = int((e_values >= 20).sum())

    assert alarms <= 15 + 11, f"{alarms} alarms of 300 at a level of 5 %"


def test_a_sound_champion_raises_no_more_than_its_share_of_alarms_in_100_simulated_years() -> None:
    rng = np.random.default_rng(2027)
    volatility = wandering(rng, 100, YEAR)
    signal = 0.1 * volatility * rng.normal(size=volatility.shape)
    actual = signal + volatility * rng.standard_t(3, size=volatility.shape)
    width = 2.353 * volatility  # the 90 % band of t3
    covered = (np.abs(actual - signal) <= width).astype(np.float64)
    worse = run(*against(actual, signal, np.zeros_like(signal)))[:, -1]
    uncovered = run(0.85 - covered, np.full_like(covered, 0.15))[:, -1]

    alarms = {"errors": int((worse >= 200).sum()), "coverage": int((uncovered >= 100).sum())}

    assert alarms == {"errors": 0, "coverage": 0}, f"false alarms in 100 years: {alarms}"


@pytest.mark.parametrize(("begin", "median", "slow"), [(0, 30, 60), (YEAR // 2, 60, 120)])
def test_a_bias_of_two_standard_deviations_is_found_within_tens_of_periods(
    begin: int, median: int, slow: int
) -> None:
    rng = np.random.default_rng(12)
    volatility = wandering(rng, 60, begin + 300)
    signal = 0.1 * volatility * rng.normal(size=volatility.shape)
    actual = signal + volatility * rng.standard_t(3, size=volatility.shape)
    own = signal.copy()
    own[:, begin:] += 2 * T3_SD
    e_values = run(*against(actual, own, np.zeros_like(own)))

    waits = alarms_after(e_values, 200, begin=begin)

    found = f"median {np.median(waits):.0f}, nine of ten within {np.quantile(waits, 0.9):.0f}"
    assert waits.min() > 0, found
    assert np.median(waits) <= median, found
    assert np.quantile(waits, 0.9) <= slow, found


def test_bands_that_cover_half_of_what_they_promise_are_found_within_tens_of_periods() -> None:
    rng = np.random.default_rng(13)
    covered = (rng.random((60, 500)) < 0.45).astype(np.float64)

    waits = alarms_after(run(0.85 - covered, np.full_like(covered, 0.15)), 100)

    assert np.median(waits) <= 30, f"median {np.median(waits):.0f} periods"
