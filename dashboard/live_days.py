"""Live scores added up: versions of a day into one day, and days into all.

Here: means weighted by the number of forecasts, pure. Not here: the page (`live`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from dashboard.api import Document


@dataclass(frozen=True, slots=True)
class LiveDay:
    """Forecasts that came true on one day; errors in the problem's unit, None where unknown."""

    day: str
    n: int
    mae: float | None
    coverage: float | None
    mae_last_value: float | None


def by_day(rows: Sequence[Document], *, step: int, role: str) -> list[LiveDay]:
    """One entry for each day, over all versions of a role and one step, ascending.

    Args:
        rows: live scores of the API, ascending by day.
        step: periods ahead.
        role: `champion` or `challenger`.
    """
    wanted = [row for row in rows if row["step"] == step and row["role"] == role and row["n"]]
    return [
        _sum(day, [LiveDay(day, r["n"], r["mae"], r["coverage"], r["mae_last_value"]) for r in of])
        for day, of in groupby(wanted, key=lambda row: str(row["day"]))
    ]


def over_all(days: Sequence[LiveDay]) -> LiveDay:
    """All days as one.

    Raises:
        ValueError: there are none.
    """
    if not days:
        raise ValueError("no days: a mean needs at least one; say that nothing came true instead")
    return _sum(days[-1].day, days)


def _sum(day: str, parts: Sequence[LiveDay]) -> LiveDay:
    return LiveDay(
        day,
        sum(part.n for part in parts),
        _mean([(part.n, part.mae) for part in parts]),
        _mean([(part.n, part.coverage) for part in parts]),
        _mean([(part.n, part.mae_last_value) for part in parts]),
    )


def _mean(weighted: Sequence[tuple[int, float | None]]) -> float | None:
    known = [(n, value) for n, value in weighted if value is not None]
    total = sum(n for n, _ in known)
    return sum(n * value for n, value in known) / total if total else None
