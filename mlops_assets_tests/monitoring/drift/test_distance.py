from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from mlops_assets.monitoring.drift.distance import normed_wasserstein


def test_a_sample_is_no_distance_from_itself() -> None:
    values = np.array([3.0, 1.0, 2.0])

    assert normed_wasserstein(values, values) == 0


def test_a_shift_by_two_standard_deviations_is_a_distance_of_two() -> None:
    values = np.array([-1.0, 1.0, -1.0, 1.0])

    assert normed_wasserstein(values, values + 2) == pytest.approx(2)


def test_samples_of_unequal_size_with_ties_agree_with_scipy() -> None:
    draw = np.random.default_rng(1)
    known, new = draw.integers(0, 5, 300).astype(float), draw.integers(0, 7, 40).astype(float)

    expected = wasserstein_distance(known, new) / known.std()

    assert normed_wasserstein(known, new) == pytest.approx(expected)


def test_a_reference_that_never_moves_is_divided_by_the_least_spread() -> None:
    assert normed_wasserstein(np.zeros(20), np.full(10, 0.002)) == pytest.approx(2)
