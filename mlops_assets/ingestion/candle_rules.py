"""The rules of bars.

Here: what counts as faulty and how it is told. Not here: what becomes of the row (`quality`).

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
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from mlops_assets.ingestion.periods import missing_periods
from mlops_assets.ingestion.rulebook import (
    CORRECT,
    Detail,
    Rule,
    RuleBook,
    instant,
    later_than_fetch,
    only_for_targets,
    shared_details,
)
from mlops_assets.problem import CandleSource
from mlops_assets.tables.candles import PRICES

_MEANINGS: Final[dict[Rule, str]] = {
    Rule.SCHEMA: "The table has its columns, types and ranges.",
    Rule.UNIQUE_KEYS: "No two stored rows share (series, valid_time, known_at).",
    Rule.PRICES_PRESENT: "Every price is a number above zero.",
    Rule.NOT_LATER_THAN_FETCH: "No bar closes after it was fetched.",
    Rule.OHLC_CONSISTENT: "High is the highest and low the lowest price of its bar.",
    Rule.PLAUSIBLE_RANGE: "Prices lie in the range that the problem's YAML calls plausible.",
    Rule.ON_BAR_GRID: "Every close lies on the grid of bars.",
    Rule.NO_CONFLICTING_DUPLICATES: "No pull gives one bar two different values.",
    Rule.NO_REPEATED_ROWS: "No pull gives one bar twice.",
    Rule.IN_ORDER: "Bars are delivered in the order of time.",
    Rule.ZERO_VOLUME: "Every bar has volume and a range.",
    Rule.GAPS: "No bar is missing between two others.",
    Rule.RECENCY: "The newest bar is as recent as the trading calendar lets expect.",
}

_CORRECT: Final = CORRECT.format(row="bar")
_PRICES_SHOWN: Final = pl.format(
    "open {} high {} low {} close {}",
    *(pl.col(price).cast(pl.String).fill_null("null") for price in PRICES),
)
_VALUES_SHOWN: Final = pl.format(
    "{}, volume {}", _PRICES_SHOWN, pl.col("volume").cast(pl.String).fill_null("none")
)


def book(source: CandleSource) -> RuleBook:
    """The rules of a source of bars."""
    return RuleBook(
        rules=only_for_targets(tuple(_MEANINGS), source),
        meanings=_MEANINGS,
        row_faults=_row_faults(source),
        details=_details(source) | shared_details("bar", _VALUES_SHOWN, _PRICES_SHOWN),
        place=pl.format("bar closing {}", instant("valid_time")),
        table_rules={
            Rule.ZERO_VOLUME: lambda stored, _: stored.filter(_is_idle(source)),
            Rule.GAPS: lambda stored, aside: missing_periods(
                pl.concat([stored, aside], how="diagonal"), source
            ),
        },
    )


def _row_faults(source: CandleSource) -> dict[Rule, pl.Expr]:
    low, high = source.plausible
    prices = [pl.col(price) for price in PRICES]
    volume = pl.col("volume")
    faults = {
        Rule.PRICES_PRESENT: pl.any_horizontal(
            price.is_null() | ~price.is_finite() | (price <= 0) for price in prices
        ),
        Rule.NOT_LATER_THAN_FETCH: later_than_fetch(),
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


def _is_idle(source: CandleSource) -> pl.Expr:
    """A bar in which nothing happened: no volume (where there is one), or no range at all."""
    no_range = pl.col("high") == pl.col("low")
    return no_range | pl.col("volume").fill_null(0).eq(0) if source.has_volume else no_range


def _details(source: CandleSource) -> dict[Rule, Detail]:
    low, high = source.plausible
    return {
        Rule.PRICES_PRESENT: Detail(
            "with a price that is missing or not above zero",
            _PRICES_SHOWN,
            f"set aside; {_CORRECT}",
        ),
        Rule.NOT_LATER_THAN_FETCH: Detail(
            "closing later than the fetch, a candle later than its fetch",
            pl.format("fetched at {}", instant("fetched_at")),
            "set aside; no bar is known before it closes: check the file's clock and `timestamp`",
        ),
        Rule.OHLC_CONSISTENT: Detail(
            "whose prices contradict", _contradiction(), f"set aside; {_CORRECT}"
        ),
        Rule.PLAUSIBLE_RANGE: Detail(
            f"outside the plausible range [{low:g}, {high:g}] or with a volume below zero",
            _VALUES_SHOWN,
            f"set aside; {_CORRECT}, or widen `plausible`",
        ),
        Rule.ON_BAR_GRID: Detail(
            f"closing off the grid of {source.period} bars",
            _PRICES_SHOWN,
            "set aside; check `timestamp` and `period` of the source",
        ),
        Rule.ZERO_VOLUME: Detail(
            "without volume or without any range",
            _VALUES_SHOWN,
            "kept; a halted market looks like this, otherwise compare with the source",
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
