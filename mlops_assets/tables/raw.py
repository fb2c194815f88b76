"""The tables of a source of any kind: fetched, raw, quarantine, and a target's observations.

Here: what these tables have in common, and the months that they are divided by. Not here: the
columns in which the kinds differ (`candles`, `values`, `channels`), the rules that set a row aside
(`ingestion.quality`) and how observations are put together (`ingestion.observations`).

Time: a row covers the half-open interval `[open, valid_time)` of one period; a snapshot of counts
covers no time, it is valid at its instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Final

import polars as pl

from mlops_assets.tables.schema import UTC_MICROSECONDS, Column, TableSchema, with_columns_after

KEY: Final = ("series", "valid_time", "known_at")
PARTITION: Final = "month"

PERIOD: Final = ("series", "valid_time")
"""What two versions of one row share."""


@dataclass(frozen=True, kw_only=True)
class RawLayout:
    """What the tables of one kind of source hold.

    Attributes:
        kind: the kind, as in a problem's YAML.
        row: what a row is called in descriptions and messages.
        time: what its valid time is.
        values: what a source says about a row; two versions differ when one of these does.
        joined: what an exogenous source of this kind adds to observations, in words.
        joined_unit: unit of that.
    """

    kind: str
    row: str
    time: str
    values: tuple[Column, ...]
    joined: str
    joined_unit: str = "the source's unit"

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of the value columns, in stored order."""
        return tuple(column.name for column in self.values)

    @cached_property
    def fetched(self) -> TableSchema:
        """What every source of this kind returns."""
        return TableSchema(
            name="fetched",
            grain="one row as a source delivered it, in the order of delivery",
            key=KEY,
            columns=(
                *self._identity,
                Column(
                    name="fetched_at",
                    dtype=UTC_MICROSECONDS,
                    unit="UTC",
                    description="when it was read",
                ),
                _ASSUMED,
                *self.values,
                Column(
                    name="pull", dtype=pl.String, description="the file or call the row came with"
                ),
            ),
        )

    @cached_property
    def raw(self) -> TableSchema:
        """Every version of every row ever fetched; a corrected one is a new row."""
        return TableSchema(
            name=f"raw {self.kind}",
            grain=f"one version of one {self.row}: (series, valid_time, known_at)",
            key=KEY,
            columns=(
                *(column for column in self.fetched.columns if column.name != "pull"),
                _month(self.row),
            ),
        )

    @cached_property
    def quarantine(self) -> TableSchema:
        """Rows of the last pull that broke a rule, so that nothing delivered is lost."""
        return with_columns_after(
            self.fetched,
            name="quarantine",
            grain="one delivered row that broke a rule",
            key=(),
            columns=(
                _month(self.row),
                Column(name="reason", dtype=pl.String, description="the rule that the row broke"),
                Column(
                    name="kept",
                    dtype=pl.Boolean,
                    description="true when the row is in the raw table all the same",
                ),
            ),
        )

    def observations(self, exogenous: Sequence[tuple[str, RawLayout]]) -> TableSchema:
        """The observations of a target of this kind, with the exogenous values known then.

        Args:
            exogenous: name and layout of each exogenous source, in the order of the YAML.
        """
        joined = [column for name, layout in exogenous for column in layout.joined_columns(name)]
        return TableSchema(
            name="observations",
            grain=f"one version of one {self.row} of the target: (series, valid_time, known_at)",
            key=KEY,
            columns=(
                *self._identity,
                Column(
                    name="superseded_at",
                    dtype=UTC_MICROSECONDS,
                    unit="UTC",
                    nullable=True,
                    description=f"known_at of the {self.row}'s next version; null for the current "
                    "one",
                ),
                _ASSUMED,
                *self.values,
                *joined,
            ),
        )

    def joined_columns(self, name: str) -> tuple[Column, ...]:
        """The three columns that an exogenous source `name` adds to observations."""
        return (
            Column(
                name=f"{name}_value",
                dtype=pl.Float64,
                unit=self.joined_unit,
                nullable=True,
                description=f"{self.joined} of {name} known by then; null past its maximum age",
            ),
            Column(
                name=f"{name}_valid_time",
                dtype=UTC_MICROSECONDS,
                unit="UTC",
                nullable=True,
                description=f"{self.time} that it is from; null past its maximum age",
            ),
            Column(
                name=f"{name}_age_hours",
                dtype=pl.Float64,
                unit="h",
                nullable=True,
                low=0.0,
                description=f"known_at minus that time; null only before the first {self.row} "
                f"of {name}",
            ),
        )

    @property
    def _identity(self) -> tuple[Column, ...]:
        return (
            Column(
                name="series",
                dtype=pl.String,
                description="name of the source in the problem's YAML, or the labels of one series "
                "of a panel",
            ),
            Column(name="valid_time", dtype=UTC_MICROSECONDS, unit="UTC", description=self.time),
            Column(
                name="known_at",
                dtype=UTC_MICROSECONDS,
                unit="UTC",
                description=f"when this version of the {self.row} could first be read",
            ),
        )


def month_of_open(span: timedelta, *, zone: str = "UTC") -> pl.Expr:
    """The partition of a row: the month in which its period opens, `YYYY-MM`.

    Args:
        span: how long a row's period is; zero for a snapshot.
        zone: on whose clock months are counted.
    """
    opens = (pl.col("valid_time") - span).dt.convert_time_zone(zone)
    return opens.dt.strftime("%Y-%m").alias(PARTITION)


_ASSUMED: Final = Column(
    name="assumed",
    dtype=pl.Boolean,
    description="known_at was assumed: valid time plus the source's publication delay",
)


def _month(row: str) -> Column:
    return Column(
        name=PARTITION,
        dtype=pl.String,
        description=f"month in which the {row} opens, YYYY-MM in the source's zone",
    )
