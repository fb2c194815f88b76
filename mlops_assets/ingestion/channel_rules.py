"""The rules of channel counts; channels are never a target, so all of them only warn.

Here: what counts as faulty and how it is told. Not here: what becomes of the row (`quality`).

| rule | broken by | the row is |
|---|---|---|
| `schema` | a stored column missing, of another type, or below zero | as stored |
| `unique_keys` | two stored rows with one key | as stored |
| `counts_not_negative` | a count below zero, NaN or infinite; a hidden one is null | set aside |
| `not_later_than_fetch` | a snapshot later than its fetch | set aside |
| `no_conflicting_duplicates` | one snapshot of a series twice, counts differ | all set aside |
| `no_repeated_rows` | one snapshot of a series twice, counts equal | kept once |
| `recency` | the newest snapshot is too old | as stored |
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.ingestion.rulebook import (
    CORRECT,
    Detail,
    Rule,
    RuleBook,
    instant,
    later_than_fetch,
    shared_details,
)
from mlops_assets.tables.channels import CHANNELS_LAYOUT

_MEANINGS: Final[dict[Rule, str]] = {
    Rule.SCHEMA: "The table has its columns, types and ranges.",
    Rule.UNIQUE_KEYS: "No two stored rows share (series, valid_time, known_at).",
    Rule.COUNTS_NOT_NEGATIVE: "Every count is a number of zero or more, or hidden.",
    Rule.NOT_LATER_THAN_FETCH: "No snapshot is later than its fetch.",
    Rule.NO_CONFLICTING_DUPLICATES: "No pull gives one snapshot two different counts.",
    Rule.NO_REPEATED_ROWS: "No pull gives one snapshot twice.",
    Rule.RECENCY: "The newest snapshot is as recent as the source's period lets expect.",
}

_COUNTS: Final = CHANNELS_LAYOUT.value_names
_SHOWN: Final = pl.format(
    ", ".join(f"{name} {{}}" for name in _COUNTS),
    *(pl.col(name).cast(pl.String).fill_null("none") for name in _COUNTS),
)


def book() -> RuleBook:
    """The rules of a source of channels."""
    return RuleBook(
        rules=tuple(_MEANINGS),
        meanings=_MEANINGS,
        row_faults={
            Rule.COUNTS_NOT_NEGATIVE: pl.any_horizontal(
                (pl.col(name) < 0) | ~pl.col(name).is_finite() for name in _COUNTS
            ),
            Rule.NOT_LATER_THAN_FETCH: later_than_fetch(),
        },
        details=_details() | shared_details("snapshot", _SHOWN, _SHOWN),
        place=pl.format("{} at {}", "series", instant("valid_time")),
    )


def _details() -> dict[Rule, Detail]:
    return {
        Rule.COUNTS_NOT_NEGATIVE: Detail(
            "with a count below zero or no number",
            _SHOWN,
            f"set aside; {CORRECT.format(row='snapshot')}",
        ),
        Rule.NOT_LATER_THAN_FETCH: Detail(
            "later than the fetch",
            pl.format("fetched at {}", instant("fetched_at")),
            "set aside; check the file's clock and `time_zone`",
        ),
    }
