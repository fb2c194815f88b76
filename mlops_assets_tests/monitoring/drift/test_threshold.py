from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.monitoring.drift.distance import normed_wasserstein
from mlops_assets.monitoring.drift.threshold import (
    alarm_level,
    calibrated_threshold,
    past_distances,
)
from mlops_assets.monitoring.drift.windows import Span
from mlops_assets_tests.monitoring.drift.histories import (
    DAY,
    WEEK,
    FloatArray,
    autoregressive,
    history,
    pair_at,
)

BUDGET = 4.0
WATCHED = 10
LEVEL = alarm_level(BUDGET, WATCHED)
CALIBRATED = 300
LOOKS = 180
SERIES = 15


def test_the_budget_is_shared_among_looks_and_columns() -> None:
    assert alarm_level(3.65, 5) == pytest.approx(0.002)


def test_the_tail_above_the_fourth_fifth_is_extrapolated() -> None:
    # 0 .. 99: the quantile at 0.8 is 79.2, the 20 values above it exceed it by 10.3 on average,
    # and 0.2 * 100 / 2 = 10 of them are independent.
    expected = 79.2 + 10.3 * 10 * ((0.2 / 0.001) ** 0.1 - 1)

    assert calibrated_threshold(np.arange(100.0), 0.001) == pytest.approx(expected)


def test_fewer_windows_leave_a_wider_margin() -> None:
    many, few = np.tile(np.arange(20.0), 10), np.arange(20.0)

    with_many, with_few = (calibrated_threshold(past, LEVEL) for past in (many, few))

    assert with_many is not None
    assert with_few is not None
    assert with_few > with_many


def test_a_threshold_is_never_below_the_largest_distance_of_the_past() -> None:
    past = np.concatenate([np.full(99, 1.0), [50.0]])

    threshold = calibrated_threshold(past, 0.15)

    assert threshold is not None
    assert threshold >= 50


def test_a_generous_level_is_the_plain_quantile() -> None:
    assert calibrated_threshold(np.arange(101.0), 0.5) == pytest.approx(50)


def test_too_few_windows_claim_no_threshold() -> None:
    assert calibrated_threshold(np.arange(11.0), LEVEL) is None


def _noise(kind: str) -> FloatArray:
    draw = np.random.default_rng(3)
    shape = (SERIES, 50 + 4 * (CALIBRATED + LOOKS) + 4)
    return draw.normal(size=shape) if kind == "normal" else draw.standard_t(4, size=shape)


def _false_alarms_a_year(paths: FloatArray) -> float:
    """Looks beyond the threshold in a year of daily looks, on average over the paths."""
    alarms = 0
    for path in paths:
        values, today = history(path), pair_at(CALIBRATED)
        threshold = calibrated_threshold(past_distances(values, today), LEVEL)
        assert threshold is not None
        known = values.within(today.reference)
        for look in range(1, LOOKS + 1):
            newest = today.current.end + look * DAY
            current = values.within(Span(newest - WEEK, newest))
            alarms += normed_wasserstein(known, current) > threshold
    return alarms / (len(paths) * LOOKS / 365)


@pytest.mark.parametrize(
    ("kind", "persistence"), [("normal", 0.5), ("normal", 0.9), ("heavy tails", 0.5)]
)
def test_an_unchanged_process_stays_within_its_share_of_the_budget(
    kind: str, persistence: float
) -> None:
    paths = autoregressive(_noise(kind), persistence=persistence)

    assert _false_alarms_a_year(paths) <= BUDGET / WATCHED


def test_a_planted_shift_of_the_mean_is_found() -> None:
    path = autoregressive(_noise("normal"), persistence=0.5)[0]
    values, today = history(path), pair_at(CALIBRATED)
    threshold = calibrated_threshold(past_distances(values, today), LEVEL)
    assert threshold is not None

    shifted = values.within(today.current) + 3 * path.std()

    assert normed_wasserstein(values.within(today.reference), shifted) > threshold
