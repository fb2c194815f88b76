from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from mlops_assets.ingestion.periods import missing_periods
from mlops_assets.ingestion.quality import (
    Rule,
    evaluate,
    rules_of,
    split,
)
from mlops_assets.problem import Source
from mlops_assets.tables.candles import QUARANTINE, RAW_CANDLES
from mlops_assets_tests.ingestion.market import HOUR, at, exogenous, fetched, source

CLEAN = fetched((at(1), 100.0), (at(2), 101.0), (at(3), 102.0))
SECOND = pl.col("valid_time") == at(2)


def with_second(**values: float | datetime | None) -> pl.DataFrame:
    """The clean rows with other values in the second one."""
    return CLEAN.with_columns(
        pl.when(SECOND).then(pl.lit(value, dtype=CLEAN.schema[name])).otherwise(name).alias(name)
        for name, value in values.items()
    )


def reasons(frame: pl.DataFrame, origin: Source | None = None) -> list[tuple[object, ...]]:
    parts = split(frame, origin or source())
    return parts.quarantined.select("valid_time", "reason", "kept").rows()


def test_clean_rows_pass_through_sorted_and_in_their_schema() -> None:
    parts = split(CLEAN, source())

    assert parts.quarantined.is_empty()
    assert RAW_CANDLES.violations(parts.clean) == []
    assert parts.clean["close"].to_list() == [100.0, 101.0, 102.0]
    assert parts.clean["month"].to_list() == ["2025-05"] * 3


def test_a_pull_without_rows_is_clean() -> None:
    parts = split(CLEAN.clear(), source())

    assert parts.clean.schema == RAW_CANDLES.empty().schema
    assert parts.quarantined.schema == QUARANTINE.empty().schema


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (with_second(close=None), Rule.PRICES_PRESENT),
        (with_second(open=float("nan")), Rule.PRICES_PRESENT),
        (with_second(high=float("inf")), Rule.PRICES_PRESENT),
        (with_second(low=0.0), Rule.PRICES_PRESENT),
        (with_second(low=-5.0), Rule.PRICES_PRESENT),
        (with_second(high=100.9), Rule.OHLC_CONSISTENT),
        (with_second(low=101.1), Rule.OHLC_CONSISTENT),
        (with_second(high=100.0, low=102.0), Rule.OHLC_CONSISTENT),
        (with_second(high=1000.5), Rule.PLAUSIBLE_RANGE),
        (with_second(low=0.5), Rule.PLAUSIBLE_RANGE),
        (with_second(volume=-1.0), Rule.PLAUSIBLE_RANGE),
        (with_second(volume=float("nan")), Rule.PLAUSIBLE_RANGE),
        (with_second(fetched_at=at(1.99)), Rule.NOT_LATER_THAN_FETCH),
    ],
)
def test_a_faulty_row_is_set_aside_under_its_rule(fault: pl.DataFrame, rule: Rule) -> None:
    parts = split(fault, source())

    assert reasons(fault) == [(at(2), rule, False)]
    assert parts.clean["valid_time"].to_list() == [at(1), at(3)]


@pytest.mark.parametrize(
    "allowed",
    [
        with_second(high=1000.0, low=1.0),
        with_second(volume=None),
        with_second(volume=0.0),
        with_second(fetched_at=at(2)),
        with_second(high=101.0, low=101.0),
    ],
    ids=["bounds", "no volume", "zero volume", "fetched at its close", "no range"],
)
def test_what_is_unusual_and_possible_is_kept(allowed: pl.DataFrame) -> None:
    assert reasons(allowed) == []


def test_a_bar_off_the_grid_is_a_fault_of_the_target_only() -> None:
    half_past = fetched((at(1.5), 100.0))

    assert reasons(half_past) == [(at(1.5), Rule.ON_BAR_GRID, False)]
    assert reasons(half_past, exogenous()) == []
    assert Rule.ON_BAR_GRID not in rules_of(exogenous())


def test_a_repeated_row_is_kept_once() -> None:
    parts = split(pl.concat([CLEAN, CLEAN.filter(SECOND)]), source())

    assert parts.clean["valid_time"].to_list() == [at(1), at(2), at(3)]
    assert parts.quarantined["reason"].to_list() == [Rule.NO_REPEATED_ROWS]


def test_of_a_conflicting_duplicate_no_version_is_kept() -> None:
    frame = pl.concat([CLEAN, fetched((at(2), 109.0))])

    assert reasons(frame) == [(at(2), Rule.NO_CONFLICTING_DUPLICATES, False)] * 2
    assert split(frame, source()).clean["valid_time"].to_list() == [at(1), at(3)]


def test_a_later_version_is_no_duplicate() -> None:
    frame = pl.concat([CLEAN, fetched((at(2), 109.0), known_at=at(9), pull="two.csv")])

    assert reasons(frame) == []


def test_a_row_delivered_late_is_kept_in_its_place_and_recorded() -> None:
    frame = fetched((at(1), 100.0), (at(3), 102.0), (at(2), 101.0))

    assert reasons(frame) == [(at(2), Rule.IN_ORDER, True)]
    assert split(frame, source()).clean["valid_time"].to_list() == [at(1), at(2), at(3)]


def test_order_is_judged_within_one_file() -> None:
    frame = pl.concat([CLEAN, fetched((at(2), 109.0), known_at=at(9), pull="two.csv")])

    assert split(frame, source()).quarantined.is_empty()


