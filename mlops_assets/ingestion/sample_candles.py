"""Synthetic bars of a market, with the properties that the pipeline is about.

Here: the process behind the bars. Not here: which of them a run may see (`sample`), and any claim
about a market; whatever is built on these bars is labelled synthetic.

The process, on a grid of 5 minutes that never closes:

- Shocks are standard normal. A source's shock mixes the common market shock `m` and its own `e`:
  `(beta m + e) / sqrt(1 + beta^2)`, so its correlation with the market is
  `beta / sqrt(1 + beta^2)`.
- The log volatility of a bar is an AR(1) (half-life about 34 bars) plus a daily season plus
  independent noise, centred so that the root mean square volatility is `volatility_pct`. Mixing
  volatilities makes returns heavy-tailed (kurtosis about 9).
- The planted weak signal: the scaled return `z` of a bar (return over volatility) has the
  conditional mean `-reversal * z(previous bar)`; from `switch_at` on the sign is opposite.
- High and low come from the ticks, 12 in an hour, so ranges are somewhat narrower than those of
  a continuous path; the ratio does not change with volatility.
- The log price reverts to its start with a half-life of 90 days, far too slow to be a signal, so
  that prices stay credible however long the sample runs.

A bar of a market is what the path does while its calendar says open; the path goes on behind
closed doors, so the next session opens with a jump. All randomness is keyed by day
(`keyed_noise`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.ingestion.keyed_noise import FloatArray, normals
from mlops_assets.ingestion.sessions import Instants, bar_opens, instant64
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import CandleSource, SampleSource

TICK: Final = timedelta(minutes=5)
DAY: Final = timedelta(days=1)
_TICKS_A_DAY: Final = DAY // TICK

_PERSISTENCE: Final = 0.98
_PERSISTENT_SD: Final = 0.4
_NOISE_SD: Final = 0.3
_SEASON: Final = 0.25
"""Log volatility: AR(1) coefficient and stationary sd, sd of the noise, amplitude of the season."""

_SEASON_PEAK_HOUR: Final = 15.0
_HALF_LIFE_DAYS: Final = 90.0
_TYPICAL_VOLUME: Final = 1000.0
_VOLUME_NOISE_SD: Final = 0.4
_MARKET_SEED: Final = 20_090_103
"""One for all sources: it keys the common market shock."""


@dataclass(frozen=True)
class _Path:
    """The latent path of a source.

    Attributes:
        start: midnight UTC at which it begins.
        log_price: shape (ticks + 1,): the log price at `start` and after each tick.
        relative_log_volatility: shape (slots,): of each bar slot from `start`, over the typical.
        log_volume_noise: shape (slots,): standard normal.
    """

    start: datetime
    log_price: FloatArray
    relative_log_volatility: FloatArray
    log_volume_noise: FloatArray


def bars(
    name: str, source: CandleSource, sample: SampleSource, *, start: datetime, end: datetime
) -> pl.DataFrame:
    """Synthetic bars that open in `[start, end)`: series, valid time, prices, volume.

    Raises:
        SourceError: the bar does not fit the ticks, or the calendar is unknown.
    """
    if source.period % TICK or DAY % source.period:
        raise SourceError(
            f"{name}: bar {source.period} cannot be sampled; it must be a multiple of {TICK} that "
            "divides a day; change `period`"
        )
    opens = bar_opens(source.calendar, bar=source.period, start=start, end=end)
    path = _latent_path(sample, bar=source.period, end=end + source.period)
    return _bars(path, opens, source=source).with_columns(series=pl.lit(name))


def _latent_path(sample: SampleSource, *, bar: timedelta, end: datetime) -> _Path:
    """The path from the midnight before `sample.start` to the midnight after `end`."""
    from scipy.signal import lfilter

    start = sample.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first_day, days = start.toordinal(), -((start - end) // DAY)
    slots_a_day, ticks = DAY // bar, bar // TICK
    market = _normals(_MARKET_SEED, "market", first_day, days, _TICKS_A_DAY)
    own = _normals(sample.seed, "price", first_day, days, _TICKS_A_DAY)
    shocks = (sample.market_beta * market + own) / np.hypot(1.0, sample.market_beta)
    log_volatility = _relative_log_volatility(sample.seed, first_day, days, slots_a_day)
    scaled = _with_reversal(
        shocks.reshape(-1, ticks) / np.sqrt(ticks),
        reversal=sample.reversal,
        switch=_switch_slot(sample, start=start, bar=bar),
    )
    volatility = sample.volatility_pct / 100 * np.exp(log_volatility)
    returns = (scaled * volatility[:, None]).ravel()
    pull_back = 0.5 ** (1.0 / (_HALF_LIFE_DAYS * _TICKS_A_DAY))
    deviation = lfilter([1.0], [1.0, -pull_back], returns)
    return _Path(
        start=start,
        log_price=np.log(sample.price) + np.concatenate([[0.0], deviation]),
        relative_log_volatility=log_volatility,
        log_volume_noise=_normals(sample.seed, "volume", first_day, days, slots_a_day),
    )


def _normals(seed: int, stream: str, first_day: int, days: int, count: int) -> FloatArray:
    """`keyed_noise.normals` in one row; shape (days * count,)."""
    return normals(seed, stream, first_day, days, count).ravel()


def _relative_log_volatility(seed: int, first_day: int, days: int, slots_a_day: int) -> FloatArray:
    """Log of each bar's volatility over the typical one; its exponential has mean square 1."""
    from scipy.signal import lfilter

    shocks = _normals(seed, "volatility", first_day, days, slots_a_day)
    noise = _NOISE_SD * _normals(seed, "volatility noise", first_day, days, slots_a_day)
    innovation_sd = _PERSISTENT_SD * np.sqrt(1 - _PERSISTENCE**2)
    persistent = lfilter([innovation_sd], [1.0, -_PERSISTENCE], shocks)
    hours = np.arange(days * slots_a_day) % slots_a_day * (24.0 / slots_a_day)
    season = _SEASON * np.cos(2 * np.pi * (hours - _SEASON_PEAK_HOUR) / 24.0)
    # For a normal x with variance v, E[exp(2 (x - v))] = 1: the mean square stays as asked for.
    variance = _PERSISTENT_SD**2 + _NOISE_SD**2 + _SEASON**2 / 2
    centred: FloatArray = persistent + noise + season - variance
    return centred


