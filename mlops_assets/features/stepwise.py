"""Names of feature columns whose value depends on the step.

Here: how a feature table stores one column per step, `x@01` .. `x@28`, of what is one feature `x`
of design rows. Not here: turning the ones into the other (`design.lay_rows`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_STEPWISE: Final = re.compile(r"(.+)@(\d{2,})")


def step_column(name: str, step: int) -> str:
    """Column of a feature table that holds a feature at one step (1 is the next period)."""
    return f"{name}@{step:02d}"


def design_name(column: str) -> str:
    """Name that a column of a feature table has in design rows: without its step."""
    matched = _STEPWISE.fullmatch(column)
    return matched.group(1) if matched else column


def columns_by_design_name(columns: Iterable[str]) -> dict[str, list[str]]:
    """Name in design rows -> its columns of a feature table; both in the order given."""
    out: dict[str, list[str]] = {}
    for column in columns:
        out.setdefault(design_name(column), []).append(column)
    return out
