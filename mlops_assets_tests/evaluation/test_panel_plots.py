"""The pictures of a panel: what they draw, and what they call labels that no font can draw."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mlops_assets.evaluation import drawing, panel_plots
from mlops_assets_tests.evaluation.frames import share_frame, share_problem

PROBLEM = share_problem(brands=("brew", "ade", "cola"))


def error(series: str, step: int, _day: int) -> float:
    """The step for men and twice as much for women."""
    return float(step * (2 if series.endswith("/female") else 1))


@pytest.fixture
def own() -> pl.DataFrame:
    return share_frame(PROBLEM, {"ridge": error}, half_width=2.0)


@pytest.fixture
def no_hangul(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "HANGUL_FONTS", ())


def line(axes: Axes, label: str) -> np.ndarray:
    (found,) = (x for x in axes.get_lines() if x.get_label() == label)
    return np.asarray(found.get_ydata(), dtype=float)


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for axes in figure.axes for t in axes.texts]


def test_three_pictures_are_drawn_at_page_width(own: pl.DataFrame) -> None:
    drawn = panel_plots.panel_figures(own, PROBLEM)
    assert list(drawn) == [
        "actual_and_forecast_by_brand.png",
        "error_by_segment_and_lead.png",
        "coverage_by_lead_and_label.png",
    ]
    for png in drawn.values():
        with Image.open(BytesIO(png)) as image:
            assert (image.format, image.size[0]) == ("PNG", 1012)


@pytest.mark.usefixtures("no_hangul")
def test_korean_labels_without_a_font_are_numbered_and_leave_no_warning() -> None:
    # Warnings are errors here, and matplotlib warns about every character it cannot draw.
    problem = share_problem(brands=("토레타", "링티"))
    rows = share_frame(problem, {"ridge": error})
    figure = panel_plots._calibration(rows, problem)
    assert len(panel_plots.panel_figures(rows, problem)) == 3
    ticks = [t.get_text() for t in figure.axes[1].get_xticklabels()]
    assert ticks == ["brand 1", "brand 2"]
    assert figure.get_supxlabel().startswith("brand: numbered in the order of the problem file")


@pytest.mark.usefixtures("no_hangul")
def test_only_the_keys_with_a_label_that_cannot_be_drawn_are_numbered() -> None:
    names = panel_plots.label_names(share_problem(brands=("ade", "링티")))
    assert names == {
        "brand": {"ade": "brand 1", "링티": "brand 2"},
        "gender": {"male": "male", "female": "female"},
        "segment": {"male": "male", "female": "female"},
    }


def test_labels_that_can_be_drawn_are_drawn_without_a_note(own: pl.DataFrame) -> None:
    figure = panel_plots._calibration(own, PROBLEM)
    assert [t.get_text() for t in figure.axes[1].get_xticklabels()] == ["brew", "ade", "cola"]
    assert figure.get_supxlabel() == ""


def test_each_label_has_its_mean_at_the_shortest_and_the_longest_lead(own: pl.DataFrame) -> None:
    figure = panel_plots._forecasts_by_label(own, PROBLEM)
    brew = figure.axes[0]
    # Actual values of brew: 10, 11, 12 for men and 20, 21, 22 for women.
    np.testing.assert_allclose(line(brew, "actual"), [15, 16, 17])
    np.testing.assert_allclose(line(brew, "forecast, 1 step ahead"), [16.5, 17.5, 18.5])
    np.testing.assert_allclose(line(brew, "forecast, 3 steps ahead"), [19.5, 20.5, 21.5])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["brew", "ade", "cola", ""]
    assert figure.axes[3].get_legend() is not None


def test_a_single_lead_is_drawn_once() -> None:
    problem = share_problem(leads=(1,))
    figure = panel_plots._forecasts_by_label(share_frame(problem, {"ridge": error}), problem)
    labels = [x.get_label() for x in figure.axes[0].get_lines()]
    assert labels == ["actual", "forecast, 1 step ahead"]
    assert figure.axes[0].get_legend() is not None


def test_the_heat_map_prints_the_error_of_each_segment_at_each_lead(own: pl.DataFrame) -> None:
    figure = panel_plots._error_heatmap(own, PROBLEM)
    assert texts(figure) == ["1.00", "3.00", "2.00", "6.00"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["male", "female"]
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1 step", "3 steps"]


def test_equal_errors_everywhere_can_be_drawn() -> None:
    rows = share_frame(PROBLEM, {"ridge": lambda *_: 1.0})
    assert texts(panel_plots._error_heatmap(rows, PROBLEM)) == ["1.00"] * 4


def test_coverage_is_drawn_by_lead_and_by_label_beside_the_nominal_one(own: pl.DataFrame) -> None:
    # Bands +- 2: errors 1 and 2 inside at one step, 3 and 6 outside at three.
    figure = panel_plots._calibration(own, PROBLEM)
    assert texts(figure) == ["100.0", "0.0", "50.0", "50.0", "50.0"]
    assert set(line(figure.axes[0], "nominal 90 %")) == {90.0}
