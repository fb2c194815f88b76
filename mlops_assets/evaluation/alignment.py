"""The proof that forecasts carry honest stamps: nothing known too late, nothing stamped early.

Here: the evaluator for backtest and live forecasts. Not here: leaks inside features
(`features.leakage`).
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl


def misaligned(forecasts: pl.DataFrame, *, frequency: timedelta) -> list[str]:
    """What is wrong with the stamps of forecasts, one sentence each; empty when they are honest.

    Three rules, for every row: `max_known_at <= origin` (where the column exists),
    `origin < valid_time`, and `valid_time = last_observed + step * frequency`.
    """
    faults = []
    if "max_known_at" in forecasts.columns:
        late = forecasts.filter(pl.col("max_known_at") > pl.col("origin"))
        faults += _told(late, "uses a value known only at", "max_known_at", "known by the origin")
    early = forecasts.filter(pl.col("valid_time") <= pl.col("origin"))
    faults += _told(early, "is stamped", "valid_time", "later than its origin")
    stamp = pl.col("last_observed") + pl.col("step") * frequency
    shifted = forecasts.filter(pl.col("valid_time") != stamp)
    faults += _told(
        shifted, "is stamped", "valid_time", "its step counted from the last observed value"
    )
    return faults


def honest_stamps(frequency: timedelta) -> pl.Expr:
    """Whether a row with `max_known_at` keeps the three rules of `misaligned`."""
    stamp = pl.col("last_observed") + pl.col("step") * frequency
    return (
        (pl.col("max_known_at") <= pl.col("origin"))
        & (pl.col("origin") < pl.col("valid_time"))
        & (pl.col("valid_time") == stamp)
    )


def copier_is_shifted(
    forecasts: pl.DataFrame, observations: pl.DataFrame, *, frequency: timedelta, column: str
) -> list[str]:
    """Whether a copier of the last value would look better than it is.

    Its forecast for v (`last_value`) must be the value observed `step` periods before v, in the
    version that was known at the origin. Were it the value at v, forecasts would be stamped early
    and copying would look perfect.

    Args:
        forecasts: with series, origin, step, valid_time and last_value.
        observations: every version of the target's values.
        frequency: length of a period.
        column: of the observations, what is forecast.
    """
    versions = observations.select(
        "series", "known_at", "superseded_at", source_time="valid_time", observed=column
    )
    stamped = forecasts.with_row_index("place").with_columns(
        source_time=pl.col("valid_time") - pl.col("step") * frequency
    )
    known = pl.col("known_at") <= pl.col("origin")
    replaced = (pl.col("superseded_at") <= pl.col("origin")).fill_null(value=False)
    honest = stamped.join(versions, on=["series", "source_time"], validate="m:m").filter(
        known, ~replaced, pl.col("observed") == pl.col("last_value")
    )
    wrong = stamped.join(honest, on="place", how="anti")
    return _told(
        wrong, "copies a last value of", "last_value", "the value observed its step before"
    )


def _told(rows: pl.DataFrame, what: str, column: str, rule: str) -> list[str]:
    if rows.is_empty():
        return []
    first = rows.row(0, named=True)
    return [
        f"{len(rows)} forecasts are misaligned: the one from origin "
        f"{first['origin']:%Y-%m-%dT%H:%M}Z {what} {first[column]}; it must be {rule}; "
        "correct the stamps in mlops_assets/features/design.py"
    ]
