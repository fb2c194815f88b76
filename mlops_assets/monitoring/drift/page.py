"""Evidently's page of a drift report, and how many pages are kept.

Here: drawing the page with our thresholds, storing it and deleting old ones. Not here: the
judgement (`report`): the page shows the same distances, computed by Evidently.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from mlops_assets.monitoring.drift.distance import METHOD
from mlops_assets.monitoring.drift.report import DriftReport
from mlops_assets.monitoring.drift.windows import FloatArray
from mlops_assets.storage.files import FileStore

if TYPE_CHECKING:
    from evidently import Dataset
    from evidently.core.report import Snapshot

KEPT_PAGES: Final = 30
"""Pages that stay, the newest; one is about 4 MB."""

_LEAST_THRESHOLD: Final = 1e-9
"""Evidently calls a distance equal to the threshold drift; a column that never moves has 0."""


def page_path(problem: str, as_of: datetime) -> str:
    """Where the page of a report lies below the storage root."""
    return f"reports/{problem}/drift/{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}.html"


def page_link(files: FileStore, path: str) -> str:
    """Address of a page: a file URL where the root is a folder of this machine."""
    address = files.address(path)
    return Path(address).resolve().as_uri() if files.is_folder else address


def draw(report: DriftReport) -> bytes:
    """Evidently's HTML of the judged columns; the report must have at least one."""
    return str(compare(report).get_html_str(as_iframe=False)).encode()


def compare(report: DriftReport) -> Snapshot:
    """Evidently's comparison of the judged columns at the thresholds of the report."""
    # Evidently reads it when it is imported; a pipeline tells nobody that it ran.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        # Evidently imports names that numpy and litestar are about to drop.
        warnings.simplefilter("ignore")
        from evidently import Report
        from evidently.presets import DataDriftPreset

        thresholds = {c.feature: max(c.threshold or 0.0, _LEAST_THRESHOLD) for c in report.judged}
        preset = DataDriftPreset(
            columns=list(thresholds),
            num_method=METHOD,
            per_column_threshold=thresholds,
            drift_share=1 / len(thresholds),
        )
        reference = _dataset({name: sides[0] for name, sides in report.sides.items()})
        current = _dataset({name: sides[1] for name, sides in report.sides.items()})
        return Report([preset]).run(current, reference)


def store_page(
    files: FileStore, history: pl.DataFrame, path: str, page: bytes, *, keep: int = KEPT_PAGES
) -> pl.DataFrame:
    """Write a page and delete the oldest ones beyond `keep`.

    Args:
        files: below the storage root.
        history: rows of all reports, the new one included; names the pages.
        path: of the new page.
        page: its content.
        keep: how many stay.

    Returns:
        The history; `report` is null where the page was deleted.
    """
    files.write(path, page)
    known = history["report"].drop_nulls().unique().sort().to_list()
    # A page carries its instant in its name, so the first names are the oldest pages.
    old = [other for other in known[:-keep] if other != path]
    for other in old:
        if files.exists(other):
            files.delete(other)
    kept = pl.when(pl.col("report").is_in(old)).then(None).otherwise(pl.col("report"))
    return history.with_columns(report=kept)


def _dataset(values: Mapping[str, FloatArray]) -> Dataset:
    """Columns of different lengths as Evidently takes them: the shorter ones end in nulls."""
    from evidently import DataDefinition, Dataset

    series = [pl.Series(name, column) for name, column in values.items()]
    frame = pl.concat([one.to_frame() for one in series], how="horizontal_extend")
    return Dataset.from_pandas(frame.to_pandas(), DataDefinition(numerical_columns=list(values)))
