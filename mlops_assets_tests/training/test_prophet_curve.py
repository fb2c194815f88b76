"""Prophet's curve, taken apart, is Prophet's own forecast, in Python and in the graph."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from prophet import Prophet

from mlops_assets.problem import ProblemError
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.prophet_curve import Curve, prophet
from mlops_assets.training.sequence_fit import MissingExtraError
from mlops_assets_tests.training.networks import in_graph

FIRST_HOUR = 24 * 19_800
"""Hours from 1970-01-01 to 2024-03-18."""
PARAMS = {"changepoints": 4, "daily": 3, "weekly": 2}


def history(rows: int) -> tuple[FloatArray, FloatArray]:
    """Last value and hour of the valid time, with the log return to a price of day and trend."""
    hour = FIRST_HOUR + np.arange(rows + 1, dtype=np.float64)
    noise = np.random.default_rng(0).normal(0, 0.001, rows + 1)
    log_price = 4.6 + 0.0002 * np.arange(rows + 1) + 0.01 * np.sin(2 * np.pi * hour / 24) + noise
    return np.column_stack([np.exp(log_price[:-1]), hour[1:]]), np.diff(log_price)


FEATURES, TARGET = history(600)


@pytest.mark.parametrize(
    "params", [PARAMS, {"changepoints": 0, "daily": 0, "weekly": 0}, {**PARAMS, "weekly": 0}]
)
def test_the_curve_is_prophet_s_forecast_less_the_last_value(params: dict[str, int]) -> None:
    ahead, _ = history(700)
    given = prophet(FEATURES, TARGET, params=params).predict(ahead)

    own = Prophet(
        n_changepoints=params["changepoints"],
        yearly_seasonality=False,
        daily_seasonality=params["daily"] or False,
        weekly_seasonality=params["weekly"] or False,
        uncertainty_samples=0,
    )
    at = pd.to_datetime((ahead[:, 1] * 3600).astype(np.int64), unit="s")
    level = np.log(FEATURES[:, 0]) + TARGET
    own.fit(pd.DataFrame({"ds": at[:600], "y": level}), seed=0)
    forecast = own.predict(pd.DataFrame({"ds": at}))["yhat"].to_numpy()
    assert given == pytest.approx(forecast - np.log(ahead[:, 0]), abs=1e-10)


def test_the_graph_gives_what_python_gives() -> None:
    fit = prophet(FEATURES, TARGET, params=PARAMS)

    assert np.abs(in_graph(fit, FEATURES) - fit.predict(FEATURES)).max() < 1e-11
    assert fit.describe() == {"changepoints": 4, "waves": 10}  # 2 (3 + 2) sines and cosines


def test_a_curve_bends_after_its_knot_and_waves_once_a_day() -> None:
    curve = Curve(
        start=0.0, length=48.0, slope=1.0, offset=2.0, knots=np.array([0.5]),
        bends=np.array([4.0]), angles=np.array([2 * np.pi / 24]), phases=np.array([0.0]),
        heights=np.array([3.0]),
    )  # fmt: skip

    given = curve.predict(np.array([[1.0, 6.0], [np.e, 36.0]]))

    # At 6 h: 1/8 + 2 + 3 sin(90 deg); at 36 h: 3/4 + 2 + 4 (3/4 - 1/2) + 3 sin(540 deg) - log(e).
    assert given == pytest.approx([5.125, 2.75])


def test_the_same_rows_give_the_same_curve_to_the_bit() -> None:
    once, twice = (prophet(FEATURES, TARGET, params=PARAMS).predict(FEATURES) for _ in range(2))

    assert once.tobytes() == twice.tobytes()


@pytest.mark.parametrize(
    "features",
    [FEATURES[:, :1], np.where(FEATURES[3, 0] == FEATURES, np.nan, FEATURES), -FEATURES],
    ids=["one column", "a gap", "below zero"],
)
def test_features_that_are_no_price_and_time_are_refused(features: FloatArray) -> None:
    with pytest.raises(ProblemError, match="it takes two that are known and positive"):
        prophet(features, TARGET, params=PARAMS)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prophet", None)

    with pytest.raises(MissingExtraError, match=r"install the extra prophet \(pip install"):
        prophet(FEATURES, TARGET, params=PARAMS)
