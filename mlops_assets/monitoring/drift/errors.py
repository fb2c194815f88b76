"""Concept drift: whether the champion's errors have grown, by ADWIN.

Here: one figure of error for each period, and the detector over them. Not here: whether its inputs
have moved (`threshold`), and whether it is still the best (`promotion`, and the roll back).

ADWIN keeps a window of the newest figures and drops its older part when the means of two parts
differ by more than chance allows at `delta` (Bifet and Gavalda 2007, SIAM International Conference
on Data Mining, 443-448). Its bound is for figures in [0, 1], which is why they are shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl

from mlops_assets.problem import ForecastProblem

_DAY: Final = timedelta(days=1)
_KEYS: Final = ["series", "origin", "step"]
_READ: Final = [*_KEYS, "recipe_id", "valid_time", "last_value", "point", "actual"]


@dataclass(frozen=True)
class ErrorWatch:
    """What the detector found.

    Attributes:
        periods: periods that were looked at.
        risen_at: end of the newest period at which the champion's errors were found to have risen;
            None when they never were.
        before: mean share of error before that rise; 0.5 is as far off as "no change".
        after: mean share of error since.
    """

    periods: int
    risen_at: datetime | None = None
    before: float | None = None
    after: float | None = None

    def is_drift(self, *, since: datetime) -> bool:
        """Whether errors rose after an instant."""
        return self.risen_at is not None and self.risen_at > since


def share_of_error(
    backtest: pl.DataFrame,
    scores: pl.DataFrame | None,
    problem: ForecastProblem,
    *,
    recipe_id: str,
    as_of: datetime,
) -> pl.DataFrame:
    """The champion's error against that of "no change", one figure for each period.

    `e / (e + c)` with e the mean of |actual - point| and c that of |actual - last value| over
    series and the gate's leads; 0.5 where both are 0. In [0, 1], and free of the target's level and
    of its volatility, which move without the champion being at fault.

    Args:
        backtest: its rows of the recipe come first.
        scores: live forecasts that have come true (`live_scores`), where there are any; they count
            where both spoke.
        problem: names the gate's leads.
        recipe_id: the champion's.
        as_of: what was not known by then is left out.

    Returns:
        Grain (valid_time), in the order of time: `share`.
    """
    parts = [part.filter(pl.col("target_known_at") <= as_of).select(_READ)
             for part in (backtest, scores) if part is not None]  # fmt: skip
    mine = pl.col("recipe_id") == recipe_id
    rows = pl.concat(parts).filter(mine & pl.col("step").is_in(problem.gate_leads))
    rows = rows.unique(_KEYS, keep="last", maintain_order=True)
    error = (pl.col("actual") - pl.col("point")).abs().mean()
    change = (pl.col("actual") - pl.col("last_value")).abs().mean()
    by_period = rows.group_by("valid_time").agg(error=error, change=change).sort("valid_time")
    share = pl.col("error") / (pl.col("error") + pl.col("change"))
    return by_period.select("valid_time", share=share.fill_nan(0.5))


def watch_errors(
    shares: pl.DataFrame, *, level: float, frequency: timedelta, stands_for: timedelta
) -> ErrorWatch:
    """Run the detector over the figures, looking once a day.

    Args:
        shares: as `share_of_error` gives them.
        level: chance of a false alarm at one daily look (`threshold.alarm_level`).
        frequency: length of a period.
        stands_for: for how long a detection alarms; its looks share the level.
    """
    from river.drift import ADWIN

    looks = max(stands_for / _DAY, 1.0)
    clock = max(round(_DAY / frequency), 1)
    # river ships no annotations.
    detector: Any = ADWIN(delta=level / looks, clock=clock)  # type: ignore[no-untyped-call]
    found = ErrorWatch(len(shares))
    for valid_time, share in shares.select("valid_time", "share").iter_rows():
        before = detector.estimation
        detector.update(share)
        if detector.drift_detected and detector.estimation > before:
            found = ErrorWatch(len(shares), valid_time, before, detector.estimation)
    return found
