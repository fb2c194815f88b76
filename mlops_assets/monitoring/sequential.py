"""Tests that may be looked at after every period, with a stated chance of ever being wrong.

Here: betting against a null hypothesis, as pure numpy. Not here: which values are bet on
(`monitoring.control`).

**A bet.** x_1, x_2, .. are gains: x_t is known after period t, and the null hypothesis is
E[x_t | what was known when the forecast was made] <= 0. A stake of kappa_t >= 0, chosen before x_t
is known, multiplies the wealth by 1 + kappa_t x_t. Since x_t >= -floor_t with a floor that is known
beforehand, kappa_t <= 1 / (2 floor_t) keeps at least half of it. Under the null the wealth is a
nonnegative supermartingale from 1, so the chance that it ever reaches 1/alpha is at most alpha,
however long one looks and whenever one stops (Ville 1939; Ramdas, Grunwald, Vovk & Shafer 2023,
Stat. Sci. 38:576-601).

**The stake** is the approximate growth-optimal one, sum x / (floor_t^2 + sum x^2), between 0 and
its bound (aGRAPA: Waudby-Smith & Ramdas 2024, JRSS B 86:1-27). It is 0 as long as the past speaks
for the null. One half of the wealth bets by all of the past, which finds small lasting faults; the
other half forgets with a half-life of `HALF_LIFE` periods, which finds sudden ones.

**Starts.** Wealth lost in good times would have to be won back before a fault shows. So the wealth
is spread over start periods j with weights w_j that sum to 1 and wait unspent until then; a mean
of supermartingales is one. With the tail T(t) = 1 / (1 + log(1 + t / HALF_LIFE)) and
w_j = T(j-1) - T(j), the wealth at work follows S_t = (S_{t-1} + w_t) (1 + kappa_t x_t), and the
e-value is the mean of S_t over both halves, plus T(t).

**Forecasts of several leads** overlap: when a period comes true, forecasts of the next ones were
made long before, in ignorance of it. With longest lead h, the periods are dealt to h streams, each
h apart, and each stream is a bet of its own. The mean over streams is no supermartingale (an alarm
in one stream may be timed by news of another), but each stream stays below h/alpha with chance
1 - alpha/h: the e-value is the largest over the streams, divided by h (union bound).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

HALF_LIFE: Final = 24.0
"""Periods after which the quick half of the wealth has forgotten half of what it saw."""

_KEEP: Final = np.array([1.0, 0.5 ** (1 / HALF_LIFE)])
"""What is kept of the past after a period: by the slow half, by the quick half."""

_RICHEST: Final = 1e100
"""Wealth is cut here, which only weakens a bet: more would overflow and say no more."""


@dataclass(frozen=True)
class Bet:
    """A bet after `periods` periods. Arrays have shape (..., 2): tests, then slow and quick half.

    Attributes:
        periods: how many gains were seen.
        gains: discounted sum of x, units of the gain.
        squares: discounted sum of x^2.
        wealth: S, at work.
        largest: the largest e-value so far, shape (...).
    """

    periods: int
    gains: FloatArray
    squares: FloatArray
    wealth: FloatArray
    largest: FloatArray

    @property
    def e_value(self) -> FloatArray:
        """The present e-value, shape (...), range [0, inf)."""
        return np.asarray(self.wealth.mean(axis=-1) + unspent(self.periods))


def open_bet(shape: tuple[int, ...] = ()) -> Bet:
    """A bet before the first period; `shape` is that of the tests which run side by side."""
    nothing = np.zeros((*shape, len(_KEEP)))
    return Bet(0, nothing, nothing, nothing, np.ones(shape))


def unspent(periods: int) -> float:
    """T(t): the share of the wealth whose start lies after period `periods`, range (0, 1]."""
    return float(1 / (1 + np.log1p(periods / HALF_LIFE)))


def after(bet: Bet, gain: FloatArray | float, floor: FloatArray | float) -> Bet:
    """The bet after one more period, in constant time.

    Args:
        bet: until now.
        gain: x_t, at least -floor_t, shape of the tests.
        floor: floor_t >= 0, known before x_t; 0 where nothing can be lost, which bets nothing.
    """
    x = np.asarray(gain, dtype=np.float64)[..., None]
    low = np.asarray(floor, dtype=np.float64)[..., None]
    prior = low**2 + bet.squares
    wanted = np.divide(bet.gains, prior, out=np.zeros_like(bet.gains), where=prior > 0)
    bound = np.divide(0.5, low, out=np.zeros_like(low), where=low > 0)
    stake = np.clip(wanted, 0.0, bound)
    started = bet.wealth + (unspent(bet.periods) - unspent(bet.periods + 1))
    wealth = np.minimum(started * (1 + stake * x), _RICHEST)
    e_value = wealth.mean(axis=-1) + unspent(bet.periods + 1)
    return Bet(
        periods=bet.periods + 1,
        gains=_KEEP * bet.gains + x,
        squares=_KEEP * bet.squares + x**2,
        wealth=wealth,
        largest=np.maximum(bet.largest, e_value),
    )


def largest_e_values(
    gains: FloatArray, floors: FloatArray, *, places: npt.NDArray[np.int64], lead: int
) -> FloatArray:
    """The largest e-value up to each period.

    Args:
        gains: x of each period, shape (..., periods), oldest first.
        floors: the most that each can lose, same shape.
        places: place of each period on the grid of valid times, shape (periods,), rising; those
            with one remainder by `lead` are a stream.
        lead: the longest lead behind a gain, in periods.

    Returns:
        Shape (..., periods), never falling, at least 1 / lead.

    Raises:
        ValueError: a gain is below minus its floor, or lead is below 1.
    """
    _check(gains, floors, lead)
    streams: dict[int, Bet] = {}
    found = np.full(gains.shape, 1.0)
    best = np.ones(gains.shape[:-1])
    for number, place in enumerate(places % lead):
        bet = streams.get(int(place)) or open_bet(gains.shape[:-1])
        bet = after(bet, gains[..., number], floors[..., number])
        streams[int(place)] = bet
        best = np.maximum(best, bet.largest)
        found[..., number] = best
    return found / lead


def _check(gains: FloatArray, floors: FloatArray, lead: int) -> None:
    if lead < 1:
        raise ValueError(f"lead is {lead}; periods are dealt to that many streams; pass 1 or more")
    deepest = float(np.max(-gains - floors * (1 + 1e-9), initial=0.0))
    if deepest > 1e-9 * max(1.0, float(np.max(np.abs(gains), initial=0.0))):
        raise ValueError(
            f"a gain lies {deepest:.3g} below minus its floor; a floor must bound the loss before "
            "it is known, or the stated chance of a false alarm is void; pass a larger floor"
        )
