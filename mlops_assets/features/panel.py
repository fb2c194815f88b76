"""A panel of series on one regular grid: what builders of `values` targets read.

Here: values as an array of periods by series, gaps as NaN, with the labels and segments of the
series. Not here: features over several periods (`panel_builders`), bars of a market (`bars`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.features.bars import FloatArray
from mlops_assets.problem import ForecastProblem, ValueSource, labels_of

IntArray = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]

_PROBE_START: Final = np.datetime64("2024-01-01T00:00", "us")


@dataclass(frozen=True)
class Panel:
    """Series with one number a period, on a common regular grid of T periods and S series.

    Attributes:
        frequency: length of a period.
        valid_time: end of each period, (T,), datetime64[us], UTC, without gaps.
        series: names of the columns, (S,), in the order of the problem.
        labels: key -> the label of each series, (S,); empty for a problem without keys.
        segment: code of each series' segment, (S,): 0 .. G - 1 in order of first appearance.
        segments: names of the segments, (G,).
        zone: time zone of the target's days.
        horizon: steps ahead that are forecast.
        values: (T, S) in the source's unit; NaN where unknown.
        exogenous: other sources as of each period's first publication: name -> (value, age in
            hours), each (T,).
    """

    frequency: timedelta
    valid_time: Times
    series: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    segment: IntArray
    segments: tuple[str, ...]
    zone: str
    horizon: int
    values: FloatArray
    exogenous: Mapping[str, tuple[FloatArray, FloatArray]]


def panel_on_grid(frame: pl.DataFrame, problem: ForecastProblem) -> Panel:
    """Lay observations of one version per (series, valid time) on the panel's regular grid.

    Args:
        frame: columns series, valid_time, known_at, value and, for each exogenous source e,
            `{e}_value` and `{e}_age_hours`; at least one row.
        problem: names the series, their labels and segments.

    Raises:
        ValueError: a series is none of the problem's, a (series, valid time) occurs twice, or a
            valid time lies off the grid.
    """
    _refuse_strange_rows(frame, problem)
    grid, row = _grid(frame["valid_time"], problem.frequency)
    column_of = {name: k for k, name in enumerate(problem.series)}
    column = frame["series"].replace_strict(column_of, return_dtype=pl.Int64).to_numpy()
    values = np.full((len(grid), len(problem.series)), np.nan)
    values[row, column] = _floats(frame[problem.target.column])
    # Of rows that share a period the first published tells what else was known with it: versions
    # of it that came later know values of other sources that are newer than the period.
    latest_first = frame["known_at"].arg_sort(descending=True).to_numpy()
    exogenous = {}
    for name in problem.exogenous:
        pair = np.full((2, len(grid)), np.nan)
        for place, part in enumerate(("value", "age_hours")):
            known = _floats(frame[f"{name}_{part}"])
            pair[place, row[latest_first]] = known[latest_first]
        exogenous[name] = (pair[0], pair[1])
    return _panel(problem, grid, values, exogenous)


def probe_panel(problem: ForecastProblem) -> Panel:
    """The shortest history, of positive values, to ask builders for the names of their columns."""
    source = problem.target_source
    total = source.sums_to.total if isinstance(source, ValueSource) and source.sums_to else None
    _, codes = _segments(problem)
    level = np.ones(len(codes)) if total is None else total / np.bincount(codes)[codes]
    grid = np.array([_PROBE_START, _PROBE_START + np.timedelta64(problem.frequency)])
    exogenous = {name: (np.ones(2), np.ones(2)) for name in problem.exogenous}
    return _panel(problem, grid, np.vstack([level, level]), exogenous)


def _panel(
    problem: ForecastProblem,
    grid: Times,
    values: FloatArray,
    exogenous: Mapping[str, tuple[FloatArray, FloatArray]],
) -> Panel:
    keys = problem.series_keys
    labels = [labels_of(name, keys) for name in problem.series]
    segments, codes = _segments(problem)
    return Panel(
        frequency=problem.frequency,
        valid_time=grid,
        series=problem.series,
        labels={key: tuple(of_series[key] for of_series in labels) for key in keys},
        segment=codes,
        segments=segments,
        zone=problem.zone,
        horizon=problem.horizon,
        values=values,
        exogenous=exogenous,
    )


def _segments(problem: ForecastProblem) -> tuple[tuple[str, ...], IntArray]:
    """Names of the segments in order of first appearance, and the code of each series."""
    of_series = [problem.segment_of(name) for name in problem.series]
    names = tuple(dict.fromkeys(of_series))
    code = {name: k for k, name in enumerate(names)}
    return names, np.array([code[name] for name in of_series], dtype=np.int64)


def _grid(valid_times: pl.Series, frequency: timedelta) -> tuple[Times, IntArray]:
    """Every end of a period from the first to the last, and the row of each valid time."""
    times = valid_times.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    step = np.timedelta64(frequency).astype("timedelta64[us]")
    start = times.min()
    row, rest = np.divmod(times - start, step)
    if (off := rest != np.timedelta64(0)).any():
        raise ValueError(
            f"valid time {times[off][0]} is no whole number of periods {frequency} after the "
            f"first, {start}; all periods of a panel lie on one grid; correct the source's "
            "period or its timestamps"
        )
    return start + step * np.arange(row.max() + 1), row.astype(np.int64)


def _refuse_strange_rows(frame: pl.DataFrame, problem: ForecastProblem) -> None:
    strange = sorted(set(frame["series"].unique()) - set(problem.series))
    if strange:
        raise ValueError(
            f"series {strange[0]!r} is none of the {len(problem.series)} of {problem.name}, such "
            f"as {problem.series[0]!r}; add its labels to the keys of source "
            f"{problem.target.source!r}, or remove its rows"
        )
    repeated = frame.filter(pl.struct("series", "valid_time").is_duplicated())
    if not repeated.is_empty():
        series, valid_time = repeated.select("series", "valid_time").row(0)
        raise ValueError(
            f"series {series!r} has {valid_time} more than once; one version per valid time is "
            "laid on the grid; select the versions known at one instant first"
        )


def _floats(column: pl.Series) -> FloatArray:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