def _switch_slot(sample: SampleSource, *, start: datetime, bar: timedelta) -> int | None:
    """The first bar slot that opens at `switch_at` or later; None when the sign stays."""
    if sample.switch_at is None:
        return None
    return max(0, -((start - sample.switch_at) // bar))


def _with_reversal(shocks: FloatArray, *, reversal: float, switch: int | None) -> FloatArray:
    """Scaled tick returns of each bar: its shocks plus the planted mean, spread over its ticks.

    With `u` the sum of a bar's shocks, `z[t] = -reversal * z[t - 1] + u[t]`, and from slot `switch`
    on `z[t] = +reversal * z[t - 1] + u[t]`.

    Args:
        shocks: shape (slots, ticks); the sum of a row has variance 1.
        reversal: share of the last scaled return that reverses.
        switch: first slot with the opposite sign; None for never.

    Returns:
        Shape (slots, ticks), rows summing to `z`.
    """
    from scipy.signal import lfilter

    total = shocks.sum(axis=1)
    turn = len(total) if switch is None else min(switch, len(total))
    z = lfilter([1.0], [1.0, reversal], total[:turn])
    if turn < len(total):
        last = z[-1] if turn else 0.0
        after, _ = lfilter([1.0], [1.0, -reversal], total[turn:], zi=[reversal * last])
        z = np.concatenate([z, after])
    planted: FloatArray = shocks + ((z - total) / shocks.shape[1])[:, None]
    return planted


def _bars(path: _Path, opens: Instants, *, source: CandleSource) -> pl.DataFrame:
    """Open, high, low, close of each bar from the ticks inside it, and its volume."""
    ticks = source.period // TICK
    begin = instant64(path.start)
    first = ((opens - begin) // np.timedelta64(TICK, "us")).astype(np.int64)
    prices = np.exp(path.log_price[first[:, None] + np.arange(ticks + 1)])
    slot = first // ticks
    activity = path.relative_log_volatility[slot] + _VOLUME_NOISE_SD * path.log_volume_noise[slot]
    frame = pl.DataFrame(
        {
            "valid_time": opens + np.timedelta64(source.period, "us"),
            "open": prices[:, 0],
            "high": prices.max(axis=1),
            "low": prices.min(axis=1),
            "close": prices[:, -1],
            "volume": _TYPICAL_VOLUME * np.exp(activity),
        }
    ).with_columns(pl.col("valid_time").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    if source.has_volume:
        return frame
    return frame.with_columns(volume=pl.lit(None, dtype=pl.Float64))
