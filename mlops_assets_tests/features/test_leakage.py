"""Planted leaks are found and named: column, origin, what is stored and what was knowable."""

from __future__ import annotations

from datetime import datetime
from functools import wraps

import polars as pl
import pytest

from mlops_assets.features.bars import Bars
from mlops_assets.features.builders import BUILDERS, Columns
from mlops_assets.features.feature_set import compute_features
from mlops_assets.features.leakage import Leak, find_leaks, known_at, probe_origins
from mlops_assets_tests.features.series import (
    EVERY_KIND,
    HOUR,
    at,
    corrected,
    group,
    late,
    observed,
    price_bars,
    small_problem,
)

COUNT = 200
PROBLEM = small_problem(*EVERY_KIND)
PROBES = [at(40), at(101), at(150), at(COUNT - 1)]


@pytest.fixture(scope="module")
def observations() -> pl.DataFrame:
    """Bars of which two are corrected later and one comes late."""
    plain = observed(price_bars(COUNT, missing=(50, 51)))
    return late(corrected(plain, [70, 90], known_at=at(100)), [140], known_at=at(145))


@pytest.fixture(scope="module")
def features(observations: pl.DataFrame) -> pl.DataFrame:
    return compute_features(observations, PROBLEM)


def columns_of(leaks: list[Leak]) -> set[str]:
    return {leak.column for leak in leaks}


def replaced(
    table: pl.DataFrame, column: str, origin: datetime, value: object, *, dtype: pl.DataType
) -> pl.DataFrame:
    chosen = pl.when(pl.col("origin") == origin)
    return table.with_columns(
        chosen.then(pl.lit(value, dtype=dtype)).otherwise(column).alias(column)
    )


def test_an_honest_table_has_no_leak_through_corrections_and_late_values(
    features: pl.DataFrame, observations: pl.DataFrame
) -> None:
    origins = [*PROBES, at(99), at(100), at(141), at(145)]

    assert find_leaks(features, observations, PROBLEM, origins=origins) == []


