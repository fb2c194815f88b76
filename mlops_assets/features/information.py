"""Features that carry no information in a table: those a model could learn nothing from.

Here: the judgement on a stored table. Not here: what recipes do about it (`training`).
"""

from __future__ import annotations

import polars as pl

from mlops_assets.features.feature_groups import group_columns
from mlops_assets.features.feature_set import INDEX
from mlops_assets.features.stepwise import columns_by_design_name
from mlops_assets.problem import ForecastProblem


def uninformative(features: pl.DataFrame, problem: ForecastProblem) -> dict[str, str]:
    """Observed features without information, and why.

    Args:
        features: a feature table; a feature that depends on the step is judged over all of them.
        problem: names the groups; labels of series and calendar features are not judged, since
            they vary by construction or for reasons of their own.

    Returns:
        Name in design rows -> `missing throughout` or `constant at <value>` (over the rows where
        it is known), in the order of the table.
    """
    labels = {
        name
        for group, names in group_columns(problem)
        if group.kind == "segment_one_hot"
        for name in names
    }
    reasons = {}
    stored = columns_by_design_name(c for c in features.columns if c not in INDEX)
    varying = _varying(features.select(column for group in stored.values() for column in group))
    for name, columns in stored.items():
        if name in labels or varying.intersection(columns):
            continue
        if (reason := _reason(features.select(columns))) is not None:
            reasons[name] = reason
    return reasons


def _varying(values: pl.DataFrame) -> set[str]:
    """Columns that hold two numbers, all found in one pass; they need no second look."""
    if values.is_empty():
        return set()
    differs = values.select(pl.all().min() < pl.all().max()).row(0, named=True)
    return {name for name, is_so in differs.items() if is_so}


def _reason(values: pl.DataFrame) -> str | None:
    """Why the values of all columns together say nothing; None if they say something."""
    known = {value for column in values for value in column.drop_nulls().unique().head(2)}
    if not known:
        return "missing throughout"
    return f"constant at {known.pop()}" if len(known) == 1 else None
