"""The pictures of a panel: what is forecast for many series at once, at several leads.

Here: three figures of one candidate's rows. Not here: the picture that panels share with single
series and the choice between them (`evaluation.plots`), paper and fonts (`evaluation.drawing`).

Labels that no installed font can draw are shown by number, such as `brand 2`: the second label of
the key `brand` in the problem file. `label_names` is that list, for the page to explain it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from mlops_assets.evaluation import metrics
from mlops_assets.evaluation.breakdown import SEGMENT, ordered_labels, with_labels
from mlops_assets.evaluation.drawing import (
    COLOURS,
    FONT,
    INK,
    MUTED,
    fonts_for,
    named_ticks,
    new_figure,
    png,
    time_axis,
)
from mlops_assets.problem import SEPARATOR, ForecastProblem, ValueSource

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BY_LABEL: Final = "actual_and_forecast_by_{key}.png"
ERROR_HEATMAP: Final = "error_by_segment_and_lead.png"
CALIBRATION: Final = "coverage_by_lead_and_label.png"

_COLUMNS = 2
_DARK = 0.55
"""Cells above this share of the colour scale carry white numbers."""


def panel_figures(own: pl.DataFrame, problem: ForecastProblem) -> dict[str, bytes]:
    """The pictures of a panel by file name: PNG, about 1000 pixels wide.

    Args:
        own: judged rows of one candidate (see `evaluation.rows`).
        problem: names keys, units, leads and nominal coverage.
    """
    return {
        BY_LABEL.format(key=problem.series_keys[0]): png(_forecasts_by_label(own, problem)),
        ERROR_HEATMAP: png(_error_heatmap(own, problem)),
        CALIBRATION: png(_calibration(own, problem)),
    }


def label_names(problem: ForecastProblem) -> dict[str, dict[str, str]]:
    """What the pictures call each label, by key: the label itself where a font draws all of a key.

    Otherwise the key and the label's place in the problem file, such as `brand 2`. Under `segment`
    are the segments, by the names of their labels.
    """
    names: dict[str, dict[str, str]] = {}
    for key in problem.series_keys:
        labels = ordered_labels(problem, key)
        drawn = fonts_for("".join(labels)) is not None
        numbered = (f"{key.replace('_', ' ')} {place}" for place in range(1, len(labels) + 1))
        names[key] = dict(zip(labels, labels if drawn else numbered, strict=True))
    within = _segment_keys(problem)
    names[SEGMENT] = {
        segment: ", ".join(
            names[key][label] for key, label in zip(within, segment.split(SEPARATOR), strict=True)
        )
        for segment in ordered_labels(problem, SEGMENT)
    }
    return names


def _forecasts_by_label(own: pl.DataFrame, problem: ForecastProblem) -> Figure:
    """Actual value and forecast at the shortest and the longest lead, by label of the first key."""
    key, unit = problem.series_keys[0], problem.target_source.unit
    means = _means_by_label(own, problem)
    names = label_names(problem)[key]
    figure, panels = new_figure(
        f"{problem.title}: actual and forecast of {own['candidate'][0]}\n"
        f"by {key.replace('_', ' ')}, mean over its series",
        unit,
        panels=(math.ceil(len(names) / _COLUMNS), _COLUMNS),
        height=1.4 + 2.0 * math.ceil(len(names) / _COLUMNS),
    )
    for axes, (label, name) in zip(panels, names.items(), strict=False):
        _draw_label(axes, means.filter(pl.col(key) == label))
        font = list(fonts_for(name) or (FONT,))
        axes.set_title(name, fontsize=10, color=INK, loc="left", fontfamily=font)
        axes.set_ylabel(unit)
        time_axis(axes)
    _place_legend(panels, used=len(names))
    panels[len(names) - 1].set_xlabel("valid time, UTC")
    _note_numbers(figure, problem, key)
    return figure


def _place_legend(panels: list[Axes], *, used: int) -> None:
    """In the panel that is left over, or in the first where none is."""
    for axes in panels[used:]:
        axes.set_axis_off()
    lines, texts = panels[0].get_legend_handles_labels()
    if used < len(panels):
        panels[used].legend(lines, texts, frameon=False, labelcolor=INK, loc="center")
    else:
        panels[0].legend(lines, texts, labelcolor=INK, loc="best", fontsize=8, framealpha=0.8)


def _means_by_label(own: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """Mean `actual` and `point` over all series of a label, at the shortest and the longest lead.

    Grain (label of the first key, step, valid_time), by time.
    """
    leads = problem.evaluation.leads
    return (
        with_labels(own, problem.series_keys)
        .filter(pl.col("step").is_in([min(leads), max(leads)]))
        .group_by(problem.series_keys[0], "step", "valid_time")
        .agg(pl.mean("actual", "point"))
        .sort("valid_time")
    )


def _draw_label(axes: Axes, means: pl.DataFrame) -> None:
    leads = means["step"].unique().sort().to_list()
    first = means.filter(pl.col("step") == leads[0])
    axes.plot(
        first["valid_time"].to_numpy(), first["actual"].to_numpy(),
        color=INK, linewidth=1, zorder=3, label="actual",
    )  # fmt: skip
    for lead, colour in zip(leads, COLOURS, strict=False):
        rows = means.filter(pl.col("step") == lead)
        axes.plot(
            rows["valid_time"].to_numpy(), rows["point"].to_numpy(),
            color=colour, linewidth=1.4, label=f"forecast, {_steps(lead)} ahead",
        )  # fmt: skip


def _error_heatmap(own: pl.DataFrame, problem: ForecastProblem) -> Figure:
    """Mean absolute error of each segment (rows) at each lead (columns), as numbers and colours."""
    from matplotlib.colors import Normalize

    leads, segments = sorted(problem.evaluation.leads), ordered_labels(problem, SEGMENT)
    errors = own.group_by("segment", "step").agg(metrics.mae().alias("mae"))
    known = {(segment, step): mae for segment, step, mae in errors.iter_rows()}
    values = np.array([[known.get((s, lead), np.nan) for lead in leads] for s in segments])
    unit = problem.target_source.unit
    figure, (axes,) = new_figure(
        f"{problem.title}: mean absolute error of {own['candidate'][0]}, {unit}\n"
        "by segment and lead",
        "",
        height=1.6 + 0.32 * len(segments),
    )
    axes.grid(visible=False)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.2 * (high - low) or 1.0
    scale = Normalize(low - margin, high + margin)
    axes.imshow(values, cmap="Blues", aspect="auto", norm=scale)
    for row, column in np.argwhere(np.isfinite(values)):
        value = values[row, column]
        dark = scale(value) > _DARK
        axes.text(
            column, row, f"{value:.2f}",
            ha="center", va="center", fontsize=9.5, color="white" if dark else INK,
        )  # fmt: skip
    named_ticks(axes, [_steps(lead) for lead in leads])
    names = label_names(problem)[SEGMENT]
    named_ticks(axes, [names[segment] for segment in segments], along="y")
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xlabel("lead")
    _note_numbers(figure, problem, *_segment_keys(problem))
    return figure


def _calibration(own: pl.DataFrame, problem: ForecastProblem) -> Figure:
    """Share of actual values inside the band: by lead, and by label of the first key."""
    key, nominal = problem.series_keys[0], 100 * problem.band.coverage
    labelled = with_labels(own, problem.series_keys)
    inside = (100 * metrics.coverage()).alias("share")
    leads, labels = sorted(problem.evaluation.leads), ordered_labels(problem, key)
    by_step = dict(labelled.group_by("step").agg(inside).iter_rows())
    by_name = dict(labelled.group_by(key).agg(inside).iter_rows())
    pooled = labelled.select(inside).item()
    figure, panels = new_figure(
        f"{problem.title}: coverage of {own['candidate'][0]}'s {nominal:g} % band\n"
        f"pooled {pooled:.1f} %",
        "actual values inside the band, %",
        panels=(1, 2),
    )
    names = label_names(problem)[key]
    shown = (
        ("by lead", [_steps(lead) for lead in leads], [by_step[lead] for lead in leads]),
        (
            f"by {key.replace('_', ' ')}, all leads",
            [names[label] for label in labels],
            [by_name[label] for label in labels],
        ),
    )
    shares = [share for _, _, values in shown for share in values]
    low = min([*shares, nominal]) - 2
    for axes, (title, ticks, values) in zip(panels, shown, strict=True):
        axes.axhline(nominal, color=MUTED, linestyle="--", label=f"nominal {nominal:g} %")
        axes.plot(range(len(values)), values, "o", color=COLOURS[0], markersize=7)
        for place, value in enumerate(values):
            axes.annotate(
                f"{value:.1f}", (place, value),
                xytext=(0, 8), textcoords="offset points", ha="center", fontsize=9, color=INK,
            )  # fmt: skip
        axes.set_ylim(low, min(max([*shares, nominal]) + 2, 102))
        axes.set_xlim(-0.6, len(values) - 0.4)
        axes.set_title(title, fontsize=10, color=MUTED, loc="left")
        named_ticks(axes, ticks)
    panels[0].legend(frameon=False, loc="lower left", labelcolor=INK, fontsize=9)
    _note_numbers(figure, problem, key)
    return figure


def _segment_keys(problem: ForecastProblem) -> tuple[str, ...]:
    """The keys whose labels make up a segment's name: all of them where nothing adds up."""
    source = problem.target_source
    if isinstance(source, ValueSource) and source.sums_to is not None:
        return source.sums_to.within
    return problem.series_keys


def _note_numbers(figure: Figure, problem: ForecastProblem, *keys: str) -> None:
    """Say at the foot that labels are shown by number, where they are."""
    names = label_names(problem)
    numbered = [key for key in keys if any(name != label for label, name in names[key].items())]
    if numbered:
        shown = " and ".join(key.replace("_", " ") for key in numbered)
        figure.supxlabel(
            f"{shown}: numbered in the order of the problem file, for want of a font that draws "
            "the labels",
            fontsize=8.5,
            color=MUTED,
            x=0.01,
            ha="left",
        )


def _steps(lead: int) -> str:
    return f"{lead} step" if lead == 1 else f"{lead} steps"
