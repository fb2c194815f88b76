"""The rules of raw bars: what counts as faulty, how bad it is, and what becomes of the row.

Here: pure functions from frames to frames and findings. Not here: writing (`pull`), how findings
show as asset checks (`checks`), and the rule that a table fits its schema (`tables.schema`).

| rule | broken by | the row is | severity |
|---|---|---|---|
| `schema` | a stored column missing, of another type, or out of range | as stored | ERROR |
| `unique_keys` | two stored rows with one key | as stored | ERROR |
| `prices_present` | a price null, NaN, infinite or not above zero | set aside | ERROR |
| `not_later_than_fetch` | a bar that closes after it was fetched | set aside | ERROR |
| `ohlc_consistent` | high below, or low above, another price | set aside | ERROR |
| `plausible_range` | a price outside the YAML's range, a volume below zero | set aside | ERROR |
| `on_bar_grid` | a close off the grid of bars (target only) | set aside | ERROR |
| `no_conflicting_duplicates` | one bar twice in a pull, values differ | all set aside | ERROR |
| `no_repeated_rows` | one bar twice in a pull, values equal | kept once | WARN |
| `in_order` | a bar delivered after a later one | kept, sorted | WARN |
| `zero_volume` | no volume, or no range at all | kept | WARN |
| `gaps` | a bar missing between two others (markets that never close) | not filled | WARN |
| `recency` | the newest bar is too old | as stored | ERROR, in files WARN |

An exogenous source warns where the target stops: its rows are set aside all the same, and its
sickness shows as age.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal, NamedTuple

import polars as pl

from mlops_assets.ingestion.sessions import ALWAYS_OPEN
from mlops_assets.problem import Source
from mlops_assets.tables.candles import KEY, PRICES, QUARANTINE, RAW_CANDLES, VALUES, month_of_open

Severity = Literal["ERROR", "WARN"]


class Rule(StrEnum):
    """A rule of raw bars, by the name of its check."""

    SCHEMA = "schema"
    UNIQUE_KEYS = "unique_keys"
    PRICES_PRESENT = "prices_present"
    NOT_LATER_THAN_FETCH = "not_later_than_fetch"
    OHLC_CONSISTENT = "ohlc_consistent"
    PLAUSIBLE_RANGE = "plausible_range"
    ON_BAR_GRID = "on_bar_grid"
    NO_CONFLICTING_DUPLICATES = "no_conflicting_duplicates"
    NO_REPEATED_ROWS = "no_repeated_rows"
    IN_ORDER = "in_order"
    ZERO_VOLUME = "zero_volume"
    GAPS = "gaps"
    RECENCY = "recency"


WARNINGS: Final = frozenset({Rule.NO_REPEATED_ROWS, Rule.IN_ORDER, Rule.ZERO_VOLUME, Rule.GAPS})
"""Rules that never stop the target."""

_MISPLACED: Final = (str(Rule.NOT_LATER_THAN_FETCH), str(Rule.ON_BAR_GRID))
"""Rules about the time of a row: such a row fills no place in the series."""


_CORRECT: Final = "correct the bar at its source and materialise the asset again"
_PRICES_SHOWN: Final = pl.format(
    "open {} high {} low {} close {}",
    *(pl.col(price).cast(pl.String).fill_null("null") for price in PRICES),
)
_VALUES_SHOWN: Final = pl.format(
    "{}, volume {}", _PRICES_SHOWN, pl.col("volume").cast(pl.String).fill_null("none")
)


class _Detail(NamedTuple):
    """How a finding reads: what the bars did, the first one's values, and the remedy."""

    fault: str
    shown: pl.Expr
    remedy: str


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


def split(fetched: pl.DataFrame, source: Source) -> Split:
    """Set the faulty rows of one pull aside.

    A row gets the first reason that applies, in the order of the table above.

    Args:
        fetched: rows as delivered (schema `candles.FETCHED`).
        source: the source's YAML entry.

    Returns:
        `clean` (schema `RAW_CANDLES`, sorted by valid time, unique key) and `quarantined`
        (schema `QUARANTINE`).
    """
    bar, values = ["series", "valid_time", "known_at"], pl.struct(VALUES)
    judged = fetched.with_columns(
        month_of_open(source.period),
        reason=pl.coalesce(
            _first_row_fault(source),
            _reason(values.n_unique().over(bar) > 1, Rule.NO_CONFLICTING_DUPLICATES),
            _reason(pl.int_range(pl.len()).over([*bar, *VALUES]) > 0, Rule.NO_REPEATED_ROWS),
        ),
        out_of_order=pl.col("valid_time") < pl.col("valid_time").cum_max().over("pull"),
    )
    clean = judged.filter(pl.col("reason").is_null())
    set_aside = judged.filter(pl.col("reason").is_not_null()).with_columns(kept=pl.lit(False))
    unsorted = clean.filter("out_of_order").with_columns(
        reason=pl.lit(str(Rule.IN_ORDER)), kept=pl.lit(True)
    )
    return Split(
        clean=RAW_CANDLES.conform(clean.sort("valid_time", "known_at")),
        quarantined=QUARANTINE.conform(pl.concat([set_aside, unsorted])),
    )


