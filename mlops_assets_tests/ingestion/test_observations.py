from __future__ import annotations

import random
from datetime import datetime, timedelta

import polars as pl
import pytest

from mlops_assets.ingestion.observations import judge, observe, schema_of
from mlops_assets.tables.candles import RAW_CANDLES
from mlops_assets_tests.ingestion.market import HOUR, MAY, at, exogenous, problem, raw, source

Version = tuple[datetime, datetime, float]
"""Valid time, known at, close."""

LATER = at(0, day=30)
VIX = exogenous(start=MAY - timedelta(days=30), has_volume=False)
ONE = problem(btc=source(), vix=VIX)


def observed(
    target: pl.DataFrame, vix: pl.DataFrame, *, as_of: datetime = LATER
) -> list[dict[str, object]]:
    return observe(target, {"vix": vix}, ONE, as_of).to_dicts()


def told(rows: list[dict[str, object]]) -> list[tuple[object, object, object]]:
    return [(row["vix_value"], row["vix_valid_time"], row["vix_age_hours"]) for row in rows]


def test_a_row_carries_the_newest_value_known_with_it_and_its_age() -> None:
    vix = raw((at(8 + 10 / 60), 20.0), (at(9 + 10 / 60), 21.0), series="vix")

    rows = observed(raw((at(9), 100.0), (at(10), 101.0)), vix)

    assert told(rows) == [
        (20.0, at(8 + 10 / 60), pytest.approx(50 / 60)),
        (21.0, at(9 + 10 / 60), pytest.approx(50 / 60)),
    ]


def test_bars_at_half_past_are_half_an_hour_old() -> None:
    rows = observed(raw((at(10), 100.0)), raw((at(9.5), 20.0), (at(10.5), 99.0), series="vix"))

    assert told(rows) == [(20.0, at(9.5), 0.5)]


def test_a_value_known_at_the_very_instant_is_used() -> None:
    assert told(observed(raw((at(10), 100.0)), raw((at(10), 20.0)))) == [(20.0, at(10), 0.0)]


def test_nothing_is_taken_from_the_future() -> None:
    rows = observed(raw((at(10), 100.0)), raw((at(10 + 1 / 3600), 20.0)))

    assert told(rows) == [(None, None, None)]


def test_a_value_published_late_is_not_used_before() -> None:
    vix = raw((at(9), 20.0), known_at=at(11))

    rows = observed(raw((at(10), 100.0), (at(11), 101.0)), vix)

    assert told(rows) == [(None, None, None), (20.0, at(9), 2.0)]


def test_past_its_maximum_age_a_value_is_null_and_its_age_stays() -> None:
    rows = observed(raw((at(10), 100.0), (at(11), 100.0)), raw((at(4), 20.0)))

    assert told(rows) == [(20.0, at(4), 6.0), (None, None, 7.0)]


def test_a_late_correction_of_an_old_bar_does_not_displace_a_newer_bar() -> None:
    vix = pl.concat([raw((at(8), 20.0), (at(9), 21.0)), raw((at(8), 99.0), known_at=at(9.5))])

    assert told(observed(raw((at(10), 100.0)), vix)) == [(21.0, at(9), 1.0)]


def test_a_correction_of_the_newest_bar_is_used_once_it_is_known() -> None:
    vix = pl.concat([raw((at(9), 21.0)), raw((at(9), 22.0), known_at=at(10.5))])

    rows = observed(raw((at(10), 100.0), (at(11), 100.0)), vix)

    assert told(rows) == [(21.0, at(9), 1.0), (22.0, at(9), 2.0)]


def test_a_corrected_bar_is_there_once_per_version_with_its_span() -> None:
    target = pl.concat([raw((at(1), 100.0), (at(2), 101.0)), raw((at(1), 105.0), known_at=at(9))])

    rows = observe(target, {}, ONE, LATER)

    assert rows.select("valid_time", "known_at", "superseded_at", "close").rows() == [
        (at(1), at(1), at(9), 100.0),
        (at(1), at(9), None, 105.0),
        (at(2), at(2), None, 101.0),
    ]


