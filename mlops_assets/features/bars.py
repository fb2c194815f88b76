"""Bars on a regular grid, and the volatility measures made from one bar.

Here: arrays of one series, gaps as NaN, and per-bar formulas. Not here: features over several
bars (`builders`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

FloatArray = npt.NDArray[np.float64]

LOG_VOLATILITY_FLOOR: Final = float(np.log(2e-4))
"""Log of the smallest per-bar volatility: a bar without any range is not a bar without risk."""


@dataclass(frozen=True)
class Bars:
    """One series of bars on a regular grid; every array has the same length.

    Attributes:
        series: key of the series.
        frequency: distance of two bars.
        valid_time: close of each bar, datetime64[us], UTC, without gaps.
        open, high, low, close: prices in the source's unit; NaN where no bar was known.
        volume: traded amount in the source's unit; NaN where unknown.
        exogenous: other sources as of each bar's publication: name -> (value, age in hours).
    """

    series: str
    frequency: timedelta
    valid_time: npt.NDArray[np.datetime64]
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    exogenous: dict[str, tuple[FloatArray, FloatArray]]

    def log_return(self) -> FloatArray:
        """`log(close_t / close_{t-1})`; NaN at the start and beside a gap."""
        out = np.full(self.close.shape, np.nan)
        out[1:] = np.log(self.close[1:] / self.close[:-1])
        return out

    def variance(self) -> FloatArray:
        """Garman-Klass variance of each bar, never negative; NaN in a gap.

        `0.5 log(H/L)^2 - (2 log 2 - 1) log(C/O)^2` (Garman & Klass 1980, eq. 20).
        """
        high_low = np.log(self.high / self.low)
        close_open = np.log(self.close / self.open)
        gk = 0.5 * high_low**2 - (2 * np.log(2) - 1) * close_open**2
        floored: FloatArray = np.maximum(gk, 0.0)
        return floored

    def log_volatility(self) -> FloatArray:
        """Log of the square root of `variance`, floored at `LOG_VOLATILITY_FLOOR`."""
        with np.errstate(divide="ignore"):
            return np.maximum(0.5 * np.log(self.variance()), LOG_VOLATILITY_FLOOR)


def bars_on_grid(
    frame: pl.DataFrame, *, frequency: timedelta, exogenous: tuple[str, ...]
) -> list[Bars]:
    """Lay observations of one version per (series, valid time) on each series' regular grid.

    Args:
        frame: columns series, valid_time, open, high, low, close, volume and, for each exogenous
            source e, `{e}_value` and `{e}_age_hours`; one row per (series, valid_time).
        frequency: distance of two bars.
        exogenous: names of the exogenous sources.

    Raises:
        ValueError: a (series, valid_time) occurs twice.
    """
    return [
        _one_series(str(key[0]), part, frequency, exogenous)
        for key, part in frame.group_by("series", maintain_order=True)
    ]


def _one_series(
    series: str, part: pl.DataFrame, frequency: timedelta, exogenous: tuple[str, ...]
) -> Bars:
    times = part["valid_time"]
    start, end = times.min(), times.max()
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    if times.n_unique() != len(times):
        first = part.filter(times.is_duplicated())["valid_time"][0]
        raise ValueError(
            f"series {series!r} has {first} more than once; one version per valid time is laid "
            "on the grid; select the versions known at one instant first"
        )
    grid = pl.DataFrame({"valid_time": pl.datetime_range(start, end, frequency, eager=True)})
    laid = grid.join(part, on="valid_time", how="left", validate="1:1").sort("valid_time")

    def column(name: str) -> FloatArray:
        return laid[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()

    return Bars(
        series=series,
        frequency=frequency,
        valid_time=laid["valid_time"].dt.replace_time_zone(None).to_numpy(),
        open=column("open"),
        high=column("high"),
        low=column("low"),
        close=column("close"),
        volume=column("volume"),
        exogenous={e: (column(f"{e}_value"), column(f"{e}_age_hours")) for e in exogenous},
    )