def rules_of(source: Source) -> tuple[Rule, ...]:
    """The rules that apply to a source: only the target's bars must lie on the grid."""
    return tuple(r for r in Rule if r is not Rule.ON_BAR_GRID or source.role == "target")


def severity_of(rule: Rule, source: Source) -> Severity:
    """How bad a broken rule is: an exogenous source never stops the target."""
    return "WARN" if rule in WARNINGS or source.role == "exogenous" else "ERROR"


def evaluate(
    stored: pl.DataFrame, quarantined: pl.DataFrame, *, name: str, source: Source
) -> dict[Rule, Finding]:
    """Judge what was written: the raw table and the rows that were set aside.

    Every rule about rows is applied to the raw table again, whoever wrote it, and to that are
    added the rows whose recorded reason it is. `recency` needs the clock: `recency.judge`.

    Args:
        stored: the raw table (schema `RAW_CANDLES`).
        quarantined: the quarantine (schema `QUARANTINE`).
        name: the source's name, for the messages.
        source: its YAML entry.

    Returns:
        A finding for each rule of the source but `recency`, passed ones included.
    """
    details = _details(source)
    found: dict[Rule, Finding] = {Rule.SCHEMA: _schema(stored, name, source)}
    if not found[Rule.SCHEMA].passed:
        # Without its columns no other rule can be read off the table: judge the quarantine only.
        stored = RAW_CANDLES.empty()
    faulty = stored.with_columns(reason=_first_row_fault(source))
    faulty = faulty.filter(pl.col("reason").is_not_null())
    broken = pl.concat([quarantined, faulty], how="diagonal")
    for rule in rules_of(source):
        match rule:
            case Rule.SCHEMA | Rule.RECENCY:
                continue
            case Rule.UNIQUE_KEYS:
                rows = stored.filter(pl.struct(KEY).is_duplicated())
            case Rule.ZERO_VOLUME:
                rows = stored.filter(_is_idle(source))
            case Rule.GAPS:
                placed = quarantined.filter(~pl.col("reason").is_in(_MISPLACED))
                rows = missing_bars(pl.concat([stored, placed], how="diagonal"), source)
            case _:
                rows = broken.filter(reason=str(rule))
        found[rule] = _finding(rule, rows, details[rule], name=name, source=source)
    return found


