from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from mlops_assets.ingestion.quality import Rule, evaluate, rules_of, severity_of, split
from mlops_assets.ingestion.value_rules import broken_totals
from mlops_assets.problem import ValueSource
from mlops_assets.tables.values import VALUES_LAYOUT
from mlops_assets_tests.ingestion.panels import (
    DAY,
    START,
    Shares,
    end_of,
    fetched,
    panel,
    raw,
    shares,
    single,
)

ONE = "게토레이/female/10대"
OTHER = "링티/female/10대"


def evaluated(frame: pl.DataFrame, origin: ValueSource | None = None) -> dict[Rule, str]:
    """The message of each broken rule, after the rows were split."""
    origin = origin or panel()
    parts = split(frame, origin)
    found = evaluate(parts.clean, parts.quarantined, name="search", source=origin)
    assert set(found) == set(rules_of(origin)) - {Rule.RECENCY}
    return {rule: finding.message for rule, finding in found.items() if not finding.passed}


def without(values: Shares, *series: str) -> Shares:
    return {name: value for name, value in values.items() if name not in series}


def test_a_complete_panel_breaks_no_rule() -> None:
    frame = fetched({1: shares(), 2: shares(first=0.0), 3: shares(first=33.33)})

    assert evaluated(frame) == {}
    clean = split(frame, panel()).clean
    assert VALUES_LAYOUT.raw.violations(clean) == []
    assert clean["month"].unique().to_list() == ["2024-09"]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_no_number_is_set_aside(value: float | None) -> None:
    frame = fetched({1: shares(), 2: shares() | {ONE: value}})

    parts = split(frame, panel())

    assert parts.quarantined.select("series", "reason").rows() == [(ONE, Rule.VALUE_PRESENT)]
    assert len(parts.clean) == 15
    # The segment of the missing value is not summed, and the value was not forgotten.
    assert set(evaluated(frame)) == {Rule.VALUE_PRESENT}


def test_zero_and_one_hundred_are_shares_like_others() -> None:
    assert evaluated(fetched({1: shares(first=0.0), 2: shares(first=100.0)})) == {}


@pytest.mark.parametrize("value", [-0.01, 100.01])
def test_an_implausible_value_is_set_aside_and_told_with_its_place(value: float) -> None:
    messages = evaluated(fetched({25: shares() | {ONE: value}}))

    assert messages == {
        Rule.PLAUSIBLE_RANGE: "search: 1 value outside the plausible range [0, 100] (first: "
        f"게토레이/female/10대 of 2024-09-25, value {value}, from one.csv); set aside; correct the "
        "value at its source and materialise the asset again, or widen `plausible`"
    }


def test_a_day_that_had_not_ended_at_the_fetch_is_set_aside() -> None:
    frame = fetched({1: shares()}, fetched_at=end_of(1) - timedelta(seconds=1))

    assert set(evaluated(frame)) == {Rule.NOT_LATER_THAN_FETCH}


def test_the_grid_is_counted_from_the_start_of_the_source() -> None:
    in_utc_days = fetched({1: shares()}).with_columns(
        pl.col("valid_time") + timedelta(hours=9), known_at=pl.col("valid_time")
    )

    assert set(evaluated(fetched({1: shares()}))) == set()
    assert set(evaluated(in_utc_days)) == {Rule.ON_GRID}
    assert set(evaluated(in_utc_days, panel(start=START + timedelta(hours=9)))) == set()


def test_the_grid_of_weeks_begins_with_the_week_of_the_start() -> None:
    weeks = panel(period=7 * DAY)

    assert evaluated(fetched({7: shares(), 14: shares()}), weeks) == {}
    assert set(evaluated(fetched({7: shares(), 15: shares()}), weeks)) == {Rule.ON_GRID}


def test_an_exogenous_value_need_not_lie_on_the_grid() -> None:
    assert Rule.ON_GRID not in rules_of(single())


