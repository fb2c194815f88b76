"""The rules of values: one number a period, of a single series or of a panel.

Here: what counts as faulty and how it is told. Not here: what becomes of the row (`quality`) and
which periods are missing (`periods`).

| rule | broken by | the row is | severity |
|---|---|---|---|
| `schema` | a stored column missing or of another type | as stored | ERROR |
| `unique_keys` | two stored rows with one key | as stored | ERROR |
| `value_present` | a value null, NaN or infinite | set aside | ERROR |
| `not_later_than_fetch` | a period that ends after it was fetched | set aside | ERROR |
| `plausible_range` | a value outside the YAML's range | set aside | ERROR |
| `on_grid` | a period off the grid counted from `start` (target only) | set aside | ERROR |
| `no_conflicting_duplicates` | one value twice in a pull, differing | all set aside | ERROR |
| `no_repeated_rows` | one value twice in a pull, equal | kept once | WARN |
| `in_order` | a value delivered after a later one of its series | kept, sorted | WARN |
| `gaps` | a period that a series lacks between two others | not filled | WARN |
| `complete` | a series without a value in a period that others have | not filled | ERROR |
| `sums_to_total` | a segment that does not sum to its total | kept | ERROR |
| `recency` | the newest value is too old | as stored | ERROR, in files WARN |

`complete` is for panels and `sums_to_total` for what has a total. A row that was set aside is not
missing: its own rule tells of it, and its segment is not summed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from mlops_assets.ingestion.periods import missing_periods, missing_series, panel_series
from mlops_assets.ingestion.rulebook import (
    CORRECT,
    Detail,
    Rule,
    RuleBook,
    TableRule,
    instant,
    later_than_fetch,
    only_for_targets,
    shared_details,
)
from mlops_assets.problem import Total, ValueSource
from mlops_assets.tables.raw import PERIOD

_MEANINGS: Final[dict[Rule, str]] = {
    Rule.SCHEMA: "The table has its columns and types.",
    Rule.UNIQUE_KEYS: "No two stored rows share (series, valid_time, known_at).",
    Rule.VALUE_PRESENT: "Every value is a number.",
    Rule.NOT_LATER_THAN_FETCH: "No period ends after its value was fetched.",
    Rule.PLAUSIBLE_RANGE: "Values lie in the range that the problem's YAML calls plausible.",
    Rule.ON_GRID: "Every period lies on the grid counted from the source's start.",
    Rule.NO_CONFLICTING_DUPLICATES: "No pull gives one period of a series two different values.",
    Rule.NO_REPEATED_ROWS: "No pull gives one period of a series twice.",
    Rule.IN_ORDER: "Values are delivered in the order of time.",
    Rule.GAPS: "No series lacks a period between two others.",
    Rule.COMPLETE: "Every series of the panel has a value in every period that is stored.",
    Rule.SUMS_TO_TOTAL: "The newest values of a segment sum to the total that the YAML names.",
    Rule.RECENCY: "The newest value is as recent as the source's calendar lets expect.",
}

_SHOWN: Final = pl.format("value {}", pl.col("value").cast(pl.String).fill_null("null"))
_CORRECT: Final = CORRECT.format(row="value")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ROUNDING: Final = 1e-9
"""What a sum of binary fractions may be off beyond the tolerance, which is written in decimals."""


def book(source: ValueSource) -> RuleBook:
    """The rules of a source of values."""
    return RuleBook(
        rules=_rules(source),
        meanings=_MEANINGS,
        row_faults=_row_faults(source),
        details=_details(source) | shared_details("value", _SHOWN, _SHOWN),
        place=_place(source),
        table_rules=_table_rules(source),
    )


def broken_totals(stored: pl.DataFrame, source: ValueSource) -> pl.DataFrame:
    """The segments whose newest values do not sum to the total, period by period.

    A period in which a series of the segment has no value is not judged.

    Args:
        stored: the raw table.
        source: its YAML entry; without `sums_to` nothing is broken.

    Returns:
        `series` (the segment), `valid_time` and `value` (the sum).
    """
    if source.sums_to is None:
        return stored.select(*PERIOD, "value").clear()
    names = panel_series(source)
    segments = pl.DataFrame(
        {"series": names, "segment": [source.segment_of(series) for series in names]}
    ).with_columns(members=pl.len().over("segment"))
    newest = stored.sort("known_at").unique(PERIOD, keep="last")
    sums = (
        newest.join(segments, on="series", how="inner", validate="m:1")
        .group_by("segment", "valid_time")
        .agg(pl.col("value").sum(), pl.col("members").first(), present=pl.len())
        .filter(pl.col("present") == pl.col("members"))
    )
    off = (pl.col("value") - source.sums_to.total).abs() > source.sums_to.tolerance + _ROUNDING
    broken = sums.filter(off).select(pl.col("segment").alias("series"), "valid_time", "value")
    return broken.sort("valid_time", "series")


def _rules(source: ValueSource) -> tuple[Rule, ...]:
    without = set()
    if not source.keys:
        without.add(Rule.COMPLETE)
    if source.sums_to is None:
        without.add(Rule.SUMS_TO_TOTAL)
    return only_for_targets(tuple(rule for rule in _MEANINGS if rule not in without), source)


def _row_faults(source: ValueSource) -> dict[Rule, pl.Expr]:
    low, high = source.plausible
    value = pl.col("value")
    faults = {
        Rule.VALUE_PRESENT: value.is_null() | ~value.is_finite(),
        Rule.NOT_LATER_THAN_FETCH: later_than_fetch(),
        Rule.PLAUSIBLE_RANGE: ~value.is_between(low, high),
    }
    if source.role == "target":
        since = pl.col("valid_time").dt.epoch("us") - _microseconds(source.start - _EPOCH)
        faults[Rule.ON_GRID] = since % _microseconds(source.period) != 0
    return faults


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _table_rules(source: ValueSource) -> dict[Rule, TableRule]:
    return {
        Rule.GAPS: lambda stored, aside: missing_periods(
            pl.concat([stored, aside], how="diagonal"), source
        ),
        Rule.COMPLETE: lambda stored, aside: missing_series(
            pl.concat([stored, aside], how="diagonal"), source
        ),
        Rule.SUMS_TO_TOTAL: lambda stored, _: broken_totals(stored, source),
    }


def _place(source: ValueSource) -> pl.Expr:
    """A row as `게토레이/female/10대 of 2024-09-25`: the series, and when its period opens."""
    whole_days = source.period % timedelta(days=1) == timedelta(0)
    opens = (pl.col("valid_time") - source.period).dt.convert_time_zone(source.time_zone)
    written = opens.dt.strftime("%Y-%m-%d" if whole_days else "%Y-%m-%dT%H:%M%:z")
    return pl.format("{} of {}", "series", written)


def _details(source: ValueSource) -> dict[Rule, Detail]:
    low, high = source.plausible
    return {
        Rule.VALUE_PRESENT: Detail("missing or no number", _SHOWN, f"set aside; {_CORRECT}"),
        Rule.NOT_LATER_THAN_FETCH: Detail(
            "of a period that ends later than the fetch",
            pl.format("fetched at {}", instant("fetched_at")),
            "set aside; no value is known before its period ends: check the file's clock and "
            "`timestamp`",
        ),
        Rule.PLAUSIBLE_RANGE: Detail(
            f"outside the plausible range [{low:g}, {high:g}]",
            _SHOWN,
            f"set aside; {_CORRECT}, or widen `plausible`",
        ),
        Rule.ON_GRID: Detail(
            f"off the grid of periods of {source.period} from {source.start.isoformat()}",
            _SHOWN,
            "set aside; check `start`, `timestamp` and `period` of the source, and the zone of "
            "its file",
        ),
        Rule.COMPLETE: Detail(
            "missing from a period that other series have",
            pl.lit("no row"),
            "not filled; a panel has every series or none: deliver the missing ones and "
            "materialise the asset again",
        ),
        Rule.SUMS_TO_TOTAL: _total_detail(source.sums_to),
    }


def _total_detail(sums_to: Total | None) -> Detail:
    total = "" if sums_to is None else f" {sums_to.total:g} +- {sums_to.tolerance:g}"
    return Detail(
        f"whose values do not sum to{total}",
        pl.format("sum {}", pl.col("value").round(4)),
        "kept; correct the values at their source, or `sums_to` in the problem's YAML",
        row="segment",
    )
