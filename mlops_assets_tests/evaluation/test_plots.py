"""The pictures: that they are drawn, of what, and that they survive awkward input."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import polars as pl
import pytest
from matplotlib.text import Annotation
from PIL import Image

from mlops_assets.evaluation import plots
from mlops_assets_tests.evaluation.frames import (
    backtest_frame,
    share_frame,
    share_problem,
    small_problem,
)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    last = 100 * np.exp(np.cumsum(0.004 * rng.normal(size=336)))
    actual = last * np.exp(0.004 * rng.normal(size=336))
    ridge = last * (actual / last) ** 0.1
    return backtest_frame(actual, {"last_value": last, "ridge": ridge}, last_value=last)


def size(png: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.size


def test_four_pictures_are_drawn_at_page_width(frame: pl.DataFrame) -> None:
    drawn = plots.figures(frame, small_problem(), "ridge")
    assert list(drawn) == [
        plots.CUMULATIVE_LOSS,
        plots.RECENT_FORECASTS,
        plots.COVERAGE,
        plots.RETURNS,
    ]
    assert {size(png)[0] for png in drawn.values()} == {1012}


def test_a_baseline_that_forecasts_no_move_can_be_drawn(frame: pl.DataFrame) -> None:
    drawn = plots.figures(frame, small_problem(), "last_value")
    assert size(drawn[plots.RETURNS]) == (1012, 484)


def test_a_single_row_a_candidate_can_be_drawn() -> None:
    frame = backtest_frame([101.0], {"last_value": [100.0], "ridge": [100.5]})
    assert len(plots.figures(frame, small_problem(), "ridge")) == 4


def test_a_lone_baseline_can_be_drawn() -> None:
    frame = backtest_frame([101.0] * 40, {"last_value": [100.0] * 40})
    assert len(plots.figures(frame, small_problem(), "last_value")) == 4


def test_the_losses_are_drawn_as_running_sums_against_the_strongest_baseline() -> None:
    frame = backtest_frame(
        [102.0, 102.0, 102.0], {"last_value": [100.0] * 3, "ridge": [101.0, 102.0, 99.0]}
    )
    figure = plots._cumulative_loss(frame, small_problem())
    (line,) = (x for x in figure.axes[0].get_lines() if x.get_label() == "ridge")
    # Absolute errors 1, 0, 3 against 2, 2, 2.
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), [-1, -3, -2])
    assert "USDT" in figure.axes[0].get_ylabel()
    (label,) = (t.get_text() for t in figure.axes[0].texts)
    assert label == f"ridge  {100 * 2 / 6:+.2f} %"


@pytest.mark.parametrize("far", [0.0, 500.0])
def test_names_of_lines_that_end_together_stay_apart_and_inside_the_picture(far: float) -> None:
    points = {f"m{k}": [101.0 + 0.001 * k + far] * 40 for k in range(5)}
    frame = backtest_frame(
        [102.0] * 40, {"last_value": [100.0] * 40, "ridge": [101.5] * 40, **points}
    )
    figure = plots._cumulative_loss(frame, small_problem())
    places = sorted(t.xy[1] for t in figure.axes[0].texts if isinstance(t, Annotation))
    assert len(places) == 6
    assert np.diff(places).min() > 0.05
    assert places[-1] <= 1


def test_a_candidate_far_behind_leaves_the_picture_and_says_so() -> None:
    frame = backtest_frame(
        [102.0] * 40, {"last_value": [100.0] * 40, "ridge": [101.0] * 40, "lstm": [500.0] * 40}
    )
    figure = plots._cumulative_loss(frame, small_problem())
    assert figure.axes[0].get_ylim()[1] < 100
    assert any("off scale" in t.get_text() for t in figure.axes[0].texts)


def test_the_last_days_alone_are_drawn(frame: pl.DataFrame) -> None:
    own = frame.filter(pl.col("candidate") == "ridge")
    figure = plots._recent_forecasts(own, small_problem(), days=2)
    (actual,) = (x for x in figure.axes[0].get_lines() if x.get_label() == "actual")
    np.testing.assert_array_equal(actual.get_ydata(), own["actual"][-48:].to_numpy())


def test_a_candidate_that_is_absent_is_named(frame: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="'lstm' is not in the backtest; choose one of last_value"):
        plots.figures(frame, small_problem(), "lstm")


def test_losses_of_a_panel_are_drawn_by_valid_period_and_beside_its_own_pictures() -> None:
    problem = share_problem()
    frame = share_frame(
        problem,
        {"last_value": lambda *_: 2.0, "ridge": lambda _series, step, day: float(step + day)},
    )
    figure = plots._cumulative_loss(frame, problem)
    (line,) = (x for x in figure.axes[0].get_lines() if x.get_label() == "ridge")
    # Errors 1 and 3, then one more a day, against 2: 0, 1 and 2 on average over both leads.
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), [0, 1, 3])
    drawn = list(plots.figures(frame, problem, "ridge"))
    assert (drawn[0], len(drawn)) == (plots.CUMULATIVE_LOSS, 4)