def test_before_a_correction_was_known_it_does_not_exist() -> None:
    target = pl.concat([raw((at(1), 100.0)), raw((at(1), 105.0), known_at=at(9))])

    rows = observe(target, {}, ONE, at(8))

    assert rows.select("known_at", "superseded_at", "close").rows() == [(at(1), None, 100.0)]


def test_rows_known_later_than_the_clock_are_invisible() -> None:
    target, vix = raw((at(1), 100.0), (at(2), 101.0)), raw((at(1), 20.0), (at(2), 21.0))

    rows = observed(target, vix, as_of=at(1))

    assert [row["valid_time"] for row in rows] == [at(1)]
    assert told(rows) == [(20.0, at(1), 0.0)]


def test_adding_the_future_changes_nothing_that_was_observed() -> None:
    target = raw(*((at(hour), 100.0 + hour) for hour in range(1, 48)))
    vix = raw(*((at(hour + 0.5), 20.0 + hour) for hour in range(48)))

    early = observe(target, {"vix": vix}, ONE, at(24))
    late = observe(target, {"vix": vix}, ONE, LATER)

    assert early.equals(late.filter(pl.col("known_at") <= at(24)))


def test_bars_before_the_source_starts_are_left_out() -> None:
    target = raw((at(0), 99.0), (at(1), 100.0))

    # The bar that closes at midnight of May 1 opens in April.
    assert observe(target, {}, ONE, LATER)["valid_time"].to_list() == [at(1)]


def test_a_source_without_rows_gives_nulls_and_stops_nothing() -> None:
    rows = observed(raw((at(1), 100.0)), RAW_CANDLES.empty())

    assert told(rows) == [(None, None, None)]


@pytest.mark.parametrize("seed", range(5))
def test_the_join_equals_a_search_through_all_rows(seed: int) -> None:
    draw = random.Random(seed)
    target = raw(*((at(hour), 100.0) for hour in range(1, 60)))
    versions = [
        raw((at(hour + 1 / 6), float(draw.randint(10, 90))), known_at=at(hour + draw.random() * 12))
        for hour in draw.sample(range(60), 30)
        for _ in range(draw.randint(1, 3))
    ]
    vix = pl.concat(versions)
    versions_of_vix = vix.select("valid_time", "known_at", "close").rows()

    rows = observe(target, {"vix": vix}, ONE, LATER).to_dicts()

    assert [row["vix_value"] for row in rows] == [
        _searched(versions_of_vix, row["known_at"]) for row in rows
    ]


def _searched(vix: list[Version], moment: datetime) -> float | None:
    """The close of the newest bar known at `moment`, in its newest version; None past 6 hours."""
    known = [version for version in vix if version[1] <= moment]
    if not known:
        return None
    valid_time, _, close = max(known)
    return close if moment - valid_time <= 6 * HOUR else None


def test_sound_observations_pass_every_check() -> None:
    rows = observe(raw((at(1), 100.0)), {"vix": raw((at(1), 20.0))}, ONE, LATER)

    assert [(f.name, f.passed) for f in judge(rows, ONE, now=LATER)] == [
        ("schema", True),
        ("unique_keys", True),
        ("as_known", True),
    ]


def test_a_row_known_after_the_clock_fails_as_known() -> None:
    rows = observe(raw((at(1), 100.0), (at(2), 100.0)), {}, ONE, LATER)

    failed = [finding for finding in judge(rows, ONE, now=at(1)) if not finding.passed]

    assert [finding.name for finding in failed] == ["as_known"]
    assert "1 rows were known only after the clock's 2025-05-01 01:00:00+00:00" in failed[0].message


def test_a_repeated_row_fails_unique_keys() -> None:
    rows = observe(raw((at(1), 100.0)), {}, ONE, LATER)

    failed = [f.name for f in judge(pl.concat([rows, rows]), ONE, now=LATER) if not f.passed]

    assert failed == ["unique_keys"]


def test_without_its_schema_a_table_passes_no_check() -> None:
    rows = observe(raw((at(1), 100.0)), {}, ONE, LATER).drop("known_at")

    assert not any(finding.passed for finding in judge(rows, ONE, now=LATER))


def test_the_schema_follows_the_sources_of_the_yaml() -> None:
    assert schema_of(ONE).names[-3:] == ("vix_value", "vix_valid_time", "vix_age_hours")