def test_conflicting_values_of_one_day_are_all_set_aside_and_equal_ones_kept_once() -> None:
    day = fetched({1: shares()})
    again = fetched({1: {ONE: 41.0, OTHER: 60.0}})

    parts = split(pl.concat([day, again]), panel())

    assert sorted(parts.quarantined.select("series", "reason").rows()) == [
        (ONE, Rule.NO_CONFLICTING_DUPLICATES),
        (ONE, Rule.NO_CONFLICTING_DUPLICATES),
        (OTHER, Rule.NO_REPEATED_ROWS),
    ]
    assert len(parts.clean) == 7


def test_order_is_judged_on_the_time_of_each_series_only() -> None:
    by_series = fetched({1: shares(), 2: shares()}).sort("series", maintain_order=True)
    backwards = fetched({2: shares(), 1: shares()})

    assert evaluated(by_series) == {}
    assert set(evaluated(backwards)) == {Rule.IN_ORDER}
    assert len(split(backwards, panel()).clean) == 16


def test_a_day_that_every_series_lacks_is_a_gap_of_each() -> None:
    messages = evaluated(fetched({1: shares(), 3: shares()}))

    assert set(messages) == {Rule.GAPS}
    assert messages[Rule.GAPS].startswith("search: 8 values missing between the first and the last")
    assert "게토레이/female/10대 of 2024-09-02, no row" in messages[Rule.GAPS]


def test_a_series_that_a_stored_day_lacks_makes_the_panel_incomplete() -> None:
    messages = evaluated(fetched({1: shares(), 2: without(shares(), ONE)}))

    assert messages == {
        Rule.COMPLETE: "search: 1 value missing from a period that other series have (first: "
        "게토레이/female/10대 of 2024-09-02, no row); not filled; a panel has every series or none:"
        " deliver the missing ones and materialise the asset again"
    }


def test_segments_that_were_never_delivered_are_missing_from_every_day() -> None:
    elderly = [name for name in shares() if name.endswith("60대 이상")]
    day = without(shares(), *elderly)

    messages = evaluated(fetched({1: day, 2: day}))

    assert set(messages) == {Rule.COMPLETE}
    assert messages[Rule.COMPLETE].startswith(
        "search: 8 values missing"
    )  # 2 brands x 2 genders x 2 days


@pytest.mark.parametrize(("total", "fits"), [(100.03, True), (99.97, True), (100.04, False)])
def test_a_segment_may_miss_its_total_by_the_tolerance(total: float, fits: bool) -> None:
    frame = fetched({1: shares() | {ONE: round(total - 60.0, 2)}})

    assert (Rule.SUMS_TO_TOTAL not in evaluated(frame)) == fits


def test_a_broken_total_is_told_with_its_segment_and_its_sum() -> None:
    messages = evaluated(fetched({25: shares() | {ONE: 39.5}}))

    assert messages == {
        Rule.SUMS_TO_TOTAL: "search: 1 segment whose values do not sum to 100 +- 0.03 (first: "
        "female/10대 of 2024-09-25, sum 99.5); kept; correct the values at their source, or "
        "`sums_to` in the problem's YAML"
    }


def test_totals_are_judged_on_the_newest_version_of_each_value() -> None:
    first = raw({1: shares()})
    half = raw({1: {ONE: 45.0}}).with_columns(known_at=pl.col("known_at") + DAY)
    whole = raw({1: {OTHER: 55.0}}).with_columns(known_at=pl.col("known_at") + DAY)

    assert broken_totals(pl.concat([first, half]), panel())["value"].to_list() == [105.0]
    assert broken_totals(pl.concat([first, half, whole]), panel()).is_empty()


def test_a_target_stops_where_an_exogenous_source_warns() -> None:
    broken = {rule for rule in rules_of(panel()) if severity_of(rule, panel()) == "ERROR"}

    assert {Rule.COMPLETE, Rule.SUMS_TO_TOTAL, Rule.VALUE_PRESENT, Rule.ON_GRID} <= broken
    assert broken.isdisjoint({Rule.GAPS, Rule.IN_ORDER, Rule.NO_REPEATED_ROWS})
    assert {severity_of(rule, single()) for rule in rules_of(single())} == {"WARN"}


def test_a_single_series_has_no_rule_of_panels() -> None:
    assert {Rule.COMPLETE, Rule.SUMS_TO_TOTAL}.isdisjoint(rules_of(single()))
