"""The tier of a video channel by its subscribers, and of the largest channel known at an instant.

Here: one rule. Not here: the counts themselves (`files`, `youtube`), and the join of the tier to a
target (`observations`).

The names follow the steps of YouTube's play buttons tenfold below them, except that gold begins at
100,000: the source of the demo calls a channel of 300,000 subscribers gold.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.tables.channels import CHANNEL_PREFIX

TIERS: Final = {"bronze": 1_000, "silver": 10_000, "gold": 100_000, "diamond": 1_000_000}
"""Tier -> fewest subscribers, ascending; their numbers are 1, 2, 3, 4."""


def tier_of(subscribers: pl.Expr) -> pl.Expr:
    """The number of a channel's tier, 0 below the first; null where the count is hidden."""
    reached = (subscribers >= fewest for fewest in TIERS.values())
    return pl.sum_horizontal(level.cast(pl.Float64) for level in reached).pipe(
        lambda number: pl.when(subscribers.is_not_null()).then(number)
    )


def largest_known(counts: pl.DataFrame) -> pl.DataFrame:
    """The largest channel by what was known at each instant at which that changes.

    A channel counts with its newest snapshot, also when its count is hidden there: what was seen
    before is not what is.

    Args:
        counts: raw rows of a source of channels, videos included.

    Returns:
        `known_at` (unique, ascending), `valid_time` of the snapshot of that channel (the newest of
        all while no count is known), `subscribers` (null while no count is known).
    """
    newest = pl.col("valid_time") == pl.col("valid_time").cum_max().over("series")
    events = (
        counts.filter(pl.col("series").str.starts_with(CHANNEL_PREFIX))
        .sort("known_at", "valid_time")
        .filter(newest)
        .unique(["series", "known_at"], keep="last", maintain_order=True)
        .select("known_at", "series", "valid_time", "subscribers")
    )
    instants = events.select(pl.col("known_at").unique().sort())
    grid = instants.join(events.select("series").unique(), how="cross").sort("known_at")
    state = grid.join_asof(
        events, on="known_at", by="series", strategy="backward", check_sortedness=False
    )
    return (
        state.drop_nulls("valid_time")
        .sort("known_at", "subscribers", "valid_time", nulls_last=False)
        .unique("known_at", keep="last", maintain_order=True)
        .select("known_at", "valid_time", "subscribers")
    )
