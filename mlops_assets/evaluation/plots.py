"""The evaluation's pictures as PNG files.

Here: which pictures a problem gets, and those of a single series. Not here: those of a panel
(`evaluation.panel_plots`), how paper and fonts look (`evaluation.drawing`), scores
(`evaluation.metrics`) and the page that shows the figures (`evaluation.report`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.evaluation import metrics
from mlops_assets.evaluation.drawing import COLOURS, GRID, INK, MUTED, new_figure, png, time_axis
from mlops_assets.evaluation.leaderboard import mean_losses, strongest_baseline
from mlops_assets.evaluation.panel_plots import panel_figures
from mlops_assets.evaluation.rows import judged_rows
from mlops_assets.evaluation.significance import mean_differential
from mlops_assets.problem import ForecastProblem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

CUMULATIVE_LOSS: Final = "cumulative_loss.png"
RECENT_FORECASTS: Final = "recent_forecasts.png"
COVERAGE: Final = "coverage_by_fold.png"
RETURNS: Final = "forecast_and_actual_return.png"

_BINS = 10
_OFF_SCALE = 1.0
"""A loss that grows past this multiple of the best gain leaves the picture, lest it flatten it."""
_SAME_BP = 1e-6
"""Forecast returns closer than this are one forecast: the difference is rounding."""


def figures(
    frame: pl.DataFrame, problem: ForecastProblem, candidate: str, *, recent_days: int = 14
) -> dict[str, bytes]:
    """All pictures by file name: PNG, about 1000 pixels wide.

    Args:
        frame: the backtest (see `evaluation.rows`); only the problem's leads are drawn.
        problem: names titles, units, loss and nominal coverage.
        candidate: whose forecasts, coverage and returns are drawn, usually the champion.
        recent_days: length of the last stretch in the picture of forecasts.

    Raises:
        BacktestRowsError: the candidates do not have the same finite rows.
        NoBaselineError: no candidate is a baseline.
        ValueError: the candidate has no rows.
    """
    rows = judged_rows(frame, problem)
    own = rows.filter(pl.col("candidate") == candidate).sort("origin", "series", "step")
    if own.is_empty():
        raise ValueError(
            f"candidate {candidate!r} is not in the backtest; choose one of "
            f"{', '.join(sorted(rows['candidate'].unique()))}"
        )
    shared = {CUMULATIVE_LOSS: png(_cumulative_loss(rows, problem))}
    if problem.series_keys:
        return shared | panel_figures(own, problem)
    single = {
        RECENT_FORECASTS: png(_recent_forecasts(own, problem, recent_days)),
        COVERAGE: png(_coverage(own, problem)),
    }
    if problem.target.transform == "log_return":
        single[RETURNS] = png(_returns(own))
    return shared | single


def _cumulative_loss(rows: pl.DataFrame, problem: ForecastProblem) -> Figure:
    """Running sum of each candidate's loss minus the strongest baseline's: falling is winning."""
    base = strongest_baseline(rows, problem)
    losses = mean_losses(rows, problem)
    unit = metrics.loss_unit(problem.evaluation.loss, problem.target_source.unit)
    figure, (axes,) = new_figure(
        f"{problem.title}: {problem.evaluation.loss.replace('_', ' ')} saved or lost since the "
        f"start,\nagainst the strongest baseline {base} (below zero is better)",
        f"running sum of loss difference, {unit}",
    )
    times = rows["valid_time"].unique().sort().to_numpy()
    baselines = set(rows.filter("baseline")["candidate"])
    axes.axhline(0, color=INK, linewidth=1.2)
    lines = {}
    for k, name in enumerate(n for n in losses if n != base):
        d = mean_differential(rows, name, base, problem.evaluation.loss, problem.evaluation.leads)
        lines[name] = np.cumsum(d)
        colour = MUTED if name in baselines else COLOURS[k % len(COLOURS)]
        style = "--" if name in baselines else "-"
        axes.plot(times, lines[name], color=colour, linestyle=style, linewidth=1.6, label=name)
    _frame_losses(axes, lines)
    skills = {n: 1 - losses[n] / losses[base] if losses[base] > 0 else 0.0 for n in lines}
    _label_ends(axes, lines, {n: f"{n}  {100 * s:+.2f} %" for n, s in skills.items()})
    time_axis(axes)
    axes.set_xlabel("valid time, UTC; at the right: skill over the whole span")
    return figure


def _recent_forecasts(own: pl.DataFrame, problem: ForecastProblem, days: int) -> Figure:
    """Actual value, forecast and band over the last days, first series at the shortest lead."""
    name, series, step = own.select("candidate", "series", "step").row(0)
    rows = own.filter((pl.col("series") == series) & (pl.col("step") == step)).sort("valid_time")
    end = rows["valid_time"][-1]
    rows = rows.filter(pl.col("valid_time") > end - timedelta(days=days))
    inside = rows.select(metrics.coverage()).item()
    nominal = problem.band.coverage
    figure, (axes,) = new_figure(
        f"{problem.title}: the last {days} days of the backtest, {name}, {step} step ahead\n"
        f"{100 * inside:.1f} % of actual values lie in the {100 * nominal:.0f} % band",
        f"{series}, {problem.target_source.unit}",
    )
    times = rows["valid_time"].to_numpy()
    axes.fill_between(
        times,
        rows["lower"].to_numpy(),
        rows["upper"].to_numpy(),
        color=COLOURS[5],
        alpha=0.35,
        linewidth=0,
        label=f"{100 * nominal:.0f} % band",
    )
    axes.plot(times, rows["point"].to_numpy(), color=COLOURS[0], linewidth=1, label="forecast")
    axes.plot(times, rows["actual"].to_numpy(), color=INK, linewidth=1, label="actual")
    axes.yaxis.set_major_formatter("{x:,.6g}")
    axes.legend(frameon=False, ncols=3, loc="best", labelcolor=INK)
    time_axis(axes)
    axes.set_xlabel("valid time, UTC")
    return figure


def _coverage(own: pl.DataFrame, problem: ForecastProblem) -> Figure:
    """Share of actual values inside the band, by fold."""
    folds = (
        own.group_by("refit_at")
        .agg(metrics.coverage().alias("share"), pl.len().alias("n"))
        .sort("refit_at")
    )
    nominal = problem.band.coverage
    share, n = 100 * folds["share"].to_numpy(), folds["n"].to_numpy()
    pooled = 100 * own.select(metrics.coverage()).item()
    figure, (axes,) = new_figure(
        f"{problem.title}: coverage of {own['candidate'][0]}'s {100 * nominal:.0f} % band by fold\n"
        f"pooled {pooled:.1f} %, worst fold {share.min():.1f} %",
        "actual values inside the band, %",
    )
    times = folds["refit_at"].to_numpy()
    spread = 196 * np.sqrt(nominal * (1 - nominal) / n)
    axes.fill_between(
        times,
        100 * nominal - spread,
        np.minimum(100 * nominal + spread, 100),
        color=GRID,
        alpha=0.8,
        linewidth=0,
        label="95 % of folds, if hits were independent at the nominal rate",
    )
    axes.axhline(100 * nominal, color=MUTED, linestyle="--", label=f"nominal {100 * nominal:g} %")
    axes.plot(times, share, color=COLOURS[0], marker="o", markersize=4, label="by fold")
    low = min(share.min(), (100 * nominal - spread).min())
    axes.set_ylim(low - 0.35 * (101 - low), 101)
    axes.legend(frameon=False, loc="lower left", labelcolor=INK)
    time_axis(axes)
    axes.set_xlabel("refit, UTC")
    return figure


def _returns(own: pl.DataFrame) -> Figure:
    """Actual against forecast log return: every row, and means of rows with similar forecasts."""
    last = own["last_value"].to_numpy()
    forecast = 1e4 * np.log(own["point"].to_numpy() / last)
    actual = 1e4 * np.log(own["actual"].to_numpy() / last)
    r2 = own.select(metrics.r2_of_return()).item()
    shown = "not defined" if r2 is None else f"{100 * r2:.2f} %"
    figure, (cloud, means) = new_figure(
        f"{own['candidate'][0]}: explains {shown} of the squared return (R²)",
        "actual return, bp",
        panels=(1, 2),
    )
    cloud.scatter(forecast, actual, s=6, color=COLOURS[0], alpha=0.25, linewidths=0)
    cloud.axhline(0, color=MUTED, linewidth=0.8)
    cloud.set_title("every row", fontsize=10, color=MUTED, loc="left")
    cloud.set_xlabel("forecast return, bp")
    if np.ptp(forecast) > _SAME_BP:
        _plot_bin_means(means, forecast, actual)
    else:
        means.set_axis_off()
        means.set_title("every forecast return is the same", fontsize=10, color=MUTED, loc="left")
    return figure


def _plot_bin_means(axes: Axes, forecast: FloatArray, actual: FloatArray) -> None:
    groups = [g for g in np.array_split(np.argsort(forecast, kind="stable"), _BINS) if len(g) > 1]
    x = np.array([forecast[g].mean() for g in groups])
    y = np.array([actual[g].mean() for g in groups])
    error = np.array([2 * actual[g].std(ddof=1) / np.sqrt(len(g)) for g in groups])
    ends = np.array([x.min(), x.max()])
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.plot(ends, ends, color=MUTED, linestyle="--", label="a forecast that is right on average")
    axes.errorbar(x, y, yerr=error, fmt="o", color=COLOURS[1], markersize=5, capsize=2)
    axes.margins(y=0.18)
    axes.legend(frameon=False, loc="upper left", labelcolor=INK, fontsize=9)
    axes.set_title(
        f"means of {_BINS} equal groups, ± 2 standard errors", fontsize=10, color=MUTED, loc="left"
    )
    axes.set_xlabel("mean forecast return, bp")
    axes.set_ylabel("mean actual return, bp")


def _frame_losses(axes: Axes, lines: dict[str, FloatArray]) -> None:
    low = min([0.0, *(float(v.min()) for v in lines.values())])
    high = max([0.0, *(float(v.max()) for v in lines.values())])
    if low < 0:
        high = min(high, -_OFF_SCALE * low)
    margin = 0.06 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_formatter("{x:,.6g}")


def _label_ends(axes: Axes, lines: dict[str, FloatArray], labels: dict[str, str]) -> None:
    """Name each line at its end, the names pushed apart where the ends are close."""
    low, high = axes.get_ylim()
    gap = 0.06 * (high - low)
    drawn = {str(line.get_label()): str(line.get_color()) for line in axes.get_lines()}
    ends = {name: float(values[-1]) for name, values in lines.items()}
    names = sorted(lines, key=lambda name: ends[name])
    places = [min(ends[name], high) for name in names]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + gap)
    ceiling = high
    for k in reversed(range(len(places))):
        places[k] = min(places[k], ceiling)
        ceiling = places[k] - gap
    for name, place in zip(names, places, strict=True):
        axes.annotate(
            labels[name] + (" (off scale)" if ends[name] > high else ""),
            (1.01, (place - low) / (high - low)),
            xycoords="axes fraction",
            color=drawn[name],
            fontsize=9,
            va="center",
        )
