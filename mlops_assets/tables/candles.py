"""The tables of bars: raw (every version ever fetched), set aside (quarantine), and observations.

Here: columns, grain, keys, units. Not here: the rules that set a row aside
(`ingestion.quality`) and how observations are put together (`ingestion.observations`).

Time: a bar covers the half-open interval `[open time, close time)`; `valid_time` is its close.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from mlops_assets.tables.schema import (
    UTC_MICROSECONDS,
    Column,
    TableSchema,
    with_columns_after,
)

PRICES: Final = ("open", "high", "low", "close")
VALUES: Final = (*PRICES, "volume")
"""What a source says about a bar; two versions differ when one of these does."""

KEY: Final = ("series", "valid_time", "known_at")
PARTITION: Final = "month"

_IDENTITY: Final = (
    Column(name="series", dtype=pl.String, description="name of the source in the problem's YAML"),
    Column(name="valid_time", dtype=UTC_MICROSECONDS, unit="UTC", description="close of the bar"),
    Column(
        name="known_at",
        dtype=UTC_MICROSECONDS,
        unit="UTC",
        description="when this version of the bar could first be read",
    ),
)
_ASSUMED: Final = Column(
    name="assumed",
    dtype=pl.Boolean,
    description="known_at was assumed: valid time plus the source's publication delay",
)
_PRICES: Final = tuple(
    Column(
        name=name,
        dtype=pl.Float64,
        unit="the source's unit",
        nullable=True,
        low=0.0,
        description=f"{name} price of the bar",
    )
    for name in PRICES
)
_VOLUME: Final = Column(
    name="volume",
    dtype=pl.Float64,
    unit="traded units",
    nullable=True,
    low=0.0,
    description="traded volume; null where the source has none",
)

FETCHED: Final = TableSchema(
    name="fetched",
    grain="one row as a source delivered it, in the order of delivery",
    key=KEY,
    columns=(
        *_IDENTITY,
        Column(
            name="fetched_at", dtype=UTC_MICROSECONDS, unit="UTC", description="when it was read"
        ),
        _ASSUMED,
        *_PRICES,
        _VOLUME,
        Column(name="pull", dtype=pl.String, description="the file or call the row came with"),
    ),
)
"""What every source kind returns."""

RAW_CANDLES: Final = TableSchema(
    name="raw candles",
    grain="one version of one bar: (series, valid_time, known_at)",
    key=KEY,
    columns=(
        *(column for column in FETCHED.columns if column.name != "pull"),
        Column(
            name=PARTITION, dtype=pl.String, description="month in which the bar opens, YYYY-MM UTC"
        ),
    ),
)
"""Every version of every bar ever fetched; a corrected bar is a new row, never an overwrite."""

QUARANTINE: Final = with_columns_after(
    FETCHED,
    name="quarantine",
    grain="one delivered row that broke a rule",
    key=(),
    columns=(
        Column(
            name=PARTITION, dtype=pl.String, description="month in which the bar opens, YYYY-MM UTC"
        ),
        Column(name="reason", dtype=pl.String, description="the rule that the row broke"),
        Column(
            name="kept",
            dtype=pl.Boolean,
            description="true when the row is in the raw table all the same",
        ),
    ),
)
"""Rows of the last pull that broke a rule, so that nothing delivered is lost."""


def observations_schema(exogenous: Sequence[str]) -> TableSchema:
    """The observations of a problem: the target's versions with the exogenous values known then.

    Args:
        exogenous: names of the exogenous sources, in the order of the YAML.
    """
    joined = [column for name in exogenous for column in _joined_columns(name)]
    return TableSchema(
        name="observations",
        grain="one version of one bar of the target: (series, valid_time, known_at)",
        key=KEY,
        columns=(
            *_IDENTITY,
            Column(
                name="superseded_at",
                dtype=UTC_MICROSECONDS,
                unit="UTC",
                nullable=True,
                description="known_at of the bar's next version; null for the current one",
            ),
            _ASSUMED,
            *_PRICES,
            _VOLUME,
            *joined,
        ),
    )


def month_of_open(bar: timedelta) -> pl.Expr:
    """The partition of a row: the month in which its bar opens, `YYYY-MM`, UTC."""
    return (pl.col("valid_time") - bar).dt.strftime("%Y-%m").alias(PARTITION)


def _joined_columns(name: str) -> tuple[Column, ...]:
    return (
        Column(
            name=f"{name}_close",
            dtype=pl.Float64,
            unit="the source's unit",
            nullable=True,
            description=f"newest close of {name} known by then; null past its maximum age",
        ),
        Column(
            name=f"{name}_valid_time",
            dtype=UTC_MICROSECONDS,
            unit="UTC",
            nullable=True,
            description=f"close time of that bar of {name}; null past its maximum age",
        ),
        Column(
            name=f"{name}_age_hours",
            dtype=pl.Float64,
            unit="h",
            nullable=True,
            low=0.0,
            description=f"known_at minus that close time; null only before the first bar of {name}",
        ),
    )
