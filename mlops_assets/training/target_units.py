"""From the scale of models back to target units, with the contract's steps.

Backtest, cards and live forecasts call this; serving calls the same steps from the card.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.training.intervals import quantiles
from serving.contract.steps import Step, to_target_units

STEPS: Final = (Step.INVERSE_LOG_RETURN,)
"""Steps of the transform `log_return`."""


def target_units(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with `point`, `lower`, `upper` in target units.

    Args:
        rows: has location, scale, band_quantile (on the model's scale) and last_value.
    """
    location, scale, quantile, last = (
        rows[c].to_numpy() for c in ("location", "scale", "band_quantile", "last_value")
    )
    given = to_target_units(STEPS, quantiles(location, scale, quantile), last)
    return rows.with_columns(
        lower=pl.Series(given[:, 0]), point=pl.Series(given[:, 1]), upper=pl.Series(given[:, 2])
    )
