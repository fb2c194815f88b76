"""Every kind of observed feature against a second implementation, in pandas and plain loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mlops_assets.features.bars import Bars, FloatArray, bars_on_grid
from mlops_assets.features.builders import BUILDERS, slot_mean_before, slot_mean_of_next
from mlops_assets_tests.features.series import EVERY_KIND, HOUR, observed, price_bars

COUNT = 420
GAPS = (30, 31, 32, 33, 90, 200, *range(250, 280))
FLAT, SILENT = 60, 61
"""A bar without range, and one without volume."""

Table = pd.DataFrame
Expected = Iterator[tuple[str, "pd.Series[float]"]]


@pytest.fixture(scope="module")
def bars() -> Bars:
    frame = price_bars(COUNT, missing=GAPS).to_pandas()
    flat = frame["number"] == FLAT
    for column in ("open", "high", "low"):
        frame.loc[flat, column] = frame.loc[flat, "close"]
    frame.loc[frame["number"] == SILENT, "volume"] = 0.0
    (only,) = bars_on_grid(observed(pl.from_pandas(frame)), frequency=HOUR, exogenous=("ndx",))
    return only


@pytest.fixture(scope="module")
def table(bars: Bars) -> Table:
    """The same bars as a pandas table with the measures made of one bar."""
    frame = pd.DataFrame(
        {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    )
    frame["ndx"], frame["age"] = bars.exogenous["ndx"]
    gk = (
        0.5 * np.log(frame.high / frame.low) ** 2
        - (2 * np.log(2) - 1) * np.log(frame.close / frame.open) ** 2
    )
    frame["v"] = gk.clip(lower=0)
    frame["l"] = np.log(np.sqrt(gk.clip(lower=4e-8)))
    frame["r"] = np.log(frame.close).diff()
    return frame


def log(values: pd.Series[float]) -> pd.Series[float]:
    return pd.Series(np.log(values.to_numpy()))


def mean(values: pd.Series[float], k: int) -> pd.Series[float]:
    return values.rolling(k, min_periods=ceil(k / 2)).mean()


def extreme(values: pd.Series[float], k: int, *, largest: bool) -> pd.Series[float]:
    rolled = values.rolling(k, min_periods=ceil(k / 2))
    return rolled.max() if largest else rolled.min()


def slot(hour: int) -> tuple[int, int]:
    """Hour and kind of day of the bar with this number, which opens an hour before its close."""
    opens = datetime(2024, 2, 29, 23) + hour * HOUR  # noqa: DTZ001 naive UTC
    return opens.hour, max(opens.weekday() - 4, 0)


def slot_mean(values: FloatArray, upto: int, half_life: float, wanted: int) -> float:
    """Mean of the known values in rows 0 .. upto - 1 in `wanted`'s slot, newest weighing most."""
    known = [v for k, v in enumerate(values[:upto]) if slot(k) == slot(wanted) and not np.isnan(v)]
    weights = [0.5 ** (age / half_life) for age in reversed(range(len(known)))]
    return float(np.average(known, weights=weights)) if known else np.nan


def log_rms_volatility(t: Table, *, windows: list[int]) -> Expected:
    for k in windows:
        yield f"coin_log_rms_volatility_{k}", 0.5 * log(mean(t.v.clip(lower=4e-8), k))


def mean_log_volatility(t: Table, *, windows: list[int]) -> Expected:
    for k in windows:
        yield f"coin_mean_log_volatility_{k}", mean(t.l, k)


def lagged_log_volatility(t: Table, *, lags: list[int]) -> Expected:
    for k in lags:
        yield f"coin_log_volatility_lag_{k}", t.l.shift(k)


def slot_log_volatility(t: Table, *, half_life: float, baseline: int) -> Expected:
    excess = (t.l - mean(t.l, baseline).shift(1)).to_numpy()
    usual = [slot_mean(excess, row + 1, half_life, row + 1) for row in range(len(t))]
    yield "coin_slot_log_volatility", pd.Series(usual)


def log_volume(t: Table, *, windows: list[int], baseline: int, half_life: float) -> Expected:
    level = log(t.volume.where(t.volume > 0))
    excess = (level - mean(level, 24).shift(1)).to_numpy()
    usual = pd.Series([slot_mean(excess, row, half_life, row) for row in range(len(t))])
    adjusted = level - usual.fillna(0.0)
    for k in windows:
        yield f"coin_log_volume_{k}", mean(adjusted, k) - mean(adjusted, baseline)


def log_range(t: Table, *, windows: list[int]) -> Expected:
    for k in windows:
        high, low = extreme(t.high, k, largest=True), extreme(t.low, k, largest=False)
        yield f"coin_log_range_{k}", log(log(high / low).clip(lower=2e-4))


def log_mean_abs_return(t: Table, *, windows: list[int]) -> Expected:
    for k in windows:
        yield f"coin_log_mean_abs_return_{k}", log(mean(t.r.abs(), k).clip(lower=2e-4))


def downside_share(t: Table, *, windows: list[int]) -> Expected:
    for k in windows:
        share = []
        for row in range(len(t)):
            known = t.r[max(0, row - k + 1) : row + 1].dropna()
            total = float((known**2).sum()) if len(known) >= k / 2 else 0.0
            share.append(float((known[known < 0] ** 2).sum()) / total if total else np.nan)
        yield f"coin_downside_share_{k}", pd.Series(share)


