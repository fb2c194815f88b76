"""Steps from a model's scale to target units: a closed set, the same code on every path.

Training, backtest, replay and serving call `to_target_units`; a card stores the names.
"""

from __future__ import annotations

from enum import StrEnum
from math import isfinite
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_PLAIN: Final = 700.0
"""`exp` of a smaller number is finite."""

SHARE_FLOOR: Final = 1e-6
"""Percent. A model's share below it counts as it, so that no segment adds up to zero."""


class Step(StrEnum):
    """One transformation of a model's output, whose columns are lower, middle and upper."""

    INVERSE_LOG_RETURN = "inverse_log_return"
    """`y = last_value * exp(x)`: the output is a log return from the last observed value."""

    INVERSE_DIFFERENCE = "inverse_difference"
    """`y = last_value + x`: the output is a change from the last observed value."""

    SHARE_OF_SEGMENT = "share_of_segment"
    """The middle column becomes `100 x / sum(x)` over the rows of its segment, in percent."""

    ANGULAR_BAND = "angular_band"
    """The outer columns, offsets in radians around the middle share `m` in percent, become
    `100 sin^2(asin(sqrt(m / 100)) + offset)`, the angle kept within 0 and pi / 2.

    The angle of a share has nearly the same variance at every share (Anscombe, 1948, Biometrika
    35, 246), so that one width of the band serves large and small shares."""


def needs_segment(steps: tuple[Step, ...]) -> bool:
    """Whether the steps need to know which rows add up to a whole."""
    return Step.SHARE_OF_SEGMENT in steps


def to_target_units(
    steps: tuple[Step, ...],
    output: FloatArray,
    last_value: FloatArray,
    segment: IntArray | None = None,
) -> FloatArray:
    """Apply the steps of a card to a model's output.

    Args:
        steps: in the order of application.
        output: shape (rows, 3): lower, middle, upper on the model's scale. With `ANGULAR_BAND`
            the outer two are offsets in radians, lower <= 0 <= upper.
        last_value: shape (rows,), newest target value known at each row's origin, target units.
        segment: shape (rows,), one code for all rows that add up to a whole, which are the rows
            of one (segment, origin, step); any integers. Only `SHARE_OF_SEGMENT` reads it.

    Returns:
        Shape (rows, 3), quantiles p05, p50, p95 in target units, in the same order.

    Raises:
        ValueError: a shape differs from the above, a value is not finite, segments are needed
            and absent, or offsets or shares lie outside the above.
    """
    values = np.asarray(output, dtype=np.float64)
    last = np.asarray(last_value, dtype=np.float64)
    if values.shape == (1, 3) and last.shape == (1,) and len(steps) == 1:
        row = _one_row(steps[0], values, last.item())
        if row is not None:
            return row
    if values.ndim != 2 or values.shape[1] != 3 or last.shape != (values.shape[0],):
        raise ValueError(
            f"output has shape {values.shape} and last_value {last.shape}; "
            "the contract is (rows, 3) and (rows,); check the model's graph and the caller"
        )
    _refuse_not_finite(values)
    # What overflows becomes infinite and is refused below; numpy's warning would add nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        for step in steps:
            values = _apply(step, values, last, segment)
    _refuse_not_finite(values)
    return values


def _one_row(step: Step, values: FloatArray, last: float) -> FloatArray | None:
    """The same for one row at a fraction of the cost; None where the result is not plainly finite.

    Products and sums of plain floats are those of numpy to the last bit; only numpy's `exp` is
    not the standard library's, so it stays.
    """
    lower, middle, upper = values[0].tolist()
    if step is Step.INVERSE_LOG_RETURN:
        # False for NaN; exp() of more may overflow, which the path for many rows tells.
        if not (lower < _PLAIN and middle < _PLAIN and upper < _PLAIN):
            return None
        lower, middle, upper = np.exp(values)[0].tolist()
        lower, middle, upper = last * lower, last * middle, last * upper
    elif step is Step.INVERSE_DIFFERENCE:
        lower, middle, upper = last + lower, last + middle, last + upper
    else:
        return None
    if not (isfinite(lower) and isfinite(middle) and isfinite(upper)):
        return None
    return np.array(((lower, middle, upper),))


def _apply(
    step: Step, values: FloatArray, last: FloatArray, segment: IntArray | None
) -> FloatArray:
    match step:
        case Step.INVERSE_LOG_RETURN:
            return last[:, None] * np.exp(values)
        case Step.INVERSE_DIFFERENCE:
            return last[:, None] + values
        case Step.SHARE_OF_SEGMENT:
            return _share_of_segment(values, segment)
        case Step.ANGULAR_BAND:
            return _angular_band(values)


def _share_of_segment(values: FloatArray, segment: IntArray | None) -> FloatArray:
    if segment is None or np.shape(segment) != (len(values),):
        given = "no segments" if segment is None else f"segments of shape {np.shape(segment)}"
        raise ValueError(
            f"{given} for {len(values)} rows; {Step.SHARE_OF_SEGMENT.value} divides by the sum of "
            "a row's segment, so it needs one code a row; pass `segment`, with every row of each "
            "segment, origin and step"
        )
    _, code = np.unique(np.asarray(segment), return_inverse=True)
    positive = np.maximum(values[:, 1], SHARE_FLOOR)
    total = np.bincount(code, weights=positive)[code]
    return np.column_stack([values[:, 0], 100.0 * (positive / total), values[:, 2]])


def _angular_band(values: FloatArray) -> FloatArray:
    lower, middle, upper = values.T
    outside = (lower > 0) | (upper < 0)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(
            f"row {row} has band offsets {lower[row]:g} and {upper[row]:g}; the lower may not be "
            "above 0 nor the upper below it, or the point leaves its own band; check the band's "
            "calibration"
        )
    outside = (middle < 0) | (middle > 100)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(
            f"row {row} has a share of {middle[row]:g} percent; an angular band needs 0 to 100; "
            f"put {Step.SHARE_OF_SEGMENT.value} before {Step.ANGULAR_BAND.value}"
        )
    angle = np.arcsin(np.sqrt(middle / 100.0))
    below = 100.0 * np.sin(np.clip(angle + lower, 0.0, np.pi / 2)) ** 2
    above = 100.0 * np.sin(np.clip(angle + upper, 0.0, np.pi / 2)) ** 2
    # An offset of zero must give the point itself, which the way there and back may miss by a bit.
    return np.column_stack([np.minimum(below, middle), middle, np.maximum(above, middle)])


def _refuse_not_finite(values: FloatArray) -> None:
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise ValueError(
            f"row {row} gives a forecast that is not finite; every quantile must be a number; "
            "check that row's features"
        )
