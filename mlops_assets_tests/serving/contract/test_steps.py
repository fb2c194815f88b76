from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.contract.steps import FloatArray, IntArray, Step, needs_segment, to_target_units

SHARES = (Step.SHARE_OF_SEGMENT, Step.ANGULAR_BAND)


def rows(*values: tuple[float, float, float]) -> FloatArray:
    """A model's output."""
    return np.array(values, dtype=np.float64)


def test_a_difference_is_added_to_the_last_value_in_all_columns() -> None:
    (found,) = to_target_units((Step.INVERSE_DIFFERENCE,), rows((-2, 1, 3)), np.array([10.0]))
    assert found.tolist() == [8.0, 11.0, 13.0]


def test_a_log_return_is_taken_from_the_last_value() -> None:
    output = rows((-math.log(2), 0.0, math.log(2)))
    (found,) = to_target_units((Step.INVERSE_LOG_RETURN,), output, np.array([10.0]))
    assert found.tolist() == pytest.approx([5.0, 10.0, 20.0], rel=1e-15)


def test_a_share_is_a_part_of_its_own_segment_wherever_the_rows_lie() -> None:
    output = rows((0, 1, 0), (0, 2, 0), (0, 3, 0), (0, 2, 0))
    found = to_target_units((Step.SHARE_OF_SEGMENT,), output, np.zeros(4), np.array([7, -2, 7, -2]))
    assert found[:, 1].tolist() == [25.0, 50.0, 75.0, 50.0]


def test_shares_below_zero_count_as_the_floor_and_the_segment_still_sums_to_100() -> None:
    output = rows((0, -3, 0), (0, 0, 0))
    found = to_target_units((Step.SHARE_OF_SEGMENT,), output, np.zeros(2), np.array([1, 1]))
    assert found[:, 1].tolist() == [50.0, 50.0]


def test_the_sum_of_a_segment_is_100_to_one_part_in_a_billion() -> None:
    generator = np.random.default_rng(7)
    output = np.zeros((6000, 3))
    output[:, 1] = generator.lognormal(sigma=8.0, size=6000)
    segment = generator.integers(0, 40, size=6000)
    found = to_target_units((Step.SHARE_OF_SEGMENT,), output, np.zeros(6000), segment)
    assert np.bincount(segment, found[:, 1]) == pytest.approx(np.full(40, 100.0), abs=1e-9)


@pytest.mark.parametrize(
    ("offsets", "bounds"),
    [
        # The angle of 25 % is pi / 6; sin^2 of pi / 12 is (2 - sqrt(3)) / 4, of pi / 4 one half.
        ((-math.pi / 12, math.pi / 12), (100 * (2 - math.sqrt(3)) / 4, 50.0)),
        ((0.0, 0.0), (25.0, 25.0)),
        ((-3.0, 3.0), (0.0, 100.0)),
    ],
)
def test_a_band_lies_around_the_angle_of_the_share(
    offsets: tuple[float, float], bounds: tuple[float, float]
) -> None:
    output = rows((offsets[0], 1, offsets[1]), (0, 3, 0))
    found = to_target_units(SHARES, output, np.zeros(2), np.array([0, 0]))
    assert found[0].tolist() == pytest.approx([bounds[0], 25.0, bounds[1]], abs=1e-12)


def test_bounds_enclose_the_share_whatever_the_offsets() -> None:
    generator = np.random.default_rng(7)
    output = generator.exponential(size=(5000, 3)) * (-1, 1, 1)
    output[::2, [0, 2]] = 0.0
    found = to_target_units(SHARES, output, np.zeros(5000), np.arange(5000) // 5)
    assert (found[:, 0] <= found[:, 1]).all()
    assert (found[:, 1] <= found[:, 2]).all()
    assert found.min() >= 0.0
    assert found.max() <= 100.0


@pytest.mark.parametrize("offsets", [(0.1, 0.2), (-0.2, -0.1)])
def test_offsets_on_one_side_of_the_share_are_refused(offsets: tuple[float, float]) -> None:
    output = rows((0, 1, 0), (offsets[0], 1, offsets[1]))
    with pytest.raises(ValueError, match=r"row 1 has band offsets .* check the band's calibration"):
        to_target_units(SHARES, output, np.zeros(2), np.array([0, 0]))


def test_an_angular_band_around_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"share of 120 percent; .* put share_of_segment before"):
        to_target_units((Step.ANGULAR_BAND,), rows((0, 120, 0)), np.zeros(1))


@pytest.mark.parametrize("segment", [None, np.array([1])])
def test_shares_without_one_segment_a_row_are_refused(segment: IntArray | None) -> None:
    with pytest.raises(ValueError, match=r"for 2 rows; share_of_segment .* pass `segment`"):
        to_target_units(SHARES, rows((0, 1, 0), (0, 1, 0)), np.zeros(2), segment)


@pytest.mark.parametrize("steps", [SHARES, (Step.INVERSE_DIFFERENCE,)])
def test_an_output_that_is_no_number_is_refused_at_its_own_row(steps: tuple[Step, ...]) -> None:
    output = rows((0, 1, 0), (0, math.nan, 0))
    with pytest.raises(ValueError, match="row 1 gives a forecast that is not finite"):
        to_target_units(steps, output, np.zeros(2), np.array([0, 0]))


def test_only_shares_need_segments() -> None:
    assert needs_segment(SHARES)
    assert not needs_segment((Step.INVERSE_DIFFERENCE, Step.INVERSE_LOG_RETURN))


@given(
    step=st.sampled_from((Step.INVERSE_LOG_RETURN, Step.INVERSE_DIFFERENCE)),
    output=st.tuples(*[st.floats(-1e300, 1e300) | st.floats(-1, 1)] * 3),
    last=st.floats(allow_nan=False, allow_infinity=False),
)
def test_one_row_alone_is_bit_for_bit_the_row_among_others_or_refused_as_there(
    step: Step, output: tuple[float, float, float], last: float
) -> None:
    def found(count: int) -> list[float] | str:
        try:
            values = to_target_units((step,), rows(*[output] * count), np.full(count, last))
            return [float(value) for value in values[0]]
        except ValueError as error:
            return str(error)

    alone, among = found(1), found(5)
    assert alone == among
    assert [math.copysign(1, v) for v in alone if isinstance(v, float)] == [
        math.copysign(1, v) for v in among if isinstance(v, float)
    ]
