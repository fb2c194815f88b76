"""A small panel of shares over files that a test writes, and the rows to write into them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from mlops_assets.ingestion import files
from mlops_assets.problem import ChannelSource, FileSource, ForecastProblem, Source, ValueSource
from mlops_assets.settings import Settings
from mlops_assets.tables.raw import month_of_open
from mlops_assets.tables.values import VALUES_LAYOUT
from mlops_assets_tests.ingestion.market import problem

DAY = timedelta(days=1)
FETCHED_AT = datetime(2025, 7, 1, tzinfo=UTC)
START = datetime(2024, 8, 31, 15, tzinfo=UTC)
"""Midnight in Korea, with which September 2024 begins."""

SEGMENTS = ("female/10대", "female/60대 이상", "male/10대", "male/60대 이상")

Shares = Mapping[str, float | None]
"""Series -> value."""


def panel(**changes: Any) -> ValueSource:  # noqa: ANN401  (fields of the model)
    """A target of daily shares in Korea: 2 brands x 2 genders x 2 age groups."""
    fields: dict[str, Any] = {
        "kind": "values",
        "role": "target",
        "title": "Search share",
        "unit": "%",
        "period": DAY,
        "zone": "Asia/Seoul",
        "plausible": (0.0, 100.0),
        "start": START,
        "keys": {
            "brand": ["게토레이", "링티"],
            "gender": ["female", "male"],
            "age_group": ["10대", "60대 이상"],
        },
        "sums_to": {"total": 100, "within": ["gender", "age_group"]},
    }
    return ValueSource.model_validate(fields | changes)


def single(**changes: Any) -> ValueSource:  # noqa: ANN401
    """An exogenous source of one daily value."""
    fields: dict[str, Any] = {"role": "exogenous", "max_age": "30d", "keys": {}, "sums_to": None}
    return panel(**(fields | changes))


def channels(**changes: Any) -> ChannelSource:  # noqa: ANN401
    """An exogenous source of channel counts."""
    fields: dict[str, Any] = {
        "kind": "channels",
        "role": "exogenous",
        "title": "Channels",
        "unit": "counts",
        "period": DAY,
        "plausible": (0.0, 1e12),
        "max_age": "30d",
        "start": START,
    }
    return ChannelSource.model_validate(fields | changes)


def panel_problem(**sources: Source) -> ForecastProblem:
    """A problem over the source `search`, and others."""
    described = problem(**sources)
    target = described.target.model_copy(update={"source": "search", "column": "value"})
    return described.model_copy(update={"target": target})


def end_of(day: int) -> datetime:
    """When a day of September 2024 ends in Korea."""
    return START + day * DAY


def shares(*, first: float = 40.0) -> dict[str, float | None]:
    """The shares of one day: `first` for one brand and the rest for the other, in each segment."""
    return {
        f"{brand}/{segment}": share
        for segment in SEGMENTS
        for brand, share in (("게토레이", first), ("링티", 100.0 - first))
    }


def fetched(days: Mapping[int, Shares], **columns: datetime) -> pl.DataFrame:
    """Rows of days of September 2024 as a source returns them; `columns` replaces instants."""
    rows = [
        {"series": series, "valid_time": end_of(day), "known_at": end_of(day), "value": value}
        for day, values in days.items()
        for series, value in values.items()
    ]
    frame = pl.DataFrame(rows, schema_overrides={"value": pl.Float64}).with_columns(
        fetched_at=pl.lit(FETCHED_AT), assumed=pl.lit(value=True), pull=pl.lit("one.csv")
    )
    replaced = {name: pl.lit(instant) for name, instant in columns.items()}
    return VALUES_LAYOUT.fetched.conform(frame.with_columns(**replaced))


def raw(days: Mapping[int, Shares]) -> pl.DataFrame:
    """The same rows as the raw table holds them."""
    rows = fetched(days).with_columns(month_of_open(DAY, zone="Asia/Seoul"))
    return VALUES_LAYOUT.raw.conform(rows)


def write_shares(folder: Path, name: str, days: Mapping[int, Shares]) -> FileSource:
    """Write days of September 2024 as a CSV with a column for each label; its YAML entry."""
    lines = ["brand,gender,age_group,period,ratio"]
    for day, values in days.items():
        for series, value in values.items():
            cells = [*series.split("/"), date(2024, 9, day).isoformat()]
            lines.append(",".join([*cells, "" if value is None else str(value)]))
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return share_file(name)


def share_file(name: str, **changes: Any) -> FileSource:  # noqa: ANN401
    """The YAML entry of a file of shares."""
    fields = {
        "path": name,
        "time_column": "period",
        "time_zone": "Asia/Seoul",
        "columns": {"value": "ratio"},
    }
    return FileSource.model_validate(fields | changes)


def read(folder: Path, source: Source, *, name: str = "search") -> pl.DataFrame:
    """What the files of a source give."""
    settings = Settings(data="files", data_dir=folder)
    return files.fetch(
        name,
        source,
        start=source.start,
        end=FETCHED_AT,
        fetched_at=FETCHED_AT,
        settings=settings,
    )
