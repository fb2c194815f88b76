"""What a set of rules for one kind of source is made of.

Here: the names of all rules, how bad each is, and the parts of a `RuleBook`. Not here: the rules of
a kind (`candle_rules`, `value_rules`, `channel_rules`) and applying them (`quality`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

import polars as pl

from mlops_assets.problem import Source

Severity = Literal["ERROR", "WARN"]


class Rule(StrEnum):
    """A rule of raw rows, by the name of its check."""

    SCHEMA = "schema"
    UNIQUE_KEYS = "unique_keys"
    PRICES_PRESENT = "prices_present"
    VALUE_PRESENT = "value_present"
    COUNTS_NOT_NEGATIVE = "counts_not_negative"
    NOT_LATER_THAN_FETCH = "not_later_than_fetch"
    OHLC_CONSISTENT = "ohlc_consistent"
    PLAUSIBLE_RANGE = "plausible_range"
    ON_BAR_GRID = "on_bar_grid"
    ON_GRID = "on_grid"
    NO_CONFLICTING_DUPLICATES = "no_conflicting_duplicates"
    NO_REPEATED_ROWS = "no_repeated_rows"
    IN_ORDER = "in_order"
    ZERO_VOLUME = "zero_volume"
    GAPS = "gaps"
    COMPLETE = "complete"
    SUMS_TO_TOTAL = "sums_to_total"
    RECENCY = "recency"


WARNINGS: Final = frozenset({Rule.NO_REPEATED_ROWS, Rule.IN_ORDER, Rule.ZERO_VOLUME, Rule.GAPS})
"""Rules that never stop the target."""

MISPLACED: Final = frozenset({Rule.NOT_LATER_THAN_FETCH, Rule.ON_BAR_GRID, Rule.ON_GRID})
"""Rules about the time of a row: such a row fills no place in the series."""

CORRECT: Final = "correct the {row} at its source and materialise the asset again"
"""The remedy that most rules share."""

TableRule = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
"""(stored rows, delivered rows that were set aside but fill a place) -> what breaks the rule."""


@dataclass(frozen=True)
class Detail:
    """How a finding reads.

    Attributes:
        fault: what the rows did, after their number and name.
        shown: the values of the first one.
        remedy: what became of them and what to do.
        row: what is counted, where it is not the row of the layout.
    """

    fault: str
    shown: pl.Expr
    remedy: str
    row: str | None = None


@dataclass(frozen=True, kw_only=True)
class RuleBook:
    """The rules of one source.

    Attributes:
        rules: those that apply, in the order of the checks.
        meanings: what each of them promises.
        row_faults: what a row breaks by itself, in order of precedence; null counts as unbroken.
        details: how findings read; not needed for `schema` and `recency`.
        place: a row in words, such as `bar closing 2025-05-01T02:00:00Z`.
        table_rules: what only the stored table as a whole can break.
    """

    rules: tuple[Rule, ...]
    meanings: Mapping[Rule, str]
    row_faults: Mapping[Rule, pl.Expr]
    details: Mapping[Rule, Detail]
    place: pl.Expr
    table_rules: Mapping[Rule, TableRule] = field(default_factory=dict)


def later_than_fetch() -> pl.Expr:
    """Rows that are valid only after they were fetched."""
    return pl.col("valid_time") > pl.col("fetched_at")


def instant(column: str) -> pl.Expr:
    """An instant as text, in UTC to the second."""
    return pl.col(column).dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def shared_details(row: str, shown: pl.Expr, shown_short: pl.Expr) -> dict[Rule, Detail]:
    """How the rules read that every kind has.

    Args:
        row: what a row of the kind is called.
        shown: all values of a row.
        shown_short: its most important ones.
    """
    return {
        Rule.UNIQUE_KEYS: Detail(
            "stored with a key (series, valid_time, known_at) that another row has",
            shown,
            "a stored row is unique; delete the table and materialise all months again",
        ),
        Rule.NO_CONFLICTING_DUPLICATES: Detail(
            "delivered several times with different values",
            shown,
            f"all set aside, since no version is better than another; {CORRECT.format(row=row)}",
        ),
        Rule.NO_REPEATED_ROWS: Detail(
            "delivered again with equal values",
            shown_short,
            "kept once; remove the repetition at its source",
        ),
        Rule.IN_ORDER: Detail(
            f"delivered after a later {row}", shown_short, "kept and sorted; nothing to do"
        ),
        Rule.GAPS: Detail(
            "missing between the first and the last",
            pl.lit("no row"),
            f"not filled; add the {row}s to the source when they exist",
        ),
    }


def only_for_targets(rules: tuple[Rule, ...], source: Source) -> tuple[Rule, ...]:
    """Rules without those that only a target must keep: its rows must lie on the grid."""
    if source.role == "target":
        return rules
    return tuple(rule for rule in rules if rule not in {Rule.ON_BAR_GRID, Rule.ON_GRID})
