"""Scores taken apart: by lead, and by the labels that tell the series of a panel apart.

Here: where a candidate is good and where it is not. Not here: formulas (`evaluation.metrics`), the
pooled table (`evaluation.leaderboard`), pictures (`evaluation.panel_plots`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.evaluation import metrics
from mlops_assets.evaluation.rows import judged_rows
from mlops_assets.problem import ForecastProblem, labels_of

SEGMENT: Final = "segment"
"""The key of `by_label` whose labels are segments: the series that add up to a constant."""


def by_lead(frame: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """Scores by candidate and lead, sorted by both.

    Returns:
        Columns: `candidate, step, mae, rmse` (target units), `mase, coverage, winkler` (see
        `metrics.band_score_unit`), `n` (rows).

    Raises:
        BacktestRowsError: the candidates do not have the same finite rows.
    """
    table = (
        judged_rows(frame, problem)
        .group_by("candidate", "step")
        .agg(
            metrics.mae().alias("mae"),
            metrics.rmse().alias("rmse"),
            metrics.mase().alias("mase"),
            metrics.coverage().alias("coverage"),
            metrics.band_score(problem).alias("winkler"),
            pl.len().alias("n"),
        )
    )
    return table.sort("candidate", "step")


def by_label(frame: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """Scores by candidate and label, pooled over leads and over all that shares the label.

    Returns:
        One row for each candidate, key of the panel and label of the key, in the order of the
        problem; last those of the key `segment`. Columns: `candidate, key, label, mae` (target
        units), `coverage, n` (rows). Without keys there is no row.

    Raises:
        BacktestRowsError: the candidates do not have the same finite rows.
    """
    rows = with_labels(judged_rows(frame, problem), problem.series_keys)
    keys = (*problem.series_keys, SEGMENT) if problem.series_keys else ()
    parts = [
        rows.group_by("candidate", label=key)
        .agg(metrics.mae().alias("mae"), metrics.coverage().alias("coverage"), pl.len().alias("n"))
        .with_columns(key=pl.lit(key), place=_place(problem, key))
        .sort("candidate", "place")
        for key in keys
    ]
    empty = {"candidate": pl.String, "key": pl.String, "label": pl.String, "mae": pl.Float64}
    empty |= {"coverage": pl.Float64, "n": pl.UInt32}
    if not parts:
        return pl.DataFrame(schema=empty)
    order = {key: place for place, key in enumerate(keys)}
    table = pl.concat(parts).sort(
        "candidate", pl.col("key").replace_strict(order), "place", maintain_order=True
    )
    return table.select(list(empty))


def with_labels(rows: pl.DataFrame, keys: tuple[str, ...]) -> pl.DataFrame:
    """The rows with one column a key: the label of the row's series."""
    names = rows["series"].unique().sort().to_list()
    labels = pl.DataFrame(
        {"series": names, **{key: [labels_of(name, keys)[key] for name in names] for key in keys}},
        schema_overrides={"series": pl.String},
    )
    return rows.join(labels, on="series", how="left", validate="m:1")


def ordered_labels(problem: ForecastProblem, key: str) -> tuple[str, ...]:
    """The labels of a key, or the segments, in the order of the problem's series."""
    if key == SEGMENT:
        found = (problem.segment_of(name) for name in problem.series)
    else:
        found = (labels_of(name, problem.series_keys)[key] for name in problem.series)
    return tuple(dict.fromkeys(found))


def _place(problem: ForecastProblem, key: str) -> pl.Expr:
    """Position of `label` in the order of the problem."""
    places = {label: place for place, label in enumerate(ordered_labels(problem, key))}
    return pl.col("label").replace_strict(places, default=len(places))
