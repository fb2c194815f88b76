"""How far apart two samples are: Evidently's `wasserstein`, in numpy.

Here: the number alone, fast enough for hundreds of past windows. Not here: from which distance on
it counts as drift (`threshold`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mlops_assets.monitoring.drift.windows import FloatArray

METHOD: Final = "wasserstein"
"""Evidently's name of the distance."""

_LEAST_SPREAD: Final = 0.001
"""Evidently divides by no smaller standard deviation."""


def normed_wasserstein(reference: FloatArray, current: FloatArray) -> float:
    """First Wasserstein distance in standard deviations of the reference; 0 for equal samples.

    `integral |F_reference(x) - F_current(x)| dx / max(sd(reference), 0.001)`, with the sample's own
    standard deviation (ddof 0). Shapes (n,) and (m,), finite.

    Source: Ramdas, Trillos and Cuturi 2017, Entropy 19(2):47; evidently 0.7
    `wasserstein_distance_norm`, which it equals.
    """
    known, new = np.sort(reference), np.sort(current)
    places = known.searchsorted(new)
    values = np.insert(known, places, new)
    is_new = np.insert(np.zeros(len(known)), places, 1.0)
    below_new = np.cumsum(is_new)[:-1]
    below_known = np.arange(1, len(values)) - below_new
    gap = np.abs(below_known / len(known) - below_new / len(new))
    area = np.dot(gap, np.diff(values))
    return float(area / max(float(np.std(reference)), _LEAST_SPREAD))
