"""Builders of observed features: one function a kind, chosen by `kind` in a problem's YAML.

A builder takes the bars of one series and its parameters and returns columns aligned with the
bars: the value in row t uses rows 0 .. t only. Windows and lags count bars. Notation: r is the
log return of a bar, v its Garman-Klass variance, l its log volatility, `s_k` the root mean square
volatility of k bars. Calendar features, known in advance, are in `calendar`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.features.bars import Bars, FloatArray
from mlops_assets.features.calendar import slots
from mlops_assets.features.rolling import lagged, rolling_extreme, rolling_mean

Columns = dict[str, FloatArray]
Builder = Callable[..., Columns]


def log_rms_volatility(bars: Bars, source: str, *, windows: Sequence[int]) -> Columns:
    """`log s_k`: log of the root mean square volatility over k bars, floored like l."""
    variance = np.maximum(bars.variance(), np.exp(2 * bars.log_volatility()))
    return {
        f"{source}_log_rms_volatility_{k}": 0.5 * np.log(rolling_mean(variance, k)) for k in windows
    }


def mean_log_volatility(bars: Bars, source: str, *, windows: Sequence[int]) -> Columns:
    """Mean of l over k bars."""
    level = bars.log_volatility()
    return {f"{source}_mean_log_volatility_{k}": rolling_mean(level, k) for k in windows}


def lagged_log_volatility(bars: Bars, source: str, *, lags: Sequence[int]) -> Columns:
    """L of k bars ago (0 is the newest bar)."""
    level = bars.log_volatility()
    return {f"{source}_log_volatility_lag_{k}": lagged(level, k) for k in lags}


def slot_log_volatility(bars: Bars, source: str, *, half_life: float, baseline: int) -> Columns:
    """What the next bar's slot of the week usually adds to l.

    Exponentially weighted mean (half-life in occurrences) of l minus its mean over the `baseline`
    bars before, over past bars of the same slot (hour x {weekday, Saturday, Sunday}).
    """
    level = bars.log_volatility()
    excess = level - lagged(rolling_mean(level, baseline), 1)
    return {f"{source}_slot_log_volatility": slot_mean_of_next(bars, excess, half_life=half_life)}


def log_volume(
    bars: Bars, source: str, *, windows: Sequence[int], baseline: int, half_life: float
) -> Columns:
    """Mean log volume over k bars less its mean over `baseline` bars, deseasonalised by slot."""
    level = np.full(bars.volume.shape, np.nan)
    np.log(bars.volume, out=level, where=bars.volume > 0)
    excess = level - lagged(rolling_mean(level, 24), 1)
    usual = np.nan_to_num(slot_mean_before(bars, excess, half_life=half_life))
    adjusted = level - usual
    long_run = rolling_mean(adjusted, baseline)
    return {f"{source}_log_volume_{k}": rolling_mean(adjusted, k) - long_run for k in windows}


def log_range(bars: Bars, source: str, *, windows: Sequence[int]) -> Columns:
    """Log of `log(highest high / lowest low)` over k bars, floored like l."""
    out = {}
    for k in windows:
        high = rolling_extreme(bars.high, k, largest=True)
        low = rolling_extreme(bars.low, k, largest=False)
        out[f"{source}_log_range_{k}"] = np.log(np.maximum(np.log(high / low), 2e-4))
    return out


def log_mean_abs_return(bars: Bars, source: str, *, windows: Sequence[int]) -> Columns:
    """Log of the mean absolute log return over k bars, floored like l."""
    size = np.abs(bars.log_return())
    return {
        f"{source}_log_mean_abs_return_{k}": np.log(np.maximum(rolling_mean(size, k), 2e-4))
        for k in windows
    }


def downside_share(bars: Bars, source: str, *, windows: Sequence[int]) -> Columns:
    """Share of falling bars in the sum of squared returns over k bars, 0 to 1."""
    squared = bars.log_return() ** 2
    falling = np.where(np.isnan(squared), np.nan, np.where(bars.log_return() < 0, squared, 0.0))
    out = {}
    for k in windows:
        total = rolling_mean(squared, k)
        share = np.full(total.shape, np.nan)
        np.divide(rolling_mean(falling, k), total, out=share, where=total > 0)
        out[f"{source}_downside_share_{k}"] = share
    return out


def distance_to_extremes(bars: Bars, source: str, *, windows: Sequence[int]) -> Columns:
    """`log(close / highest high)`, `log(close / lowest low)` over k bars, in s_k sqrt k."""
    variance = bars.variance()
    out = {}
    for k in windows:
        scale = np.sqrt(np.maximum(rolling_mean(variance, k), 4e-8) * k)
        high = rolling_extreme(bars.high, k, largest=True)
        low = rolling_extreme(bars.low, k, largest=False)
        out[f"{source}_below_high_{k}"] = np.log(bars.close / high) / scale
        out[f"{source}_above_low_{k}"] = np.log(bars.close / low) / scale
    return out


def scaled_return(bars: Bars, source: str, *, windows: Sequence[Sequence[int]]) -> Columns:
    """Return over m bars in units of `s_k sqrt m`, for each pair [m, k]."""
    price, variance = np.log(bars.close), bars.variance()
    out = {}
    for m, k in windows:
        scale = np.sqrt(np.maximum(rolling_mean(variance, k), 4e-8) * m)
        out[f"{source}_scaled_return_{m}_{k}"] = (price - lagged(price, m)) / scale
    return out


def close_location(bars: Bars, source: str) -> Columns:
    """Where the bar closed in its range: `(2C - H - L) / (H - L)`, -1 to 1; 0 without a range."""
    width = bars.high - bars.low
    out = np.where(np.isnan(width), np.nan, 0.0)
    np.divide(2 * bars.close - bars.high - bars.low, width, out=out, where=width > 0)
    return {f"{source}_close_location": out}


def lagged_return(bars: Bars, source: str, *, lags: Sequence[int]) -> Columns:
    """Log return of the bar k bars ago (0 is the newest)."""
    value = bars.log_return()
    return {f"{source}_log_return_lag_{k}": lagged(value, k) for k in lags}


def recent_bars(
    bars: Bars, source: str, *, lookback: int, inputs: Sequence[str], baseline: int = 720
) -> Columns:
    """A sequence: the chosen inputs of each of the last `lookback` bars, the oldest bar first.

    Inputs are `open`, `high`, `low`, `close`, `volume` as they came, the name of an exogenous
    source for its value as of the bar, and measures of one bar: `return`, in units of `s_24`;
    `location`, see `close_location`; `excess_volatility`, l less its mean over 24 bars;
    `excess_volume`, see `log_volume`, of one bar with this baseline and a half-life of 20. Named by
    the input and the bars since: `..._excess_volatility_23` to `..._excess_volatility_0`.
    """
    if lookback < 1 or not inputs:
        raise ValueError(
            f"lookback {lookback} and inputs {list(inputs)}; a sequence has at least one bar and "
            "one input; raise lookback, name inputs"
        )
    made = {name: _input_of_bar(bars, name, baseline) for name in inputs}
    return {
        f"{source}_recent_{name}_{lag}": lagged(values, lag)
        for lag in reversed(range(lookback))
        for name, values in made.items()
    }


def last_close(bars: Bars, source: str) -> Columns:
    """The close of the newest bar, in the source's unit."""
    return {f"{source}_last_close": bars.close.copy()}


