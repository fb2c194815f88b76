"""From the scale of models back to target units, with the contract's steps.

Backtest, cards and live forecasts call this; serving calls the same steps from the card.

The scale of models: the log return from the last value, the difference to it, or, for shares, the
share in percent before the segment is normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.problem import ForecastProblem
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.intervals import quantiles
from serving.contract.steps import Step, to_target_units

STEPS: Final[dict[str, tuple[Step, ...]]] = {
    "log_return": (Step.INVERSE_LOG_RETURN,),
    "difference": (Step.INVERSE_DIFFERENCE,),
    "share": (Step.SHARE_OF_SEGMENT, Step.ANGULAR_BAND),
}
"""Transform of the target -> the steps that undo it."""

_SEGMENT_KEYS: Final = ("origin", "step", "segment")


def steps_of(problem: ForecastProblem) -> tuple[Step, ...]:
    """The steps from the problem's model scale to target units."""
    return STEPS[problem.target.transform]


def model_output(
    problem: ForecastProblem, location: FloatArray, scale: FloatArray, calibration: FloatArray
) -> FloatArray:
    """What the model file gives: lower, middle, upper on the model's scale, (rows, 3).

    Args:
        problem: names the band's method.
        location: (rows,).
        scale: (rows,).
        calibration: (rows, columns of `bands.calibration_columns`).
    """
    if problem.band.method == "angular":
        return np.column_stack([calibration[:, 0], location, calibration[:, 1]])
    return quantiles(location, scale, calibration[:, 0])


def segment_codes(rows: pl.DataFrame) -> npt.NDArray[np.int64]:
    """For each design row a number of its (origin, step, segment), (rows,)."""
    keys = rows.select(_SEGMENT_KEYS)
    numbered = keys.unique(maintain_order=True).with_row_index("code")
    joined = keys.join(
        numbered, on=_SEGMENT_KEYS, how="left", validate="m:1", maintain_order="left"
    )
    return joined["code"].cast(pl.Int64).to_numpy()


def points(rows: pl.DataFrame, location: FloatArray, problem: ForecastProblem) -> FloatArray:
    """Point forecasts of design rows in target units, (rows,)."""
    still = np.zeros(len(rows))
    output = np.column_stack([location, location, location])
    if problem.band.method == "angular":
        output = np.column_stack([still, location, still])
    last = rows["last_value"].to_numpy()
    return to_target_units(steps_of(problem), output, last, segment_codes(rows))[:, 1]


def target_units(
    rows: pl.DataFrame, problem: ForecastProblem, calibration: Sequence[str]
) -> pl.DataFrame:
    """`rows` with `point`, `lower`, `upper` in target units.

    Args:
        rows: design rows with location, scale and the calibration columns; of shares all series of
            each segment.
        problem: names transform and band.
        calibration: names of the calibration columns.
    """
    location, scale = rows["location"].to_numpy(), rows["scale"].to_numpy()
    output = model_output(problem, location, scale, rows.select(calibration).to_numpy())
    last = rows["last_value"].to_numpy()
    given = to_target_units(steps_of(problem), output, last, segment_codes(rows))
    return rows.with_columns(
        lower=pl.Series(given[:, 0]), point=pl.Series(given[:, 1]), upper=pl.Series(given[:, 2])
    )