def missing_bars(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """The closes (`valid_time`) of bars that are missing between the first and the last.

    Empty for a market that closes: which of its bars must exist is known only to the source.
    """
    present = rows.select("valid_time").unique()
    if source.calendar != ALWAYS_OPEN or present.is_empty():
        return present.clear()
    first, last = present["valid_time"].min(), present["valid_time"].max()
    expected = pl.select(
        valid_time=pl.datetime_range(pl.lit(first), pl.lit(last), interval=source.period)
    )
    return expected.join(present, on="valid_time", how="anti", maintain_order="left")


def _first_row_fault(source: Source) -> pl.Expr:
    """The first rule about single rows that a row breaks; null when it breaks none."""
    return pl.coalesce(_reason(fault, rule) for rule, fault in _row_faults(source).items())


def _reason(condition: pl.Expr, rule: Rule) -> pl.Expr:
    return pl.when(condition).then(pl.lit(str(rule)))


def _row_faults(source: Source) -> Mapping[Rule, pl.Expr]:
    """Rules that a row breaks by itself, in order of precedence; null counts as unbroken."""
    low, high = source.plausible
    prices = [pl.col(price) for price in PRICES]
    volume = pl.col("volume")
    faults = {
        Rule.PRICES_PRESENT: pl.any_horizontal(
            price.is_null() | ~price.is_finite() | (price <= 0) for price in prices
        ),
        Rule.NOT_LATER_THAN_FETCH: pl.col("valid_time") > pl.col("fetched_at"),
        Rule.OHLC_CONSISTENT: (pl.col("high") < pl.max_horizontal(PRICES))
        | (pl.col("low") > pl.min_horizontal(PRICES)),
        Rule.PLAUSIBLE_RANGE: pl.any_horizontal(~price.is_between(low, high) for price in prices)
        | (volume < 0)
        | ~volume.is_finite(),
    }
    if source.role == "target":
        offset = pl.col("valid_time").dt.epoch("us") % (source.period // timedelta(microseconds=1))
        faults[Rule.ON_BAR_GRID] = offset != 0
    return faults


def _is_idle(source: Source) -> pl.Expr:
    """A bar in which nothing happened: no volume (where there is one), or no range at all."""
    no_range = pl.col("high") == pl.col("low")
    return no_range | pl.col("volume").fill_null(0).eq(0) if source.has_volume else no_range


def _details(source: Source) -> dict[Rule, _Detail]:
    return {**_row_details(source), **_table_details()}


def _row_details(source: Source) -> dict[Rule, _Detail]:
    """The rules that a row breaks by itself."""
    low, high = source.plausible
    return {
        Rule.PRICES_PRESENT: _Detail(
            "with a price that is missing or not above zero",
            _PRICES_SHOWN,
            f"set aside; {_CORRECT}",
        ),
        Rule.NOT_LATER_THAN_FETCH: _Detail(
            "closing later than the fetch, a candle later than its fetch",
            pl.format("fetched at {}", _instant("fetched_at")),
            "set aside; no bar is known before it closes: check the file's clock and `timestamp`",
        ),
        Rule.OHLC_CONSISTENT: _Detail(
            "whose prices contradict", _contradiction(), f"set aside; {_CORRECT}"
        ),
        Rule.PLAUSIBLE_RANGE: _Detail(
            f"outside the plausible range [{low:g}, {high:g}] or with a volume below zero",
            _VALUES_SHOWN,
            f"set aside; {_CORRECT}, or widen `plausible`",
        ),
        Rule.ON_BAR_GRID: _Detail(
            f"closing off the grid of {source.period} bars",
            _PRICES_SHOWN,
            "set aside; check `timestamp` and `bar` of the source",
        ),
        Rule.ZERO_VOLUME: _Detail(
            "without volume or without any range",
            _VALUES_SHOWN,
            "kept; a halted market looks like this, otherwise compare with the source",
        ),
    }


def _table_details() -> dict[Rule, _Detail]:
    """The rules that need more than one row."""
    return {
        Rule.UNIQUE_KEYS: _Detail(
            "stored with a key (series, valid_time, known_at) that another row has",
            _VALUES_SHOWN,
            "a stored row is unique; delete the table and materialise all months again",
        ),
        Rule.NO_CONFLICTING_DUPLICATES: _Detail(
            "delivered several times with different values",
            _VALUES_SHOWN,
            f"all set aside, since no version is better than another; {_CORRECT}",
        ),
        Rule.NO_REPEATED_ROWS: _Detail(
            "delivered again with equal values",
            _PRICES_SHOWN,
            "kept once; remove the repetition at its source",
        ),
        Rule.IN_ORDER: _Detail(
            "delivered after a later bar", _PRICES_SHOWN, "kept and sorted; nothing to do"
        ),
        Rule.GAPS: _Detail(
            "missing between the first and the last",
            pl.lit("no row"),
            "not filled; add the bars to the source when they exist",
        ),
    }


def _contradiction() -> pl.Expr:
    """`high 100.0 below close 101.0`, for the first pair that contradicts."""
    high, low = pl.col("high"), pl.col("low")
    cases = [
        *((high < pl.col(p), pl.format(f"high {{}} below {p} {{}}", high, p)) for p in PRICES),
        *((low > pl.col(p), pl.format(f"low {{}} above {p} {{}}", low, p)) for p in PRICES),
    ]
    return pl.coalesce(pl.when(broken).then(text) for broken, text in cases)


def _finding(
    rule: Rule,
    rows: pl.DataFrame,
    detail: _Detail,
    *,
    name: str,
    source: Source,
) -> Finding:
    fault, shown, remedy = detail
    count, severity = len(rows), severity_of(rule, source)
    if not count:
        return Finding(rule, severity, 0, f"{name}: no bar {fault}", rows)
    first = rows.sort("valid_time", maintain_order=True).head(1)
    closing = first.select(_instant("valid_time")).item()
    value = first.select(shown).item()
    file = first["pull"][0] if "pull" in first.columns and first["pull"][0] else None
    place = f", from {file}" if file else ""
    bars = "1 bar" if count == 1 else f"{count} bars"
    message = f"{name}: {bars} {fault} (first: bar closing {closing}, {value}{place}); {remedy}"
    return Finding(rule, severity, count, message, rows.head(10))


def _schema(stored: pl.DataFrame, name: str, source: Source) -> Finding:
    violations = RAW_CANDLES.violations(stored)
    message = f"{name}: columns and types of {RAW_CANDLES.name}"
    if violations:
        message = (
            f"{name}: {'; '.join(violations[:3])}; the raw table has the columns "
            f"{', '.join(RAW_CANDLES.names)}; delete the table and materialise all months again"
        )
    severity = severity_of(Rule.SCHEMA, source)
    return Finding(Rule.SCHEMA, severity, len(violations), message, stored.clear())


def _instant(column: str) -> pl.Expr:
    return pl.col(column).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
