"""The column of single numbers, such as a share or a temperature: one a period.

Here: what a source says about a period. Not here: the tables around it (`raw`) and the rules that
set a value aside (`ingestion.value_rules`).

Time: a value covers the half-open interval `[open, valid_time)`: the value of a day is valid at the
end of that day, in the source's zone.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.tables.raw import RawLayout
from mlops_assets.tables.schema import Column

VALUES_LAYOUT: Final = RawLayout(
    kind="values",
    row="value",
    time="end of the period",
    values=(
        Column(
            name="value",
            dtype=pl.Float64,
            unit="the source's unit",
            nullable=True,
            description="the number of the period",
        ),
    ),
    joined="newest value",
)
"""The tables of a source of values."""
