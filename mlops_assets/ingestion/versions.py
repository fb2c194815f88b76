"""Which fetched rows say something that is not stored yet.

Here: the rule by which a value that changed at its source becomes a new version. Not here: the
versions inside one fetch (`files`) and the writing (`storage.tables`).

Raw tables never overwrite. A fetch may repeat what is stored, add versions with a `known_at` of
their own, or give an old bar another value under the old `known_at` (a file edited in place, a
source that restates without saying when). The last is a version that was first seen now.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mlops_assets.tables.raw import KEY, PERIOD


def new_versions(
    fetched: pl.DataFrame, stored: pl.DataFrame, *, values: Sequence[str]
) -> pl.DataFrame:
    """The rows to append so that the store's newest version of each period is the fetched one.

    Args:
        fetched: raw rows of one fetch, unique in (series, valid_time, known_at).
        stored: raw rows of at least the same periods.
        values: the columns by which versions differ, `value_names` of the source's layout.

    Returns:
        Rows with keys that are not stored: fetched versions as they are, and for a period whose
        newest stored value then still differs from the newest fetched one, that value with
        `known_at` = `fetched_at`, `assumed` = false.
    """
    added = fetched.join(stored, on=list(KEY), how="anti", maintain_order="left")
    newest_stored = _newest(pl.concat([stored.select(added.columns), added]))
    newest_fetched = _newest(fetched)
    restated = newest_fetched.join(
        newest_stored, on=[*PERIOD, *values], how="anti", nulls_equal=True, maintain_order="left"
    ).with_columns(known_at=pl.col("fetched_at"), assumed=pl.lit(False))
    return pl.concat([added, restated])


def _newest(rows: pl.DataFrame) -> pl.DataFrame:
    """The version of each period that was known last."""
    return rows.sort("known_at", maintain_order=True).unique(
        PERIOD, keep="last", maintain_order=True
    )