@pytest.mark.parametrize("kind", ["close_location", "scaled_return"])
def test_a_builder_that_looks_one_hour_ahead_is_caught(
    kind: str, observations: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = BUILDERS[kind]

    @wraps(honest)  # the parameters of a kind are read from its signature
    def peeking(bars: Bars, source: str, **params: object) -> Columns:
        shifted = {}
        for name, column in honest(bars, source, **params).items():
            shifted[name] = column.copy()
            shifted[name][:-1] = column[1:]
        return shifted

    monkeypatch.setitem(BUILDERS, kind, peeking)
    stored = compute_features(observations, PROBLEM)

    leaks = find_leaks(stored, observations, PROBLEM, origins=PROBES)

    assert columns_of(leaks) == {c for c in stored.columns if c.startswith(f"coin_{kind}")}
    assert {leak.origin for leak in leaks} == set(PROBES[:-1])  # the newest has no future to see


def test_a_stored_column_shifted_by_one_hour_is_caught_at_every_origin(
    features: pl.DataFrame, observations: pl.DataFrame
) -> None:
    stored = features.with_columns(pl.col("coin_log_volatility_lag_1").shift(-1))

    leaks = find_leaks(stored, observations, PROBLEM, origins=PROBES)

    assert [(leak.column, leak.origin) for leak in leaks] == [
        ("coin_log_volatility_lag_1", origin) for origin in PROBES
    ]


def test_the_smallest_difference_counts(features: pl.DataFrame, observations: pl.DataFrame) -> None:
    nearly = pl.col("coin_close_location") * (1 + 2**-52)

    leaks = find_leaks(features.with_columns(nearly), observations, PROBLEM, origins=PROBES[:1])

    assert columns_of(leaks) == {"coin_close_location"}


def test_a_leak_says_column_origin_stored_and_knowable_value(
    features: pl.DataFrame, observations: pl.DataFrame
) -> None:
    stored = replaced(features, "coin_close_location", at(40), 0.25, dtype=pl.Float64())

    (leak,) = find_leaks(stored, observations, PROBLEM, origins=[at(40)])

    honest = features.filter(pl.col("origin") == at(40))["coin_close_location"][0]
    assert str(leak) == (
        "coin_close_location at origin 2024-03-02T16:00Z is 0.25; from what was known then it is "
        f"{honest!r}"
    )


def test_a_value_where_nothing_was_knowable_is_a_leak_and_so_is_a_missing_one(
    features: pl.DataFrame, observations: pl.DataFrame
) -> None:
    filled = features.with_columns(pl.col("ndx_log_level").fill_null(6.2))
    emptied = replaced(features, "ndx_log_level", at(40), None, dtype=pl.Float64())

    unknown = [at(44)]  # every fifth value of ndx is too old
    assert columns_of(find_leaks(filled, observations, PROBLEM, origins=unknown)) == {
        "ndx_log_level"
    }
    assert columns_of(find_leaks(emptied, observations, PROBLEM, origins=[at(40)])) == {
        "ndx_log_level"
    }


def test_a_last_value_corrected_after_the_origin_is_caught(
    features: pl.DataFrame, observations: pl.DataFrame
) -> None:
    current = observations.filter(pl.col("superseded_at").is_null())
    stored = features.drop("last_value").join(
        current.select(last_observed="valid_time", last_value="close"), on="last_observed"
    )

    leaks = find_leaks(
        stored.select(features.columns), observations, PROBLEM, origins=[at(69), at(70)]
    )

    assert [(leak.column, leak.origin) for leak in leaks] == [("last_value", at(70))]


def test_a_newest_known_at_after_its_origin_is_a_leak(
    features: pl.DataFrame, observations: pl.DataFrame
) -> None:
    instant = pl.Datetime("us", "UTC")
    stored = replaced(features, "max_known_at", at(40), at(41), dtype=instant)

    assert columns_of(find_leaks(stored, observations, PROBLEM, origins=PROBES)) == {"max_known_at"}


def test_an_origin_at_which_nothing_became_known_is_a_leak(
    features: pl.DataFrame, observations: pl.DataFrame
) -> None:
    half_past = at(40) + HOUR / 2
    moved = pl.when(pl.col("origin") == at(40)).then(pl.lit(half_past)).otherwise("origin")
    stored = features.with_columns(moved.alias("origin"))

    leaks = find_leaks(stored, observations, PROBLEM, origins=[half_past])

    assert [(leak.column, leak.stored, leak.knowable) for leak in leaks] == [("origin", 1.0, 0.0)]


def test_the_past_as_it_was_known_hides_later_rows_and_later_corrections(
    observations: pl.DataFrame,
) -> None:
    then = known_at(observations, at(99))

    assert then["known_at"].max() == at(99)
    assert then["superseded_at"].null_count() == len(then)
    assert then["valid_time"].is_duplicated().sum() == 0
    at_the_correction = known_at(observations, at(100))
    ended = at_the_correction.filter(pl.col("superseded_at").is_not_null())
    assert ended["valid_time"].to_list() == [at(70), at(90)]


def test_probes_are_spread_over_the_table_and_include_its_newest_origin(
    features: pl.DataFrame,
) -> None:
    probes = probe_origins(features, count=4)

    assert len(probes) == 4
    assert probes == sorted(probes)
    assert probes[-1] == at(COUNT - 1)
    assert probes[0] == features["origin"][len(features) // 10]
    assert probe_origins(features[:1], count=4) == [at(0)]


def test_a_leak_of_one_feature_leaves_the_others_in_peace(observations: pl.DataFrame) -> None:
    problem = small_problem(group("lagged_return", lags=[0]), group("close_location"))
    stored = compute_features(observations, problem)
    peeking = stored.with_columns(pl.col("coin_log_return_lag_0").shift(-1))

    leaks = find_leaks(peeking, observations, problem, origins=[at(150)])

    assert columns_of(leaks) == {"coin_log_return_lag_0"}
