"""Who held the champion alias at which instant, from the history of verdicts.

Here: pure functions of the asset `champion`. Not here: moving the alias (`promotion.registry`) and
what its holders said or scored (`forecasting`, `monitoring`).
"""

from __future__ import annotations

from datetime import datetime

import polars as pl


def alias_moves(verdicts: pl.DataFrame, *, as_of: datetime) -> pl.DataFrame:
    """The verdicts that say who held the alias, grain (as_of), oldest first.

    Verdicts after `as_of` are not seen. A run as of the past records a verdict and moves nothing:
    it is left out. Of several verdicts at one instant the last counts.
    """
    return (
        verdicts.filter(pl.col("as_of") <= as_of)
        .filter(pl.col("as_of") >= pl.col("as_of").cum_max())
        .unique("as_of", keep="last", maintain_order=True)
    )


def with_holders(rows: pl.DataFrame, moves: pl.DataFrame, *, named: str) -> pl.DataFrame:
    """Forecasts with whether their version held the alias at their origin, sorted by origin.

    A version that took the alias as of an instant holds it at origins from then on, that one
    included, until another takes it.

    Args:
        rows: forecasts with `version` and `origin`.
        moves: as `alias_moves` gives them.
        named: name of the added column, boolean, never null.
    """
    holders = moves.select(held_from="as_of", holder="version").sort("held_from")
    held = rows.sort("origin", maintain_order=True).join_asof(
        holders, left_on="origin", right_on="held_from", strategy="backward"
    )
    is_holder = (pl.col("version") == pl.col("holder")).fill_null(value=False)
    return held.with_columns(is_holder.alias(named)).drop("holder", "held_from")
