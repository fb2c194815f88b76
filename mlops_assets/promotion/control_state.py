"""The control table: what the tests of live forecasts say about the champion.

Here: its columns and where it is kept, since the gate reads it. Not here: the tests
(`monitoring.control`) and what an alarm leads to (`promotion.rollback`).
"""

from __future__ import annotations

from typing import Final, Literal

import polars as pl

ControlTest = Literal["against_baseline", "against_previous", "coverage"]
"""against_baseline: the champion's live errors are larger than those of the strongest baseline.
against_previous: larger than those of the recipe that held the alias before. coverage: its bands
cover less than nominal coverage minus the slack."""

ROLLS_BACK: Final[tuple[ControlTest, ...]] = ("against_baseline", "against_previous")
"""Tests whose alarm takes the alias away; a new fit mends a band, so `coverage` asks for that."""

CONTROL: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "as_of": pl.Datetime("us", "UTC"),
    "version": pl.String,
    "candidate": pl.String,
    "recipe_id": pl.String,
    "test": pl.String,
    "against": pl.String,
    "against_recipe_id": pl.String,
    "n": pl.Int64,
    "e_value": pl.Float64,
    "threshold": pl.Float64,
    "alarm": pl.Boolean,
}
"""Columns of the control table, grain (test): the newest look only.

`version`, `candidate`, `recipe_id` are the champion's. `n` counts verified valid periods.
`e_value` is the largest since the test began, in [0, inf): how many times a bet against the
champion multiplied its stake. `alarm`: it has reached `threshold`, with enough periods.
"""


def control_table(problem: str) -> str:
    """Name of a problem's control table."""
    return f"{problem}/control"


def no_control() -> pl.DataFrame:
    """No test yet."""
    return pl.DataFrame(schema=CONTROL)
