"""Steps from a model's scale to target units: a closed set, the same code on every path.

Training, backtest, replay and serving call `to_target_units`; a card stores the names.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Step(StrEnum):
    """One transformation of a model's output."""

    INVERSE_LOG_RETURN = "inverse_log_return"
    """`y = last_value * exp(x)`: the output is a log return from the last observed value."""


def to_target_units(
    steps: tuple[Step, ...], output: FloatArray, last_value: FloatArray
) -> FloatArray:
    """Apply the steps of a card to a model's output.

    Args:
        steps: in the order of application.
        output: shape (rows, 3), quantiles p05, p50, p95 on the model's scale.
        last_value: shape (rows,), newest target value known at each row's origin, target units.

    Returns:
        Shape (rows, 3), the quantiles in target units, in the same order.

    Raises:
        ValueError: a shape differs from the above, or a value is not finite.
    """
    values = np.asarray(output, dtype=np.float64)
    last = np.asarray(last_value, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 3 or last.shape != (values.shape[0],):
        raise ValueError(
            f"output has shape {values.shape} and last_value {last.shape}; "
            "the contract is (rows, 3) and (rows,); check the model's graph and the caller"
        )
    for step in steps:
        if step is Step.INVERSE_LOG_RETURN:
            values = last[:, None] * np.exp(values)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise ValueError(
            f"row {row} gives a forecast that is not finite; every quantile must be a number; "
            "check that row's features"
        )
    return values