def as_of_return(bars: Bars, source: str, *, windows: Sequence[int]) -> Columns:
    """Log return over k bars of an exogenous source's value as of each bar; NaN when too old."""
    close, _ = bars.exogenous[source]
    return {f"{source}_log_return_{k}": np.log(close / lagged(close, k)) for k in windows}


def as_of_level(bars: Bars, source: str) -> Columns:
    """Log of an exogenous source's value as of each bar; NaN when too old."""
    close, _ = bars.exogenous[source]
    return {f"{source}_log_level": np.log(close)}


def as_of_age(bars: Bars, source: str) -> Columns:
    """Age of an exogenous source's newest value at each bar's publication, hours."""
    _, age = bars.exogenous[source]
    return {f"{source}_age_hours": age.copy()}


BUILDERS: Final[dict[str, Builder]] = {
    f.__name__: f
    for f in (
        log_rms_volatility,
        mean_log_volatility,
        lagged_log_volatility,
        slot_log_volatility,
        log_volume,
        log_range,
        log_mean_abs_return,
        downside_share,
        distance_to_extremes,
        scaled_return,
        close_location,
        lagged_return,
        recent_bars,
        last_close,
        as_of_return,
        as_of_level,
        as_of_age,
    )
}
"""Kinds of observed features that a problem's YAML may name."""


_PRICES: Final = ("open", "high", "low", "close", "volume")
_MEASURES: Final = ("return", "location", "excess_volatility", "excess_volume")


def _input_of_bar(bars: Bars, name: str, baseline: int) -> FloatArray:
    """One input of a sequence at each bar; see `recent_bars`."""
    made: Columns = {}
    if name == "return":
        made = scaled_return(bars, "", windows=[[1, 24]])
    elif name == "location":
        made = close_location(bars, "")
    elif name == "excess_volatility":
        level = bars.log_volatility()
        made = {name: level - rolling_mean(level, 24)}
    elif name == "excess_volume":
        made = log_volume(bars, "", windows=[1], baseline=baseline, half_life=20)
    elif name in bars.exogenous:
        made = {name: bars.exogenous[name][0]}
    elif name in _PRICES:
        made = {name: getattr(bars, name)}
    if not made:
        raise ValueError(
            f"input {name!r} is none of a bar; use one of "
            f"{', '.join((*_PRICES, *_MEASURES, *bars.exogenous))}"
        )
    (values,) = made.values()
    return values


def slot_mean_before(bars: Bars, values: FloatArray, *, half_life: float) -> FloatArray:
    """At row t, the weighted mean of `values` over earlier bars of t's own slot."""
    return _slot_mean(bars, values, half_life=half_life)[:-1]


def slot_mean_of_next(bars: Bars, values: FloatArray, *, half_life: float) -> FloatArray:
    """At row t, the weighted mean of `values` over past bars of the slot of bar t + 1."""
    return _slot_mean(bars, values, half_life=half_life)[1:]


def _slot_mean(bars: Bars, values: FloatArray, *, half_life: float) -> FloatArray:
    """One row more than the bars: the weighted mean before each bar, and before the next one."""
    opens = bars.valid_time - np.timedelta64(bars.frequency)
    opens = np.append(opens, opens[-1] + np.timedelta64(bars.frequency))
    frame = pl.DataFrame(
        {"slot": slots(opens), "value": np.append(values, np.nan)}, nan_to_null=True
    )
    mean = pl.col("value").ewm_mean(half_life=half_life, ignore_nulls=True)
    out = frame.select(mean.forward_fill().shift(1).over("slot").alias("mean"))["mean"]
    return out.fill_null(float("nan")).to_numpy()
