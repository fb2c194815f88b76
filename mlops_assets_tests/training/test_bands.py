"""The band of a problem is asked for in one way, whatever its method."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mlops_assets.training.bands import calibration_columns, with_scores, with_spread
from mlops_assets.training.target_units import points, segment_codes, steps_of, target_units
from mlops_assets_tests.training.made import design_rows, problem
from mlops_assets_tests.training.shares import share_problem, share_rows
from serving.contract.steps import Step

SHARES = share_problem()
ROWS = share_rows()
"""Two segments of three brands at one origin and two steps: 12 rows."""


def test_a_price_has_one_calibration_input_and_a_share_two() -> None:
    assert calibration_columns(problem()) == ("band_quantile",)
    assert calibration_columns(SHARES) == ("band_lower", "band_upper")
    assert steps_of(SHARES) == (Step.SHARE_OF_SEGMENT, Step.ANGULAR_BAND)


def test_noise_comes_from_the_count_and_spread_from_the_usual_share() -> None:
    laid = with_spread(ROWS.with_columns(log_count=np.log(200.0), mean=pl.lit(20.0)), SHARES)

    assert laid["noise"].to_list() == pytest.approx([1 / 800] * 12)
    assert laid["spread"].to_list() == pytest.approx([0.2 * 0.8 / 4] * 12)
    assert laid["part"].unique().sort().to_list() == ["a", "b", "c"]


def test_a_price_needs_neither() -> None:
    laid = with_spread(design_rows(3), problem())

    assert laid.select("noise", "spread", "part").null_count().row(0) == (3, 3, 3)


def test_a_segment_is_a_number_for_each_origin_and_step() -> None:
    codes = segment_codes(ROWS)

    by_code = ROWS.with_columns(code=pl.Series(codes)).group_by("code")
    assert by_code.len()["len"].to_list() == [3] * 4
    assert by_code.agg(pl.col("segment", "step").n_unique())["segment"].to_list() == [1] * 4


def test_points_of_a_segment_are_normalised_to_a_hundred() -> None:
    location = np.tile([10.0, 20.0, 20.0], 4)

    assert points(ROWS, location, SHARES).tolist() == pytest.approx([20.0, 40.0, 40.0] * 4)


def test_the_score_of_a_share_is_its_signed_difference_in_angle() -> None:
    actual = ROWS.with_columns(
        actual=pl.lit(50.0), realised=pl.lit(50.0), location=pl.lit(25.0), scale=pl.lit(1.0)
    )

    score = with_scores(actual, np.full(12, 25.0), SHARES)["score"]

    # asin(sqrt(0.5)) = pi / 4 and asin(sqrt(0.25)) = pi / 6
    assert score.to_list() == pytest.approx([np.pi / 12] * 12)


def test_the_score_of_a_price_is_its_scaled_absolute_error() -> None:
    rows = design_rows(2).with_columns(
        realised=pl.Series([0.01, -0.02]), location=pl.lit(0.0), scale=pl.lit(0.01)
    )

    score = with_scores(rows, np.array([1.0, 1.0]), problem())["score"]

    assert score.to_list() == pytest.approx([1.0, 2.0])


def test_a_band_of_shares_lies_around_its_point_and_inside_nought_and_a_hundred() -> None:
    laid = ROWS.with_columns(
        location=pl.Series(np.tile([1e-9, 50.0, 50.0], 4)),
        scale=pl.lit(1.0),
        band_lower=pl.lit(-0.2),
        band_upper=pl.lit(0.2),
    )

    given = target_units(laid, SHARES, calibration_columns(SHARES))

    assert given["lower"].min() == 0.0
    assert ((given["lower"] <= given["point"]) & (given["point"] <= given["upper"])).all()
    half = np.pi / 4
    assert given["upper"][1] == pytest.approx(100 * np.sin(half + 0.2) ** 2)
    assert given["lower"][1] == pytest.approx(100 * np.sin(half - 0.2) ** 2)
