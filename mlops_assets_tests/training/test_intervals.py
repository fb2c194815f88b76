"""The trailing conformal quantile against a plain loop, and the coverage it gives."""

from __future__ import annotations

from math import sqrt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.problem import Band
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.intervals import (
    TooFewScoresError,
    quantiles,
    scores,
    trailing_quantile,
)
from mlops_assets_tests.features.series import HOUR, at

BAND = Band.model_validate({"coverage": 0.9, "window": 150, "calibration": "10d"})


def history(values: FloatArray, *, delay: int = 1, series: str = "coin") -> pl.DataFrame:
    """Scores of the origins 0, 1, ..., each known `delay` hours after its origin."""
    return pl.DataFrame(
        {
            "series": [series] * len(values),
            "step": [1] * len(values),
            "target_known_at": [at(k + delay) for k in range(len(values))],
            "score": values,
        }
    )


def origins(*numbers: int, series: str = "coin") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "series": [series] * len(numbers),
            "step": [1] * len(numbers),
            "origin": [at(k) for k in numbers],
        }
    )


def quantile_by_sorting(values: FloatArray, level: float) -> float:
    """Linear interpolation between the two nearest order statistics."""
    ordered = np.sort(values)
    place = level * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_it_is_the_quantile_of_the_newest_scores_known_at_the_origin(seed: int, delay: int) -> None:
    values = np.random.default_rng(seed).exponential(size=400)
    asked = [104, 130, 200, 399]

    given_ = trailing_quantile(history(values, delay=delay), origins(*asked), BAND)

    level = 0.9 * (1 + 1 / 150)
    for origin, quantile in zip(asked, given_["band_quantile"], strict=True):
        known = [v for k, v in enumerate(values) if k + delay <= origin]
        wanted = quantile_by_sorting(np.array(known[-150:]), level)
        assert quantile == pytest.approx(wanted, rel=1e-12)


def test_a_score_that_is_not_known_yet_changes_nothing() -> None:
    values = np.random.default_rng(0).exponential(size=300)
    later = values.copy()
    later[200:] = 1e6  # known from origin 201 on

    before, after = (
        trailing_quantile(history(v), origins(150, 200, 201), BAND) for v in (values, later)
    )

    assert before["band_quantile"][:2].to_list() == after["band_quantile"][:2].to_list()
    assert before["band_quantile"][2] != after["band_quantile"][2]


def test_the_order_in_which_scores_are_stored_does_not_matter() -> None:
    table = history(np.random.default_rng(0).exponential(size=300))

    shuffled = trailing_quantile(table.sample(fraction=1, shuffle=True, seed=1), origins(250), BAND)

    assert shuffled.equals(trailing_quantile(table, origins(250), BAND))


def test_series_and_steps_have_quantiles_of_their_own() -> None:
    small, large = np.full(120, 1.0), np.full(120, 5.0)
    second_step = history(np.full(120, 9.0)).with_columns(step=pl.lit(2, dtype=pl.Int64))
    both = pl.concat([history(small), history(large, series="other"), second_step])
    asked = pl.concat([origins(120), origins(120, series="other")])

    banded = trailing_quantile(both, asked, BAND)

    assert dict(zip(banded["series"], banded["band_quantile"], strict=True)) == {
        "coin": 1.0,
        "other": 5.0,
    }


def test_fewer_scores_than_a_hundred_give_no_band_but_an_error_with_the_remedy() -> None:
    table = history(np.ones(300))

    assert len(trailing_quantile(table, origins(BAND.least), BAND)) == 1
    with pytest.raises(TooFewScoresError) as caught:
        trailing_quantile(table, origins(BAND.least - 1, 200), BAND)
    assert str(caught.value) == (
        "series 'coin' at origin 2024-03-05T03:00Z: fewer than 100 forecasts have come true; "
        "a band needs that many (band.least); lengthen band.calibration or start the evaluation "
        "later"
    )
    assert at(BAND.least - 1) == at(0) + 99 * HOUR


def test_the_band_covers_nearly_what_it_promises_whatever_the_errors_look_like() -> None:
    rng = np.random.default_rng(5)
    count, first = 6000, 200
    band = Band.model_validate({"coverage": 0.9, "window": 500, "calibration": "10d"})
    scale = np.exp(rng.normal(-5, 0.7, count))
    location = rng.normal(size=count) * scale * 0.1
    realised = location + scale * rng.standard_t(3, count)  # heavy tails, changing volatility
    table = history(scores(realised, location, scale))

    banded = trailing_quantile(table, origins(*range(first, count)), band)
    p05, p50, p95 = quantiles(location[first:], scale[first:], banded["band_quantile"].to_numpy()).T

    inside = (realised[first:] >= p05) & (realised[first:] <= p95)
    # Binomial error plus that of a quantile of 500 scores, which neighbouring origins share.
    tolerance = 4 * sqrt(0.09 / (count - first) + 0.09 / 500 * 500 / (count - first))
    assert inside.mean() == pytest.approx(0.9, abs=tolerance)
    assert (p50 == location[first:]).all()


def test_quantiles_lie_around_the_location_by_scale_times_quantile() -> None:
    location, scale, quantile = np.array([0.0, 1.0]), np.array([2.0, 0.5]), np.array([1.5, 2.0])

    assert quantiles(location, scale, quantile).tolist() == [[-3.0, 0.0, 3.0], [0.0, 1.0, 2.0]]


def test_scores_are_absolute_errors_in_units_of_the_forecast_scale() -> None:
    realised, location, scale = np.array([3.0, -3.0]), np.array([1.0, 1.0]), np.array([2.0, 0.5])

    assert scores(realised, location, scale).tolist() == [1.0, 8.0]
