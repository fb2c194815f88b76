"""Which periods of a source are missing.

Here: the periods between the first and the last of a series, and the series that a period lacks.
Not here: whether the newest period is late (`recency`), and what a finding says (`value_rules`,
`candle_rules`).
"""

from __future__ import annotations

import polars as pl

from mlops_assets.ingestion.sessions import ALWAYS_OPEN
from mlops_assets.problem import Source, ValueSource
from mlops_assets.tables.raw import PERIOD


def missing_periods(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """The periods (`series`, `valid_time`) that a series lacks between its first and its last.

    Empty for a market that closes: which of its periods must exist is known only to the source.
    """
    present = rows.select(PERIOD).unique()
    if source.calendar != ALWAYS_OPEN or present.is_empty():
        return present.clear()
    times = pl.col("valid_time")
    expected = (
        present.group_by("series")
        .agg(pl.datetime_ranges(times.min(), times.max(), interval=source.period))
        .explode("valid_time")
    )
    missing = expected.join(present, on=PERIOD, how="anti", maintain_order="left")
    return missing.sort("valid_time", "series")


def panel_series(source: ValueSource) -> tuple[str, ...]:
    """Every series of a panel; none for a source without keys, whose series has its own name."""
    return source.series_names("") if source.keys else ()


def missing_series(rows: pl.DataFrame, source: ValueSource) -> pl.DataFrame:
    """The series (`series`, `valid_time`) that a period lacks which others of the panel have."""
    series = pl.DataFrame({"series": panel_series(source)}, schema={"series": pl.String})
    expected = rows.select("valid_time").unique().join(series, how="cross")
    missing = expected.join(rows, on=list(PERIOD), how="anti").select(PERIOD)
    return missing.sort("valid_time", "series")
