"""The drift report: every column judged, and the champion's errors.

Here: the judgement, its table and how it is told. Not here: Evidently's page of the same columns
(`page`), and what Dagster makes of it (`assets`, `checks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from mlops_assets.monitoring.drift.columns import names_of
from mlops_assets.monitoring.drift.distance import normed_wasserstein
from mlops_assets.monitoring.drift.errors import ErrorWatch, watch_errors
from mlops_assets.monitoring.drift.threshold import (
    alarm_level,
    calibrated_threshold,
    past_distances,
)
from mlops_assets.monitoring.drift.windows import FloatArray, History, Pair, newest_pair
from mlops_assets.problem import Drift

SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "as_of": pl.Datetime("us", "UTC"),
    "feature": pl.String,
    "statistic": pl.Float64,
    "threshold": pl.Float64,
    "drifted": pl.Boolean,
    "reference_rows": pl.Int64,
    "current_rows": pl.Int64,
    "share_drifted": pl.Float64,
    "concept_drift": pl.Boolean,
    "report": pl.String,
}
"""The asset `drift_report`: one row per (report, column), newest last.

`statistic` and `threshold` are in standard deviations of the reference and null where the history
is too short to claim any; `share_drifted` is of the columns that were judged; `report` is the page
below the storage root, null without one.
"""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the champion was trained on.

    Attributes:
        version: the registered version that holds the alias.
        recipe_id: of its recipe.
        training_start: first origin that its fit may have seen.
        refit_at: end of its training window, exclusive.
    """

    version: str
    recipe_id: str
    training_start: datetime
    refit_at: datetime


@dataclass(frozen=True)
class ColumnDrift:
    """One column of a report; the two figures are None where the history is too short."""

    feature: str
    statistic: float | None
    threshold: float | None
    reference_rows: int
    current_rows: int

    @property
    def drifted(self) -> bool:
        """Whether the column lies beyond its threshold."""
        if self.statistic is None or self.threshold is None:
            return False
        return self.statistic > self.threshold


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """A report: columns, the champion's errors, and the values that Evidently draws.

    Attributes:
        as_of: instant of the report.
        columns: in the order of the compared table.
        errors: what the detector found.
        concept_drift: whether the champion's errors rose in the newest stretch, after its refit.
        sides: reference and current values of the columns that were judged.
    """

    as_of: datetime
    columns: tuple[ColumnDrift, ...]
    errors: ErrorWatch
    concept_drift: bool
    sides: Mapping[str, tuple[FloatArray, FloatArray]]

    @property
    def judged(self) -> tuple[ColumnDrift, ...]:
        """The columns with a threshold."""
        return tuple(column for column in self.columns if column.threshold is not None)

    @property
    def share_drifted(self) -> float:
        """Share of the judged columns that drifted; 0 when none was judged."""
        return sum(c.drifted for c in self.judged) / max(len(self.judged), 1)

    def as_frame(self, page: str | None) -> pl.DataFrame:
        """Its rows, schema `SCHEMA`; `page` is the path of Evidently's page."""
        rows = [
            {
                "as_of": self.as_of,
                "feature": column.feature,
                "statistic": column.statistic,
                "threshold": column.threshold,
                "drifted": column.drifted,
                "reference_rows": column.reference_rows,
                "current_rows": column.current_rows,
                "share_drifted": self.share_drifted,
                "concept_drift": self.concept_drift,
                "report": page,
            }
            for column in self.columns
        ]
        return pl.DataFrame(rows, schema=SCHEMA)


def judge(
    compared: pl.DataFrame,
    shares: pl.DataFrame,
    reference: Reference,
    drift: Drift,
    *,
    frequency: timedelta,
    as_of: datetime,
) -> DriftReport:
    """Compare the newest stretch with the champion's training window.

    Args:
        compared: as `columns.compared_columns` gives it, with at least one column.
        shares: as `errors.share_of_error` gives them.
        reference: the training window.
        drift: length of the newest stretch and budget of false alarms.
        frequency: length of a period.
        as_of: origins after it are left out.
    """
    known = compared.filter(pl.col("origin") <= as_of)
    histories = {name: History.of(known, name) for name in names_of(compared)}
    level = alarm_level(drift.false_alarms_per_year, len(histories) + 1)
    newest = known["origin"].max()
    today = newest_pair(
        newest if isinstance(newest, datetime) else as_of,
        length=drift.current,
        training_start=reference.training_start,
        refit_at=reference.refit_at,
    )
    sides = {name: _known_sides(history, today) for name, history in histories.items()}
    columns = tuple(_column(name, histories[name], sides[name], today, level) for name in sides)
    errors = watch_errors(shares, level=level, frequency=frequency, stands_for=drift.current)
    return DriftReport(
        as_of=as_of,
        columns=columns,
        errors=errors,
        concept_drift=errors.is_drift(since=max(today.current.start, reference.refit_at)),
        sides={c.feature: sides[c.feature] for c in columns if c.threshold is not None},
    )


def _known_sides(history: History, today: Pair) -> tuple[FloatArray, FloatArray]:
    """The values of both stretches, none where a stretch says too little."""
    nothing: tuple[FloatArray, FloatArray] = (np.empty(0), np.empty(0))
    if history.first is None or not today.known_from(history.first).is_long_enough:
        return nothing
    return history.sides(today) or nothing


def _column(
    name: str,
    history: History,
    sides: tuple[FloatArray, FloatArray],
    today: Pair,
    level: float,
) -> ColumnDrift:
    reference, current = sides
    threshold = None
    if len(current):
        threshold = calibrated_threshold(past_distances(history, today), level)
    statistic = None if threshold is None else normed_wasserstein(reference, current)
    return ColumnDrift(name, statistic, threshold, len(reference), len(current))
