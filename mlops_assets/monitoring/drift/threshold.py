"""From which distance on a column has drifted: a stated number of false alarms a year.

Here: the level of one comparison, and the distance that an unchanged process exceeds that often,
from its own past windows. Not here: which windows (`windows`) and the distance (`distance`).

**The level.** With the budget B of alarming looks in a year of daily looks and m quantities watched
(the columns, and the champion's errors as one more), each is tested at `alpha = B / (365 m)`. By
Boole's inequality an unchanged process gives at most B alarming looks a year on average, whatever
the columns have to do with each other and however the looks overlap.

**The threshold.** Past windows give n distances of the unchanged process. alpha lies far out in
their tail (1e-3 against some hundred windows), so the tail is extrapolated: above the quantile u at
1 - q (q = `TAIL`) excesses are taken as exponential with the mean s of those seen, which is the
peaks-over-threshold method (Pickands 1975, Annals of Statistics 3:119-131) with shape 0. s is known
from only k independent excesses, k = q n / `OVERLAP` for windows that overlap; a new excess over s
is then F-distributed with (2, 2k) degrees of freedom, so that

    threshold = u + s k ((q / alpha)^(1/k) - 1)

which is the plain `u + s log(q / alpha)` for large k and further out the fewer windows there are:
that is the margin. It is never below the largest distance of the past.

The price of the margin is sight: in simulations an autoregression that remembers two days holds its
share of the budget with a threshold 1.4 to 1.6 times the true quantile. Single outliers of a
process without a fourth moment (Student's t, 3 degrees of freedom), and memory longer than the
current stretch, which leaves fewer windows independent than counted here, may take up to three
times their share.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mlops_assets.monitoring.drift.distance import normed_wasserstein
from mlops_assets.monitoring.drift.windows import (
    OVERLAP,
    FloatArray,
    History,
    Pair,
    past_pairs,
)

LOOKS_PER_YEAR: Final = 365
TAIL: Final = 0.2
"""Share of past distances that tell the tail."""

LEAST_WINDOWS: Final = 6
"""Past windows without a common period; with fewer no threshold is claimed."""


def alarm_level(false_alarms_per_year: float, watched: int) -> float:
    """Chance of a false alarm that one watched quantity may take at one look.

    Args:
        false_alarms_per_year: looks out of 365 that may alarm although nothing changed.
        watched: number of quantities that share it.
    """
    return min(false_alarms_per_year / (LOOKS_PER_YEAR * watched), 1.0)


def past_distances(history: History, today: Pair) -> FloatArray:
    """Distances of past windows from the references before them, newest first, (windows,)."""
    if history.first is None:
        return np.empty(0)
    sides = [history.sides(pair) for pair in past_pairs(today, history.first)]
    return np.array([normed_wasserstein(*side) for side in sides if side is not None])


def calibrated_threshold(distances: FloatArray, level: float) -> float | None:
    """The distance that an unchanged process exceeds at a share `level` of looks.

    Args:
        distances: of past windows, `OVERLAP` of which share a period, (windows,).
        level: as `alarm_level` gives it.

    Returns:
        None when there are fewer than `LEAST_WINDOWS` windows without a common period.
    """
    if len(distances) < LEAST_WINDOWS * OVERLAP:
        return None
    if level >= TAIL:
        return float(np.quantile(distances, 1 - level))
    start = float(np.quantile(distances, 1 - TAIL))
    excess = float(np.mean(distances[distances >= start] - start))
    independent = TAIL * len(distances) / OVERLAP
    margin = excess * independent * float((TAIL / level) ** (1 / independent) - 1)
    return max(start + margin, float(distances.max()))
