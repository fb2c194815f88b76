"""The proof that a feature table does not know the future.

Features of an origin are computed again from what was known at that origin, the later rows and
versions removed; nothing may change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from mlops_assets.features.feature_set import INDEX, compute_features
from mlops_assets.problem import ForecastProblem


@dataclass(frozen=True)
class Leak:
    """A feature whose stored value is not what could be known."""

    column: str
    origin: datetime
    stored: float | None
    knowable: float | None

    def __str__(self) -> str:
        """The fault in one sentence."""
        return (
            f"{self.column} at origin {self.origin:%Y-%m-%dT%H:%M}Z is {self.stored!r}; from what "
            f"was known then it is {self.knowable!r}"
        )


def known_at(observations: pl.DataFrame, instant: datetime) -> pl.DataFrame:
    """Bitemporal observations as they stood at an instant: later rows and versions removed."""
    visible = observations.filter(pl.col("known_at") <= instant)
    ended = pl.col("superseded_at") <= instant
    return visible.with_columns(superseded_at=pl.when(ended).then(pl.col("superseded_at")))


def probe_origins(features: pl.DataFrame, *, count: int) -> list[datetime]:
    """Origins to probe, evenly spread over the table, its newest included."""
    origins = features["origin"].unique().sort()
    places = np.unique(np.linspace(len(origins) // 10, len(origins) - 1, count).astype(int))
    return [origins[int(place)] for place in places]


def find_leaks(
    features: pl.DataFrame,
    observations: pl.DataFrame,
    problem: ForecastProblem,
    *,
    origins: Sequence[datetime],
) -> list[Leak]:
    """Every stored value at these origins that differs, in any bit, from what could be known."""
    leaks = []
    for origin in origins:
        stored = features.filter(pl.col("origin") == origin).sort("series")
        fresh = compute_features(known_at(observations, origin), problem, since=origin)
        knowable = fresh.filter(pl.col("origin") == origin).sort("series")
        if not stored.select(INDEX[:3]).equals(knowable.select(INDEX[:3])):
            leaks.append(Leak("origin", origin, float(len(stored)), float(len(knowable))))
            continue
        for column in (c for c in stored.columns if c not in INDEX[:3]):
            leaks.extend(_differences(stored, knowable, column, origin))
    return leaks


def _differences(
    stored: pl.DataFrame, knowable: pl.DataFrame, column: str, origin: datetime
) -> list[Leak]:
    if column == "max_known_at":
        late = stored.filter(pl.col(column) > origin)
        return [Leak(column, origin, None, None)] if len(late) else []
    pairs = zip(stored[column], knowable[column], strict=True)
    return [Leak(column, origin, a, b) for a, b in pairs if a != b]
