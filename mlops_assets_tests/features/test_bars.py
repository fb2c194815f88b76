from __future__ import annotations

from math import log, sqrt

import numpy as np
import polars as pl
import pytest

from mlops_assets.features.bars import LOG_VOLATILITY_FLOOR, Bars, bars_on_grid
from mlops_assets_tests.features.series import HOUR, at, observed, price_bars


def laid(*bars: tuple[float, float, float, float], missing: tuple[int, ...] = ()) -> Bars:
    """Bars of (open, high, low, close), one an hour; the numbers in `missing` are taken out."""
    frame = price_bars(len(bars)).with_columns(
        pl.Series(name, [bar[k] for bar in bars])
        for k, name in enumerate(("open", "high", "low", "close"))
    )
    kept = observed(frame.filter(~pl.col("number").is_in(list(missing))))
    (only,) = bars_on_grid(kept, frequency=HOUR, exogenous=("ndx",))
    return only


def test_the_garman_klass_variance_is_half_the_squared_range_less_a_share_of_the_body() -> None:
    # log(110/95) = 0.1466035, log(105/100) = 0.0487902, 2 log 2 - 1 = 0.3862944:
    # 0.5 * 0.0214926 - 0.3862944 * 0.0023805 = 0.0098267
    bars = laid((100, 110, 95, 105), (105, 105, 84, 84))

    # The second bar has no wicks: (0.5 - 0.3862944) * log(84/105)^2 = 0.1137056 * 0.0497930.
    assert bars.variance() == pytest.approx([0.0098267, 0.0056617], abs=1e-7)
    assert bars.log_volatility() == pytest.approx(
        [log(0.0098267) / 2, log(0.0056617) / 2], abs=1e-5
    )


def test_a_bar_without_range_has_the_smallest_volatility_not_none() -> None:
    bars = laid((100, 100, 100, 100))

    assert bars.variance().tolist() == [0.0]
    assert bars.log_volatility().tolist() == [LOG_VOLATILITY_FLOOR]
    assert pytest.approx(log(0.0002)) == LOG_VOLATILITY_FLOOR


def test_a_close_outside_its_range_never_gives_a_negative_variance() -> None:
    assert laid((100, 101, 100, 150)).variance().tolist() == [0.0]


def test_a_missing_bar_is_a_gap_on_the_grid_and_has_no_return_on_either_side() -> None:
    bars = laid((100, 100, 100, 100), (1, 1, 1, 1), (100, 121, 100, 121), (121, 121, 110, 110),
                missing=(1,))  # fmt: skip

    assert bars.valid_time.tolist() == [at(k).replace(tzinfo=None) for k in range(4)]
    assert np.isnan(bars.close).tolist() == [False, True, False, False]
    assert np.isnan(bars.variance()).tolist() == [False, True, False, False]
    assert np.isnan(bars.log_volatility()).tolist() == [False, True, False, False]
    returns = bars.log_return()
    assert np.isnan(returns).tolist() == [True, True, True, False]
    assert returns[3] == pytest.approx(log(110 / 121))
    assert sqrt(bars.variance()[3]) == pytest.approx(sqrt(0.1137056) * log(1.1), rel=1e-6)


def test_each_series_has_a_grid_of_its_own() -> None:
    both = pl.concat(
        [observed(price_bars(5), series="a"), observed(price_bars(9, seed=1)[3:], series="b")]
    )

    first, second = bars_on_grid(both, frequency=HOUR, exogenous=("ndx",))

    assert (first.series, len(first.close)) == ("a", 5)
    assert (second.series, len(second.close)) == ("b", 6)
    assert second.valid_time[0] == np.datetime64(at(3).replace(tzinfo=None))
    closes, ages = second.exogenous["ndx"]
    assert np.isnan(closes).tolist() == [False, True, False, False, False, False]
    assert ages.tolist() == [0.5, 7.0, 0.5, 0.5, 0.5, 0.5]


def test_two_versions_of_a_bar_are_refused_with_series_time_and_remedy() -> None:
    frame = observed(price_bars(3))

    with pytest.raises(ValueError, match=r"'coin' has 2024-03-01 02:00:00\+00:00 more than once.*"
                                         r"select the versions known at one instant"):  # fmt: skip
        bars_on_grid(pl.concat([frame, frame[2:]]), frequency=HOUR, exogenous=())
