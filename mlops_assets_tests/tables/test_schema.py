from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from mlops_assets.tables.candles import (
    FETCHED,
    QUARANTINE,
    RAW_CANDLES,
    month_of_open,
    observations_schema,
)

FRAME = pl.DataFrame(
    {
        "series": ["btc"],
        "valid_time": [datetime(2025, 6, 1, tzinfo=UTC)],
        "known_at": [datetime(2025, 6, 1, tzinfo=UTC)],
        "fetched_at": [datetime(2025, 6, 2, tzinfo=UTC)],
        "assumed": [True],
        "open": [100.0],
        "high": [101.0],
        "low": [99.0],
        "close": [100.5],
        "volume": [None],
        "month": ["2025-05"],
    },
    schema=RAW_CANDLES.dtypes,
)


def test_a_frame_that_fits_has_no_violations() -> None:
    assert RAW_CANDLES.violations(FRAME) == []


def test_a_table_without_rows_fits_its_schema() -> None:
    assert RAW_CANDLES.violations(RAW_CANDLES.empty()) == []


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (FRAME.drop("close"), "close"),
        (FRAME.with_columns(surprise=1), "surprise"),
        (FRAME.with_columns(pl.col("close").cast(pl.Float32)), "close"),
        (FRAME.with_columns(pl.col("valid_time").dt.cast_time_unit("ms")), "valid_time"),
        (FRAME.with_columns(assumed=pl.lit(None, dtype=pl.Boolean)), "assumed"),
        (FRAME.with_columns(low=-1.0), "low"),
    ],
    ids=["missing", "unknown", "type", "time unit", "null", "out of range"],
)
def test_each_departure_from_the_schema_is_named(fault: pl.DataFrame, named: str) -> None:
    violations = RAW_CANDLES.violations(fault)

    assert len(violations) == 1
    assert named in violations[0]


def test_conforming_selects_orders_and_casts() -> None:
    shuffled = FRAME.select(reversed(FRAME.columns)).with_columns(
        pl.lit("x").alias("pull"), pl.col("open").cast(pl.Int64)
    )

    assert RAW_CANDLES.conform(shuffled).schema == FRAME.schema


def test_a_bar_belongs_to_the_month_in_which_it_opens() -> None:
    closes = pl.DataFrame(
        {
            "valid_time": [
                datetime(2025, 6, 1, 0, tzinfo=UTC),
                datetime(2025, 6, 1, 1, tzinfo=UTC),
                datetime(2025, 1, 1, 0, tzinfo=UTC),
            ]
        }
    )

    months = closes.select(month_of_open(timedelta(hours=1))).to_series().to_list()

    assert months == ["2025-05", "2025-06", "2024-12"]


def test_observations_have_three_columns_for_each_exogenous_source() -> None:
    names = observations_schema(["ndx", "vix"]).names

    assert names[-6:] == (
        "ndx_close",
        "ndx_valid_time",
        "ndx_age_hours",
        "vix_close",
        "vix_valid_time",
        "vix_age_hours",
    )


def test_every_column_says_what_it_means() -> None:
    for schema in (FETCHED, RAW_CANDLES, QUARANTINE, observations_schema(["vix"])):
        assert all(column.description for column in schema.columns)
        assert set(schema.key) <= set(schema.names)
