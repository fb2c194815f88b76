"""Rolling statistics against brute-force loops, on series with gaps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.features.bars import FloatArray
from mlops_assets.features.rolling import (
    exponential_level,
    lagged,
    rolling_extreme,
    rolling_mean,
    rolling_sd,
)

GAP = math.nan
VALUES = st.lists(st.one_of(st.floats(-1e3, 1e3), st.just(GAP)), min_size=1, max_size=40)
WINDOWS = st.integers(1, 12)
few = settings(max_examples=60, deadline=None)


def known_in_window(values: list[float], row: int, window: int) -> list[float]:
    """The values of the last `window` rows up to `row` that are there, if at least half are."""
    known = [v for v in values[max(0, row - window + 1) : row + 1] if not math.isnan(v)]
    return known if len(known) >= window / 2 else []


def same(given: FloatArray, wanted: list[float]) -> None:
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-9, equal_nan=True)


@few
@given(VALUES, WINDOWS)
def test_the_rolling_mean_is_the_mean_of_the_known_half(values: list[float], window: int) -> None:
    wanted = []
    for row in range(len(values)):
        known = known_in_window(values, row, window)
        wanted.append(sum(known) / len(known) if known else GAP)

    same(rolling_mean(np.array(values), window), wanted)


@few
@given(VALUES, WINDOWS)
def test_rolling_extremes_are_those_of_the_known_half(values: list[float], window: int) -> None:
    windows = [known_in_window(values, row, window) for row in range(len(values))]

    array = np.array(values)
    same(rolling_extreme(array, window, largest=True), [max(w, default=GAP) for w in windows])
    same(rolling_extreme(array, window, largest=False), [min(w, default=GAP) for w in windows])


@few
@given(VALUES, st.integers(0, 12))
def test_a_lag_is_the_value_so_many_rows_before(values: list[float], lag: int) -> None:
    wanted = [values[row - lag] if row >= lag else GAP for row in range(len(values))]

    same(lagged(np.array(values), lag), wanted)


@few
@given(VALUES, WINDOWS, st.integers(1, 40))
def test_what_follows_a_row_does_not_move_a_single_bit_of_it(
    values: list[float], window: int, cut: int
) -> None:
    whole, prefix = np.array(values), np.array(values[:cut])

    assert rolling_mean(prefix, window).tobytes() == rolling_mean(whole, window)[:cut].tobytes()
    for largest in (True, False):
        before = rolling_extreme(prefix, window, largest=largest)
        assert before.tobytes() == rolling_extreme(whole, window, largest=largest)[:cut].tobytes()


def test_a_lag_of_zero_is_a_copy() -> None:
    values = np.array([1.0, 2.0])

    lagged(values, 0)[0] = 5.0

    assert values.tolist() == pytest.approx([1.0, 2.0])


@few
@given(VALUES, WINDOWS)
def test_a_rolling_standard_deviation_is_that_of_the_known_values(
    values: list[float], window: int
) -> None:
    known = [known_in_window(values, row, window) for row in range(len(values))]
    wanted = [statistics.stdev(k) if len(k) > 1 else GAP for k in known]

    np.testing.assert_allclose(
        rolling_sd(np.array(values), window), wanted, rtol=1e-9, atol=1e-9, equal_nan=True
    )


def test_a_steady_level_far_from_zero_has_no_deviation() -> None:
    assert rolling_sd(np.full(9, 1e9), 4)[1:].tolist() == [0.0] * 8


@few
@given(VALUES, st.floats(0.01, 1))
def test_a_smoothed_level_is_the_recursion_by_hand(values: list[float], alpha: float) -> None:
    wanted, level = [], GAP
    for value in values:
        if not math.isnan(value):
            level = value if math.isnan(level) else alpha * value + (1 - alpha) * level
        wanted.append(level)

    same(exponential_level(np.array(values), alpha), wanted)


@pytest.mark.parametrize(
    ("treat", "knob"),
    [(rolling_mean, 2), (rolling_sd, 2), (exponential_level, 0.5), (lagged, 1)],
)
def test_columns_are_treated_one_by_one(
    treat: Callable[[FloatArray, float], FloatArray], knob: float
) -> None:
    table = np.array([[1.0, 4.0], [3.0, GAP], [8.0, 6.0]])
    apart = [treat(table[:, k], knob) for k in range(2)]

    np.testing.assert_array_equal(treat(table, knob), np.column_stack(apart))
