from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.forest import HALF_WIDTH, INPUTS, LAST_VALUE, Forest, fit_forest
from benchmarks.serving.forest_home import PROBLEM, forest_files, write_home
from benchmarks.serving.in_process import application, metrics_switched_off
from benchmarks.serving.peer_services import PREDICT, OtherForecastError, mlflow_serve, ours
from mlops_assets_tests.serving.published import registered
from serving.instrumentation import Metrics
from serving.model_files import load_model


@pytest.fixture(scope="module")
def forest() -> Forest:
    return fit_forest(trees=5, depth=4, rows=300)


def test_the_served_forest_forecasts_the_last_value_and_what_scikit_learn_adds(
    forest: Forest,
) -> None:
    files = forest_files(forest)
    model = load_model(files, registered(files), problem=PROBLEM)
    quantiles = model.quantiles(
        forest.rows.astype(np.float64), np.full(len(forest.rows), LAST_VALUE)
    )
    points = LAST_VALUE + forest.changes
    np.testing.assert_allclose(quantiles[:, 1], points, atol=1e-4)
    np.testing.assert_allclose(quantiles[:, 0], points - HALF_WIDTH, atol=1e-4)
    np.testing.assert_allclose(quantiles[:, 2], points + HALF_WIDTH, atol=1e-4)


def test_the_same_arguments_give_the_same_forest(forest: Forest) -> None:
    again = fit_forest(trees=5, depth=4, rows=300)
    np.testing.assert_array_equal(again.rows, forest.rows)
    np.testing.assert_array_equal(again.changes, forest.changes)


def test_another_width_of_the_band_leaves_the_point(forest: Forest) -> None:
    wide = forest_files(forest, 0.75)
    model = load_model(wide, registered(wide), problem=PROBLEM)
    (quantiles,) = model.quantiles(forest.rows[:1].astype(np.float64), np.array([LAST_VALUE]))
    point = LAST_VALUE + forest.changes[0]
    np.testing.assert_allclose(quantiles, [point - 0.75, point, point + 0.75], atol=1e-4)


def test_a_home_with_the_forest_is_served(forest: Forest, tmp_path: Path) -> None:
    world = write_home(tmp_path / "home", forest, half_widths=(HALF_WIDTH,))
    bodies = ours(world).bodies(forest.rows)

    async def ask() -> dict[str, float]:
        async with application(world.home, PREDICT) as asked:
            return await asked.cpu_microseconds(bodies, 5)

    taken = asyncio.run(ask())
    assert taken["request"] > 0


def test_metrics_that_are_switched_off_count_nothing_and_count_again_afterwards() -> None:
    metrics = Metrics()
    count = partial(metrics.answered, "POST", "/v1/predict", 200, ("p", "1"), 0.001)
    count()
    with metrics_switched_off():
        metrics.answered("POST", "/v1/predict", 200, ("p", "1"), 0.001)
        metrics.forecast("p", "champion", "1", 1)
    count()
    text = metrics.text().decode()
    route = 'method="POST",route="/v1/predict",status="200"'
    assert f"serving_requests_total{{{route}}} 2.0" in text
    assert 'serving_forecasts_total{problem="p"' not in text


def test_a_peer_with_another_forecast_is_not_compared(forest: Forest) -> None:
    peer = mlflow_serve(Path("nowhere"))
    peer._compare([1.0, 2.0], [1.00009, 2.0])
    with pytest.raises(OtherForecastError, match=r"mlflow is off by 0\.0002, at most 0\.0001"):
        peer._compare([1.0, 2.0], [1.0002, 2.0])


def test_each_peer_is_asked_all_inputs_by_name(forest: Forest, tmp_path: Path) -> None:
    row = forest.rows[0].tolist()
    split = mlflow_serve(tmp_path).body(row)
    assert split == {"dataframe_split": {"columns": list(INPUTS), "data": [row]}}
