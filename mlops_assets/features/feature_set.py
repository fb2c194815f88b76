"""The feature table of a problem: runs its builders and keeps every origin point-in-time.

Grain (series, origin). An origin is the instant at which a new target value became known; the
row uses only versions known by then. Where history was corrected later, the rows of origins
before the correction are computed from the values that were known before it.
"""

from __future__ import annotations

import inspect
from datetime import datetime
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.features.bars import Bars, bars_on_grid
from mlops_assets.features.builders import BUILDERS
from mlops_assets.features.calendar import BUILDERS as CALENDAR_BUILDERS
from mlops_assets.features.calendar import event_hours
from mlops_assets.problem import FeatureGroup, ForecastProblem, ProblemError

INDEX: Final = ("series", "origin", "last_observed", "last_value", "max_known_at")
"""Columns of the feature table that are no features."""


def compute_features(observations: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """The observed features of every origin.

    Args:
        observations: bitemporal, grain (series, valid_time, known_at); `superseded_at` is null for
            the version that is current.
        problem: names the builders and their parameters.

    Returns:
        Grain (series, origin), sorted: `INDEX` and one float column per feature, null where a
        value cannot be known. `max_known_at` is the newest `known_at` among all rows used.

    Raises:
        ProblemError: a feature group names an unknown kind or parameter.
    """
    check_groups(problem)
    starts = [None, *_turning_points(observations)]
    ends = [*starts[1:], None]
    parts = [
        _of_one_view(observations, problem, start=start, end=end)
        for start, end in zip(starts, ends, strict=True)
    ]
    return pl.concat(parts).sort("series", "origin")


def check_groups(problem: ForecastProblem) -> None:
    """Refuse feature groups that no builder can make.

    Raises:
        ProblemError: a kind is unknown, or its parameters do not fit; the message says which.
    """
    for position, group in enumerate(problem.features):
        key = f"{problem.name}: features[{position}]"
        if group.source == "events":
            continue
        known = CALENDAR_BUILDERS if group.source == "calendar" else BUILDERS
        if group.kind not in known:
            raise ProblemError(
                f"{key}.kind {group.kind!r} is no feature of source {group.source!r}; "
                f"use one of {', '.join(known)}"
            )
        if group.source == "calendar":
            _refuse_parameters(key, group, wanted=set())
        else:
            wanted = set(inspect.signature(BUILDERS[group.kind]).parameters) - {"bars", "source"}
            _refuse_parameters(key, group, wanted=wanted)


def check_feature_sets(problem: ForecastProblem) -> None:
    """Refuse feature sets that name a feature no group makes.

    Raises:
        ProblemError: names the set, the pattern and some of the features there are.
    """
    made = [name for _, names in group_columns(problem) for name in names]
    for feature_set in problem.feature_sets:
        problem.feature_columns(feature_set, made)


def group_columns(problem: ForecastProblem) -> list[tuple[FeatureGroup, list[str]]]:
    """Each feature group with the columns it makes, in the order of the file."""
    bars = _two_bars(problem)
    opens = bars.valid_time
    made: list[tuple[FeatureGroup, list[str]]] = []
    for group in problem.features:
        if group.source == "events":
            made.append((group, list(event_hours(opens, problem.frequency, problem.events))))
        elif group.source == "calendar":
            made.append((group, list(CALENDAR_BUILDERS[group.kind](opens, problem.frequency))))
        else:
            with np.errstate(all="ignore"):
                made.append((group, list(BUILDERS[group.kind](bars, group.source, **group.params))))
    return made


def _two_bars(problem: ForecastProblem) -> Bars:
    """The shortest history, to ask builders for the names of their columns."""
    price = np.array([1.0, 1.0])
    start = np.datetime64("2024-01-01T00:00", "us")
    return Bars(
        series="",
        frequency=problem.frequency,
        valid_time=np.array([start, start + np.timedelta64(problem.frequency)]),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=price,
        exogenous=dict.fromkeys(problem.exogenous, (price, price)),
    )


def _refuse_parameters(key: str, group: FeatureGroup, *, wanted: set[str]) -> None:
    if set(group.params) != wanted:
        raise ProblemError(
            f"{key}.params has {sorted(group.params)}; {group.kind} takes exactly "
            f"{sorted(wanted)}; correct the keys"
        )


def _turning_points(observations: pl.DataFrame) -> list[datetime]:
    """Instants at which the past changed: a correction, or a value that came after a newer one."""
    ordered = observations.sort("series", "valid_time", "known_at")
    newer_known_before = pl.col("known_at").reverse().cum_min().reverse().shift(-1).over(
        "series"
    ) < pl.col("known_at")
    correction = pl.int_range(pl.len()).over("series", "valid_time") > 0
    changed = ordered.filter(correction | newer_known_before)["known_at"]
    return changed.unique().sort().to_list()


def _of_one_view(
    observations: pl.DataFrame,
    problem: ForecastProblem,
    *,
    start: datetime | None,
    end: datetime | None,
) -> pl.DataFrame:
    """Features of the origins in [start, end), during which the past does not change."""
    view = observations
    if end is not None:
        superseded = pl.col("superseded_at")
        view = view.filter(pl.col("known_at") < end, superseded.is_null() | (superseded >= end))
    else:
        view = view.filter(pl.col("superseded_at").is_null())
    all_bars = bars_on_grid(view, frequency=problem.frequency, exogenous=tuple(problem.exogenous))
    table = pl.concat([_of_one_series(bars, view, problem) for bars in all_bars])
    return table if start is None else table.filter(pl.col("origin") >= start)


def _of_one_series(bars: Bars, view: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    columns: dict[str, np.ndarray] = {}
    with np.errstate(invalid="ignore"):
        for group in problem.features:
            if group.source in problem.sources:
                columns |= BUILDERS[group.kind](bars, group.source, **group.params)
    features = pl.DataFrame(columns).with_columns(pl.all().cast(pl.Float64))
    grid = pl.Series("last_observed", bars.valid_time).dt.replace_time_zone("UTC")
    table = pl.concat([pl.DataFrame({"last_observed": grid}), features], how="horizontal")
    known = (
        view.filter(pl.col("series") == bars.series)
        .sort("valid_time")
        .select(
            "series",
            last_observed="valid_time",
            origin="known_at",
            last_value=pl.col("close"),
            max_known_at=pl.col("known_at").cum_max(),
        )
        .sort("origin", "last_observed")
        # A late version of an older bar is no news about the newest one: it starts no origin.
        .filter(pl.col("last_observed") == pl.col("last_observed").cum_max())
        .unique("origin", keep="last", maintain_order=True)
    )
    joined = known.join(table, on="last_observed", how="left", validate="1:1")
    ordered = [*INDEX, *features.columns]
    return joined.select(ordered).with_columns(pl.col(features.columns).fill_nan(None))
