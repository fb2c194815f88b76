"""The feature table of a problem: runs its builders and keeps every origin point-in-time.

Here: the rows of the table, for candles and for panels of values. Not here: which groups a problem
may have (`feature_groups`), and the formulas (`builders`, `panel_builders`).

Grain (series, origin). An origin is the instant at which a new target value became known; the
row uses only versions known by then. Where history was corrected later, the rows of origins
before the correction are computed from the values that were known before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.features.bars import Bars, bars_on_grid
from mlops_assets.features.builders import BUILDERS
from mlops_assets.features.feature_groups import (
    check_feature_sets,
    check_groups,
    group_columns,
    probed_columns,
)
from mlops_assets.features.panel import panel_on_grid
from mlops_assets.features.panel_builders import PANEL_BUILDERS
from mlops_assets.problem import ForecastProblem

__all__ = ["INDEX", "check_feature_sets", "check_groups", "compute_features", "group_columns"]

INDEX: Final = ("series", "origin", "last_observed", "last_value", "max_known_at")
"""Columns of the feature table that are no features."""

_INSTANT: Final = pl.Datetime("us", "UTC")
_INDEX_SCHEMA: Final[dict[str, pl.DataType]] = {
    "series": pl.String(),
    "origin": _INSTANT,
    "last_observed": _INSTANT,
    "last_value": pl.Float64(),
    "max_known_at": _INSTANT,
}


def compute_features(
    observations: pl.DataFrame, problem: ForecastProblem, *, since: datetime | None = None
) -> pl.DataFrame:
    """The observed features of every origin.

    Args:
        observations: bitemporal, grain (series, valid_time, known_at); `superseded_at` is null for
            the version that is current.
        problem: names the builders and their parameters.
        since: earlier origins are left out, and with them the work for the past as it was then.

    Returns:
        Grain (series, origin), sorted: `INDEX` and one float column per feature, of a feature that
        depends on the step one for each step (`stepwise`); null where a value cannot be known.
        `max_known_at` is the newest `known_at` among all rows used.

    Raises:
        ProblemError: a feature group names an unknown kind or parameter.
    """
    check_groups(problem)
    parts = list(_views_with_origins(observations, problem, since=since))
    if not parts:
        names = probed_columns(problem)
        return pl.DataFrame(schema={**_INDEX_SCHEMA, **dict.fromkeys(names, pl.Float64())})
    tables = [_features_of(origins, view, problem) for view, origins in parts]
    return pl.concat(tables).sort("series", "origin")


def _views_with_origins(
    observations: pl.DataFrame, problem: ForecastProblem, *, since: datetime | None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Each span in which the past does not change: what was known in it, and its new origins.

    Spans without an origin of their own are skipped: nobody looked at the past as it was then.
    """
    starts = [None, *_turning_points(observations, whole_panel=_is_panel(problem))]
    ends = [*starts[1:], None]
    for start, end in zip(starts, ends, strict=True):
        if since is not None and end is not None and end <= since:
            continue
        view = _known_until(observations, end)
        origins = _origins(view, problem)
        for bound in (start, since):
            if bound is not None:
                origins = origins.filter(pl.col("origin") >= bound)
        if not origins.is_empty():
            yield view, origins


def _is_panel(problem: ForecastProblem) -> bool:
    return problem.target_source.kind != "candles"


def _turning_points(observations: pl.DataFrame, *, whole_panel: bool) -> list[datetime]:
    """Instants at which the past changed: a correction, or a value that came after a newer one.

    Features of a panel look at all its series: there a value also comes late when another series
    had one of the same period, or of a later one, before.
    """
    ordered = observations.sort("series", "valid_time", "known_at")
    correction = pl.int_range(pl.len()).over("series", "valid_time") > 0
    if whole_panel:
        ordered = ordered.sort("valid_time", "known_at", maintain_order=True)
        first_known = pl.col("known_at").min().over("valid_time")
        late = first_known.reverse().cum_min().reverse() < pl.col("known_at")
    else:
        next_known = pl.col("known_at").reverse().cum_min().reverse().shift(-1)
        late = next_known.over("series") < pl.col("known_at")
    changed = ordered.filter(correction | late)["known_at"]
    return changed.unique().sort().to_list()


def _known_until(observations: pl.DataFrame, end: datetime | None) -> pl.DataFrame:
    """The versions that were the newest known ones just before an instant; by default now."""
    superseded = pl.col("superseded_at")
    if end is None:
        return observations.filter(superseded.is_null())
    current = superseded.is_null() | (superseded >= end)
    return observations.filter(pl.col("known_at") < end, current)


def _origins(view: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """One row of `INDEX` for each instant at which a newer value of a series became known.

    `max_known_at` looks at all values that features may use: of a panel, at those of all series.
    """
    newest_known = pl.col("known_at").max().over("valid_time").cum_max()
    if not _is_panel(problem):
        newest_known = pl.col("known_at").cum_max().over("series")
    return (
        view.sort("valid_time")
        .select(
            "series",
            last_observed="valid_time",
            origin="known_at",
            last_value=pl.col(problem.target.column).cast(pl.Float64),
            max_known_at=newest_known,
        )
        .sort("series", "origin", "last_observed")
        # A late version of an older value is no news about the newest one: it starts no origin.
        .filter(pl.col("last_observed") == pl.col("last_observed").cum_max().over("series"))
        .unique(["series", "origin"], keep="last", maintain_order=True)
        .select(INDEX)
    )


def _features_of(
    origins: pl.DataFrame, view: pl.DataFrame, problem: ForecastProblem
) -> pl.DataFrame:
    """Origins with the features that the versions of a view give them."""
    with np.errstate(invalid="ignore"):
        if _is_panel(problem):
            return _of_panel(origins, view, problem)
        all_bars = bars_on_grid(
            view, frequency=problem.frequency, exogenous=tuple(problem.exogenous)
        )
        return pl.concat([_of_one_series(origins, bars, problem) for bars in all_bars])


def _of_one_series(origins: pl.DataFrame, bars: Bars, problem: ForecastProblem) -> pl.DataFrame:
    columns: dict[str, np.ndarray] = {}
    for group in problem.features:
        if group.source in problem.sources:
            columns |= BUILDERS[group.kind](bars, group.source, **group.params)
    features = pl.DataFrame(columns).with_columns(pl.all().cast(pl.Float64))
    grid = pl.Series("last_observed", bars.valid_time).dt.replace_time_zone("UTC")
    table = pl.concat([pl.DataFrame({"last_observed": grid}), features], how="horizontal")
    known = origins.filter(pl.col("series") == bars.series)
    joined = known.join(table, on="last_observed", how="left", validate="1:1")
    ordered = [*INDEX, *features.columns]
    return joined.select(ordered).with_columns(pl.col(features.columns).fill_nan(None))


def _of_panel(origins: pl.DataFrame, view: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    panel = panel_on_grid(view, problem)
    column_of = {name: k for k, name in enumerate(panel.series)}
    column = origins["series"].replace_strict(column_of, return_dtype=pl.Int64).to_numpy()
    observed = origins["last_observed"].dt.replace_time_zone(None).to_numpy()
    row = np.searchsorted(panel.valid_time, observed)
    made: dict[str, np.ndarray] = {}
    for group in problem.features:
        if group.source in problem.sources:
            made |= PANEL_BUILDERS[group.kind](panel, group.source, **group.params)
    features = pl.DataFrame({name: values[row, column] for name, values in made.items()})
    features = features.with_columns(pl.all().cast(pl.Float64).fill_nan(None))
    return pl.concat([origins, features], how="horizontal")
