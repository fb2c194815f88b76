from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from mlops_assets.tables.candles import CANDLES, RAW_CANDLES
from mlops_assets.tables.channels import CHANNELS_LAYOUT
from mlops_assets.tables.layouts import layout_of
from mlops_assets.tables.raw import RawLayout, month_of_open
from mlops_assets.tables.values import VALUES_LAYOUT

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
    names = VALUES_LAYOUT.observations([("ndx", CANDLES), ("tv", CHANNELS_LAYOUT)]).names

    assert names[-6:] == (
        "ndx_value",
        "ndx_valid_time",
        "ndx_age_hours",
        "tv_value",
        "tv_valid_time",
        "tv_age_hours",
    )


def test_a_day_belongs_to_the_month_in_which_it_begins_on_its_own_clock() -> None:
    new_year = pl.DataFrame({"valid_time": [datetime(2024, 1, 1, 15, tzinfo=UTC)]})  # its end

    months = [
        new_year.select(month_of_open(timedelta(days=1), zone=zone)).item()
        for zone in ("Asia/Seoul", "UTC")
    ]

    assert months == ["2024-01", "2023-12"]


def test_a_kind_of_source_has_value_columns_of_its_own() -> None:
    assert layout_of("candles").value_names == ("open", "high", "low", "close", "volume")
    assert layout_of("values").value_names == ("value",)
    assert layout_of("channels").value_names == (
        *("subscribers", "views", "videos"),
        *("likes", "comments"),
    )


@pytest.mark.parametrize(
    "layout", [CANDLES, VALUES_LAYOUT, CHANNELS_LAYOUT], ids=lambda layout: layout.kind
)
def test_every_column_says_what_it_means(layout: RawLayout) -> None:
    observations = layout.observations([("vix", CANDLES)])
    for schema in (layout.fetched, layout.raw, layout.quarantine, observations):
        assert all(column.description for column in schema.columns)
        assert set(schema.key) <= set(schema.names)
