from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from mlops_assets.storage.io_manager import TableIOManager, column_schema
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.candles import RAW_CANDLES


@dg.asset(key=["p", "numbers"])
def numbers() -> pl.DataFrame:
    return pl.DataFrame({"n": [1, 2, 3]})


@dg.asset(key=["p", "total"], ins={"numbers": dg.AssetIn(["p", "numbers"])})
def total(numbers: pl.DataFrame) -> pl.DataFrame:
    return numbers.sum()


@dg.asset(key=["p", "text"])
def text() -> str:
    return "not a frame"


def test_a_frame_is_stored_under_its_asset_key_and_loaded_downstream(tmp_path: Path) -> None:
    manager = TableIOManager(root=str(tmp_path))

    result = dg.materialize([numbers, total], resources={"io_manager": manager})

    assert result.success
    assert TableStore(str(tmp_path)).read("p/total")["n"].to_list() == [6]
    [event] = result.asset_materializations_for_node("p__numbers")
    assert event.metadata["dagster/row_count"].value == 3
    assert event.metadata["table"].value == "p/numbers.parquet"


def test_what_is_no_frame_is_refused_by_name(tmp_path: Path) -> None:
    manager = TableIOManager(root=str(tmp_path))

    with pytest.raises(TypeError, match=r"p/text: the output is a str; .* polars\.DataFrame only"):
        dg.materialize([text], resources={"io_manager": manager})


def test_the_column_schema_shows_type_unit_and_meaning() -> None:
    columns = {column.name: column for column in column_schema(RAW_CANDLES).columns}

    assert list(columns) == list(RAW_CANDLES.names)
    assert columns["valid_time"].type == "Datetime[us, UTC]"
    assert columns["valid_time"].description == "close of the bar (UTC)"
    assert columns["volume"].constraints.nullable
    assert not columns["series"].constraints.nullable
