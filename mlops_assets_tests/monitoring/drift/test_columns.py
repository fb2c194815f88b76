from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mlops_assets.monitoring.drift.columns import (
    champion_forecasts,
    compared_columns,
    names_of,
    predicted_change,
    realised_change,
)
from mlops_assets.problem import ProblemError
from mlops_assets_tests.evaluation.frames import share_problem, small_problem
from mlops_assets_tests.monitoring.drift.histories import (
    DAY,
    RECIPE,
    START,
    drifting,
    feature_table,
    forecasts_of,
)

PROBLEM = small_problem()
HOURS = feature_table(np.zeros(5))  # a price that gains 1 % an hour
SAID = champion_forecasts(forecasts_of(HOURS), forecasts_of(HOURS).clear(), RECIPE)


def test_a_target_is_what_happened_and_never_the_level_of_a_price() -> None:
    change = realised_change(HOURS, PROBLEM)

    assert change["target"].to_list() == pytest.approx([1.0] * 4)  # percent, log


def test_a_prediction_is_the_change_that_was_said() -> None:
    said = predicted_change(SAID, HOURS, PROBLEM)

    assert said["prediction"].to_list() == pytest.approx([1.0] * 4)


def test_a_price_that_trends_has_no_column_that_trends() -> None:
    compared = compared_columns(HOURS, SAID, PROBLEM, drifting("calm"))

    assert names_of(compared) == ["calm", "target", "prediction"]
    assert "last_value" not in compared.columns


def test_the_last_value_cannot_be_asked_for() -> None:
    with pytest.raises(ProblemError, match=r"drift\.features names 'last_value', which matches no"):
        compared_columns(HOURS, SAID, PROBLEM, drifting("last_value"))


def test_a_feature_that_depends_on_the_step_is_compared_at_the_next_one() -> None:
    stepwise = HOURS.with_columns(pl.lit(1.0).alias("x@01"), pl.lit(2.0).alias("x@02"))

    compared = compared_columns(stepwise, SAID, PROBLEM, drifting("x"))

    assert names_of(compared) == ["x", "target", "prediction"]
    assert compared["x"].to_list() == [1.0] * 5


def test_a_live_forecast_counts_where_the_backtest_spoke_too() -> None:
    backtest, live = forecasts_of(HOURS).head(3), forecasts_of(HOURS, error=0.5).slice(2, 1)

    said = champion_forecasts(backtest, live, RECIPE).sort("origin")

    assert said["origin"].to_list() == backtest["origin"].to_list()
    assert said["point"][2] == live["point"][0]


def test_forecasts_of_other_recipes_are_not_the_champions() -> None:
    assert champion_forecasts(forecasts_of(HOURS), forecasts_of(HOURS), "other").is_empty()


def test_of_shares_the_target_is_the_change_over_a_season() -> None:
    problem = share_problem(evaluation={"season": 2})
    days = [START + k * DAY for k in range(4)]
    shares = HOURS.head(4).with_columns(
        pl.Series("origin", days),
        pl.Series("last_observed", days),
        pl.Series("last_value", [10.0, 20.0, 13.0, 21.0]),
    )

    assert realised_change(shares, problem)["target"].to_list() == [3.0, 1.0]


def test_of_shares_the_prediction_is_what_differs_from_the_usual_share() -> None:
    usual = HOURS.with_columns(level=pl.lit(90.0))
    said = SAID.sort("origin").head(1).with_columns(point=pl.lit(92.5))

    assert predicted_change(said, usual, share_problem())["prediction"].to_list() == [2.5]
