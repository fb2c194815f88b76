"""The arithmetic inside the angular band: weighted quantiles and non-negative least squares."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.training import angular_band


def test_the_weighted_quantile_is_the_usual_one_where_weights_are_equal() -> None:
    values = np.random.default_rng(0).normal(size=37)

    pair = angular_band._weighted_quantiles(values, np.full(37, 0.3), (0.05, 0.95))

    assert pair == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])))


def test_the_second_fit_weighs_an_error_by_the_variance_that_the_first_one_found() -> None:
    noise, squares = np.repeat([1.0, 4.0], 30), np.full(60, 0.01)

    (phi,) = angular_band._least_squares(noise[None, :], squares, np.ones(60))

    # Weights 1/noise turn sum(n e^2) / sum(n^2) = 0.05/17 into sum(e^2) / sum(n) = 0.02/5.
    assert phi == pytest.approx(0.004)


def test_coefficients_are_those_of_least_squares_where_none_would_be_negative() -> None:
    rng = np.random.default_rng(1)
    design = rng.uniform(0.1, 1.0, (3, 200))
    squares = np.array([2.0, 0.5, 1.0]) @ design + rng.normal(0, 0.01, 200)

    found = angular_band._least_squares(design, squares, np.ones(200))

    first = np.linalg.lstsq(design.T, squares)[0]
    weight = 1 / np.sqrt(first @ design)
    assert found == pytest.approx(np.linalg.lstsq((design * weight).T, squares * weight)[0])


def test_what_would_get_a_negative_coefficient_gets_none() -> None:
    design = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])

    found = angular_band._least_squares(design, np.array([1.0, 2.5, 4.0]), np.ones(3))

    # Alone, the first line explains (1 + 5/2 + 4) / (1 + 2 + 3) with weights 1/line.
    assert found == pytest.approx([7.5 / 6, 0.0])