def distance_to_extremes(t: Table, *, windows: list[int]) -> Expected:
    for k in windows:
        scale = np.sqrt(mean(t.v, k).clip(lower=4e-8)) * np.sqrt(k)
        yield f"coin_below_high_{k}", log(t.close / extreme(t.high, k, largest=True)) / scale
        yield f"coin_above_low_{k}", log(t.close / extreme(t.low, k, largest=False)) / scale


def scaled_return(t: Table, *, windows: list[list[int]]) -> Expected:
    for m, k in windows:
        scale = np.sqrt(mean(t.v, k).clip(lower=4e-8)) * np.sqrt(m)
        yield f"coin_scaled_return_{m}_{k}", log(t.close / t.close.shift(m)) / scale


def close_location(t: Table) -> Expected:
    place = ((t.close - t.low) - (t.high - t.close)) / (t.high - t.low)
    yield "coin_close_location", place.where(t.high != t.low, 0.0).where(t.high.notna())


def lagged_return(t: Table, *, lags: list[int]) -> Expected:
    for k in lags:
        yield f"coin_log_return_lag_{k}", t.r.shift(k)


def recent_bars(t: Table, *, lookback: int, baseline: int, inputs: list[str]) -> Expected:
    (_, scaled), (_, place) = *scaled_return(t, windows=[[1, 24]]), *close_location(t)
    (_, volume) = next(log_volume(t, windows=[1], baseline=baseline, half_life=20))
    of_bar = {
        "return": scaled,
        "location": place,
        "excess_volatility": t.l - mean(t.l, 24),
        "excess_volume": volume,
        "high": t.high,
        "ndx": t.ndx,
    }
    for lag in range(lookback - 1, -1, -1):
        for name in inputs:
            yield f"coin_recent_{name}_{lag}", of_bar[name].shift(lag)


def last_close(t: Table) -> Expected:
    yield "coin_last_close", t.close


def as_of_return(t: Table, *, windows: list[int]) -> Expected:
    for k in windows:
        yield f"ndx_log_return_{k}", log(t.ndx / t.ndx.shift(k))


def as_of_level(t: Table) -> Expected:
    yield "ndx_log_level", log(t.ndx)


def as_of_age(t: Table) -> Expected:
    yield "ndx_age_hours", t.age


SECOND: Mapping[str, Callable[..., Expected]] = {
    f.__name__: f
    for f in (
        log_rms_volatility, mean_log_volatility, lagged_log_volatility, slot_log_volatility,
        log_volume, log_range, log_mean_abs_return, downside_share, distance_to_extremes,
        scaled_return, close_location, lagged_return, recent_bars, last_close, as_of_return,
        as_of_level, as_of_age,
    )
}  # fmt: skip


def test_no_kind_goes_without_a_second_implementation() -> None:
    assert set(SECOND) == set(BUILDERS) == {entry["kind"] for entry in EVERY_KIND}


@pytest.mark.parametrize("entry", EVERY_KIND, ids=lambda entry: str(entry["kind"]))
def test_a_builder_agrees_with_an_independent_computation(
    entry: dict[str, Any], bars: Bars, table: Table
) -> None:
    with np.errstate(invalid="ignore"):
        given = BUILDERS[entry["kind"]](bars, entry["source"], **entry["params"])

    wanted = dict(SECOND[entry["kind"]](table, **entry["params"]))
    assert list(given) == list(wanted)
    for name, column in given.items():
        np.testing.assert_allclose(
            column, wanted[name].to_numpy(), rtol=1e-7, atol=1e-9, equal_nan=True, err_msg=name
        )
        known = np.isfinite(column).mean()
        assert known > 0.5, f"{name} is hardly ever known, so the comparison says little"


@pytest.mark.parametrize(
    ("lookback", "inputs", "message"),
    [
        (0, ["return"], "at least one bar"),
        (3, [], "at least one bar and one input"),
        (3, ["vibes"], "input 'vibes' is none of a bar; use one of open, high, low"),
    ],
)
def test_a_sequence_that_cannot_be_made_is_refused(
    lookback: int, inputs: list[str], message: str, bars: Bars
) -> None:
    with pytest.raises(ValueError, match=message):
        BUILDERS["recent_bars"](bars, "coin", lookback=lookback, inputs=inputs)


def test_the_slot_means_use_past_bars_of_the_slot_only(bars: Bars) -> None:
    row = 350
    values = np.arange(COUNT, dtype=np.float64)
    future, elsewhere = values.copy(), values.copy()
    future[row + 1 :] = -1e6
    others = [k for k in range(COUNT) if slot(k) != slot(row + 1)]
    elsewhere[others] = -1e6

    of_next = slot_mean_of_next(bars, values, half_life=3)[row]

    assert slot_mean_of_next(bars, future, half_life=3)[row] == of_next
    assert slot_mean_of_next(bars, elsewhere, half_life=3)[row] == of_next
    assert of_next == slot_mean_before(bars, values, half_life=3)[row + 1]


def test_the_slot_mean_before_a_bar_leaves_the_bar_itself_out(bars: Bars) -> None:
    values = np.zeros(COUNT)
    values[350] = 1e6

    assert slot_mean_before(bars, values, half_life=3)[350] == 0.0
    assert slot_mean_of_next(bars, values, half_life=3)[349] == 0.0
