from __future__ import annotations

from math import log

import numpy as np
import numpy.testing as npt
import pytest

from mlops_assets.features.bars import FloatArray
from mlops_assets.features.counts import (
    expected_log_counts,
    recover_counts,
    segment_count,
)
from mlops_assets.features.share_filter_layout import Days, yearly_season
from mlops_assets_tests.features.panels import panel_of


def one_segment(*days: tuple[float, ...]) -> FloatArray:
    """Shares of one segment, (days, 1, brands)."""
    return np.array(days)[:, np.newaxis, :]


def drawn(counts: FloatArray, *, seed: int = 0) -> FloatArray:
    """Rounded shares of five brands in multinomial draws of these counts."""
    rng = np.random.default_rng(seed)
    parts = rng.multinomial(counts.astype(int), [0.3, 0.1, 0.2, 0.15, 0.25])
    return np.round(100 * parts / counts[..., np.newaxis], 2)


def days_from(first: str, count: int) -> Days:
    return np.datetime64(first, "D") + np.arange(count)


def test_the_smallest_count_whose_rounded_quotients_are_the_shares_is_found() -> None:
    # 1/3 each; 2/7, 2/7, 3/7; 5/21, 4/21, 12/21
    shares = one_segment((33.33, 33.33, 33.33))
    assert recover_counts(shares) == pytest.approx(3)
    assert recover_counts(one_segment((28.57, 28.57, 42.86))) == pytest.approx(7)
    assert recover_counts(one_segment((23.81, 19.05, 57.14))) == pytest.approx(21)


def test_a_divisor_of_the_count_gives_way_to_the_valid_count_nearest_to_the_usual_one() -> None:
    # 20 and 20 observations, then 50 : 50, which 2, 4, .. 20, .. reproduce.
    shares = one_segment((5.0, 95.0), (15.0, 85.0), (50.0, 50.0))
    assert recover_counts(shares).ravel().tolist() == [20, 20, 20]


def test_a_count_far_from_the_usual_one_is_replaced_by_it() -> None:
    # 10 and 10 observations; 33.33 : 66.67 is valid at 9 and 12: the nearer is taken. 1 of 999
    # needs 999 observations, a hundred times as many.
    shares = one_segment((10.0, 90.0), (30.0, 70.0), (33.33, 66.67), (0.1, 99.9))
    found = recover_counts(shares).ravel().tolist()
    assert found[:3] == [10, 10, 9]
    assert found[3] == 10


def test_shares_of_no_count_have_the_usual_count_and_none_at_the_start() -> None:
    no_shares = (12.34, 20.0)  # they add up to 32.34
    found = recover_counts(one_segment(no_shares, (10.0, 90.0), no_shares)).ravel()
    npt.assert_array_equal(found, [np.nan, 10, 10])


def test_a_segment_with_an_unknown_share_has_no_count_that_day() -> None:
    found = recover_counts(one_segment((10.0, 90.0), (np.nan, 90.0), (20.0, 80.0))).ravel()
    # 20 : 80 is 1 of 5, below 0.6 times 10: the multiple 10 is taken.
    npt.assert_array_equal(found, [10, np.nan, 10])


def test_counts_of_rounded_draws_are_recovered_almost_always() -> None:
    counts = np.random.default_rng(1).integers(200, 300, size=(60, 12)).astype(np.float64)

    found = recover_counts(drawn(counts))

    assert (found == counts).mean() > 0.95


def test_counts_do_not_change_when_the_future_is_cut_off() -> None:
    counts = np.random.default_rng(1).integers(20, 90, size=(40, 3)).astype(np.float64)
    shares = drawn(counts)
    npt.assert_array_equal(recover_counts(shares[:25]), recover_counts(shares)[:25])


def test_constant_counts_are_expected_to_stay() -> None:
    expected = expected_log_counts(
        np.full((30, 2), 50.0), days_from("2024-01-01", 30), rate=0.1, horizon=4
    )
    assert expected.shape == (30, 4, 2)
    npt.assert_allclose(expected, log(50), atol=1e-12)


def test_the_level_is_an_exponentially_weighted_mean_of_log_counts() -> None:
    counts = np.array([[np.e], [np.e**2], [np.nan], [np.e**3]])
    days = days_from("2024-01-29", 4)
    # 1; 1 + 0.5 (2 - 1); unchanged; 1.5 + 0.5 (3 - 1.5). In these days the season stands still.
    expected = expected_log_counts(counts, days, rate=0.5, horizon=1)
    npt.assert_allclose(expected[:, 0, 0], [1, 1.5, 1.5, 2.25], atol=2e-3)


def test_a_season_of_the_counts_is_carried_on() -> None:
    days = days_from("2024-01-01", 360)
    counts = np.exp(5 + 0.8 * yearly_season(days))[:, np.newaxis]

    ahead = expected_log_counts(counts, days, rate=0.9, horizon=28)

    late = slice(200, 332)
    flat = np.abs(np.log(counts)[late, 0] - np.log(counts)[228:360, 0]).mean()
    error = np.abs(ahead[late, 27, 0] - np.log(counts)[228:360, 0]).mean()
    assert error < flat / 5


def test_expected_counts_of_a_first_day_have_no_season_yet() -> None:
    ahead = expected_log_counts(np.array([[20.0]]), days_from("2024-04-01", 1), rate=1, horizon=28)
    npt.assert_allclose(ahead[0, :, 0], log(20), atol=1e-12)


def test_every_series_of_a_segment_has_the_segments_count() -> None:
    # Series are brand x party; 여 has 20 : 80, then 30 : 70 percent, 남 half and half.
    panel = panel_of([[30.0, 50.0, 70.0, 50.0]])

    columns = segment_count(panel, "tea", rate=0.1)

    assert list(columns) == [f"log_count@{step:02d}" for step in range(1, panel.horizon + 1)]
    npt.assert_allclose(columns["log_count@01"], np.log([[10, 2, 10, 2]]), atol=1e-12)
