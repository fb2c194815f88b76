"""What becomes of faulty rows: set aside when they are pulled, found when tables are read back.

Here: pure functions from frames to frames and findings, the same for every kind of source. Not
here: the rules themselves (`candle_rules`, `value_rules`, `channel_rules`), writing (`pull`), how
findings show as asset checks (`checks`), and the rule that a table fits its schema
(`tables.schema`).

An exogenous source warns where the target stops: its rows are set aside all the same, and its
sickness shows as age.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from mlops_assets.ingestion import candle_rules, channel_rules, value_rules
from mlops_assets.ingestion.rulebook import MISPLACED, WARNINGS, Rule, RuleBook, Severity
from mlops_assets.ingestion.sources import span_of
from mlops_assets.problem import CandleSource, ChannelSource, Source, ValueSource
from mlops_assets.tables.layouts import layout_of
from mlops_assets.tables.raw import KEY, month_of_open

__all__ = [
    "WARNINGS",
    "Finding",
    "Rule",
    "Severity",
    "Split",
    "book_of",
    "evaluate",
    "rules_of",
    "severity_of",
    "split",
]


@dataclass(frozen=True)
class Finding:
    """What a rule found: `count` offences, the worst message, and some of the rows."""

    rule: Rule
    severity: Severity
    count: int
    message: str
    rows: pl.DataFrame

    @property
    def passed(self) -> bool:
        """Whether the rule holds."""
        return self.count == 0


@dataclass(frozen=True)
class Split:
    """The rows of a pull: `clean` for the raw table, `quarantined` with reason for the other."""

    clean: pl.DataFrame
    quarantined: pl.DataFrame


def book_of(source: Source) -> RuleBook:
    """The rules of a source, by its kind."""
    match source:
        case CandleSource():
            return candle_rules.book(source)
        case ValueSource():
            return value_rules.book(source)
        case ChannelSource():
            return channel_rules.book()


def rules_of(source: Source) -> tuple[Rule, ...]:
    """The rules that apply to a source, in the order of its checks."""
    return book_of(source).rules


def severity_of(rule: Rule, source: Source) -> Severity:
    """How bad a broken rule is: an exogenous source never stops the target."""
    return "WARN" if rule in WARNINGS or source.role == "exogenous" else "ERROR"


def split(fetched: pl.DataFrame, source: Source) -> Split:
    """Set the faulty rows of one pull aside.

    A row gets the first reason that applies, in the order of its kind's table.

    Args:
        fetched: rows as delivered (schema `fetched` of the kind's layout).
        source: the source's YAML entry.

    Returns:
        `clean` (schema `raw`, sorted by valid time, unique key) and `quarantined` (schema
        `quarantine`).
    """
    layout, rules = layout_of(source.kind), rules_of(source)
    values = layout.value_names
    judged = fetched.with_columns(
        month_of_open(span_of(source), zone=source.time_zone),
        reason=pl.coalesce(
            _first_row_fault(book_of(source)),
            _reason(pl.struct(values).n_unique().over(KEY) > 1, Rule.NO_CONFLICTING_DUPLICATES),
            _reason(pl.int_range(pl.len()).over([*KEY, *values]) > 0, Rule.NO_REPEATED_ROWS),
        ),
        # Within a series: a panel may be delivered series by series or period by period.
        out_of_order=pl.col("valid_time") < pl.col("valid_time").cum_max().over("pull", "series"),
    )
    clean = judged.filter(pl.col("reason").is_null())
    set_aside = judged.filter(pl.col("reason").is_not_null()).with_columns(kept=pl.lit(False))
    unsorted = clean.filter(pl.col("out_of_order") & (Rule.IN_ORDER in rules)).with_columns(
        reason=pl.lit(str(Rule.IN_ORDER)), kept=pl.lit(True)
    )
    return Split(
        clean=layout.raw.conform(clean.sort("valid_time", "known_at", "series")),
        quarantined=layout.quarantine.conform(pl.concat([set_aside, unsorted])),
    )


def evaluate(
    stored: pl.DataFrame, quarantined: pl.DataFrame, *, name: str, source: Source
) -> dict[Rule, Finding]:
    """Judge what was written: the raw table and the rows that were set aside.

    Every rule about rows is applied to the raw table again, whoever wrote it, and to that are
    added the rows whose recorded reason it is. `recency` needs the clock: `recency.judge`.

    Args:
        stored: the raw table (schema `raw` of the kind's layout).
        quarantined: the quarantine (schema `quarantine`).
        name: the source's name, for the messages.
        source: its YAML entry.

    Returns:
        A finding for each rule of the source but `recency`, passed ones included.
    """
    book = book_of(source)
    found: dict[Rule, Finding] = {Rule.SCHEMA: _schema(stored, name, source)}
    if not found[Rule.SCHEMA].passed:
        # Without its columns no other rule can be read off the table: judge the quarantine only.
        stored = layout_of(source.kind).raw.empty()
    faulty = stored.with_columns(reason=_first_row_fault(book))
    faulty = faulty.filter(pl.col("reason").is_not_null())
    broken = pl.concat([quarantined, faulty], how="diagonal")
    placed = quarantined.filter(~pl.col("reason").is_in(sorted(MISPLACED)))
    for rule in book.rules:
        if rule in {Rule.SCHEMA, Rule.RECENCY}:
            continue
        if rule is Rule.UNIQUE_KEYS:
            rows = stored.filter(pl.struct(KEY).is_duplicated())
        elif rule in book.table_rules:
            rows = book.table_rules[rule](stored, placed)
        else:
            rows = broken.filter(reason=str(rule))
        found[rule] = _finding(rule, rows, book, name=name, source=source)
    return found


def _first_row_fault(book: RuleBook) -> pl.Expr:
    """The first rule about single rows that a row breaks; null when it breaks none."""
    return pl.coalesce(_reason(fault, rule) for rule, fault in book.row_faults.items())


def _reason(condition: pl.Expr, rule: Rule) -> pl.Expr:
    return pl.when(condition).then(pl.lit(str(rule)))


def _finding(
    rule: Rule, rows: pl.DataFrame, book: RuleBook, *, name: str, source: Source
) -> Finding:
    detail = book.details[rule]
    row = detail.row or layout_of(source.kind).row
    count, severity = len(rows), severity_of(rule, source)
    if not count:
        return Finding(rule, severity, 0, f"{name}: no {row} {detail.fault}", rows)
    first = rows.sort("valid_time", maintain_order=True).head(1)
    where, value = first.select(book.place).item(), first.select(detail.shown).item()
    file = first["pull"][0] if "pull" in first.columns and first["pull"][0] else None
    place = f", from {file}" if file else ""
    counted = f"1 {row}" if count == 1 else f"{count} {row}s"
    message = f"{name}: {counted} {detail.fault} (first: {where}, {value}{place}); {detail.remedy}"
    return Finding(rule, severity, count, message, rows.head(10))


def _schema(stored: pl.DataFrame, name: str, source: Source) -> Finding:
    schema = layout_of(source.kind).raw
    violations = schema.violations(stored)
    message = f"{name}: columns and types of {schema.name}"
    if violations:
        message = (
            f"{name}: {'; '.join(violations[:3])}; the raw table has the columns "
            f"{', '.join(schema.names)}; delete the table and materialise all months again"
        )
    severity = severity_of(Rule.SCHEMA, source)
    return Finding(Rule.SCHEMA, severity, len(violations), message, stored.clear())