def evaluated(frame: pl.DataFrame, origin: Source | None = None) -> dict[Rule, tuple[int, str]]:
    """Count and message of each broken rule, after the rows were split."""
    origin = origin or source()
    parts = split(frame, origin)
    found = evaluate(parts.clean, parts.quarantined, name="btc", source=origin)
    return {rule: (f.count, f.message) for rule, f in found.items() if not f.passed}


def test_clean_tables_break_no_rule_and_every_rule_answers() -> None:
    parts = split(CLEAN, source())
    found = evaluate(parts.clean, parts.quarantined, name="btc", source=source())

    assert set(found) == set(rules_of(source())) - {Rule.RECENCY}
    assert all(finding.passed for finding in found.values())


def test_a_message_gives_value_rule_place_and_remedy() -> None:
    [(rule, (count, message))] = evaluated(with_second(high=100.0)).items()

    assert (rule, count) == (Rule.OHLC_CONSISTENT, 1)
    assert message == (
        "btc: 1 bar whose prices contradict (first: bar closing 2025-05-01T02:00:00Z, high 100.0 "
        "below open 101.0, from one.csv); set aside; correct the bar at its source and "
        "materialise the asset again"
    )


def test_a_missing_price_shows_as_null_and_the_rest_of_the_bar_as_it_is() -> None:
    [(_, (_, message))] = evaluated(with_second(close=None)).items()

    assert "open 101.0 high 101.5 low 100.5 close null" in message


def test_a_missing_hour_is_counted_with_the_first_one() -> None:
    frame = fetched((at(1), 100.0), (at(2), 101.0), (at(5), 102.0), (at(7), 102.0))

    [(rule, (count, message))] = evaluated(frame).items()

    assert (rule, count) == (Rule.GAPS, 3)
    assert "bar closing 2025-05-01T03:00:00Z" in message


def test_a_bar_that_was_set_aside_is_no_gap_of_the_source() -> None:
    assert set(evaluated(with_second(close=None))) == {Rule.PRICES_PRESENT}


def test_a_bar_from_the_far_future_makes_no_gap() -> None:
    future = fetched((at(9), 100.0), fetched_at=at(4))

    assert set(evaluated(pl.concat([CLEAN, future]))) == {Rule.NOT_LATER_THAN_FETCH}


def test_markets_that_close_have_no_gaps() -> None:
    frame = fetched((at(1), 100.0), (at(9), 101.0))

    assert missing_periods(frame, exogenous(calendar="XNYS")).is_empty()
    assert len(missing_periods(frame, source())) == 7


@pytest.mark.parametrize(
    ("frame", "origin", "count"),
    [
        (with_second(volume=0.0), source(), 1),
        (with_second(volume=None), source(), 1),
        (with_second(high=101.0, low=101.0), source(), 1),
        (with_second(volume=None), source(has_volume=False), 0),
    ],
    ids=["zero", "missing", "no range", "source without volume"],
)
def test_an_idle_bar_is_kept_and_counted(frame: pl.DataFrame, origin: Source, count: int) -> None:
    found = evaluated(frame, origin)

    assert found.get(Rule.ZERO_VOLUME, (0, ""))[0] == count


def test_a_fault_that_got_into_the_raw_table_is_found_there() -> None:
    stored = split(CLEAN, source()).clean.with_columns(high=pl.lit(1.0))

    found = evaluate(stored, QUARANTINE.empty(), name="btc", source=source())

    assert found[Rule.OHLC_CONSISTENT].count == 3


def test_two_stored_rows_with_one_key_are_found() -> None:
    stored = split(CLEAN, source()).clean
    twice = pl.concat([stored, stored.head(1)])

    found = evaluate(twice, QUARANTINE.empty(), name="btc", source=source())

    assert found[Rule.UNIQUE_KEYS].count == 2
    assert found[Rule.UNIQUE_KEYS].severity == "ERROR"


def test_a_table_of_another_shape_breaks_the_schema_and_nothing_else_can_be_said() -> None:
    stored = split(CLEAN, source()).clean.drop("close")

    found = evaluate(stored, QUARANTINE.empty(), name="btc", source=source())

    assert [rule for rule, finding in found.items() if not finding.passed] == [Rule.SCHEMA]
    assert "close" in found[Rule.SCHEMA].message


def test_an_exogenous_source_warns_where_the_target_stops() -> None:
    fault = with_second(high=100.0)
    for origin, severity in ((source(), "ERROR"), (exogenous(), "WARN")):
        parts = split(fault, origin)
        found = evaluate(parts.clean, parts.quarantined, name="x", source=origin)

        assert found[Rule.OHLC_CONSISTENT].severity == severity
        assert len(parts.clean) == 2


def test_gaps_and_idle_bars_never_stop_the_target() -> None:
    found = evaluate(RAW_CANDLES.empty(), QUARANTINE.empty(), name="btc", source=source())

    warnings = {rule for rule, finding in found.items() if finding.severity == "WARN"}
    assert warnings == {Rule.GAPS, Rule.ZERO_VOLUME, Rule.IN_ORDER, Rule.NO_REPEATED_ROWS}


def test_bars_of_another_length_have_a_grid_of_their_own() -> None:
    quarter = source(period=timedelta(minutes=15))

    assert reasons(fetched((at(1.25), 100.0)), quarter) == []
    assert reasons(fetched((at(1.1), 100.0)), quarter) == [(at(1.1), Rule.ON_BAR_GRID, False)]
    assert HOUR % quarter.period == timedelta(0)
