from __future__ import annotations

import io
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from serving.contract.prediction_log import Kind
from serving.domain_errors import SnapshotRefusedError
from serving.sorted_table import SortedTable, read_sorted

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
COLUMNS = {
    "series": Kind.TEXT,
    "origin": Kind.INSTANT,
    "step": Kind.WHOLE,
    "point": Kind.NUMBER,
    "champion": Kind.FLAG,
}
KEY = ("series", "origin", "step")


def row(series: str, hours: float, step: int = 1, **changes: object) -> dict[str, Any]:
    """A row with the origin so many hours after noon; the point is the hour."""
    fixed: dict[str, Any] = {"point": float(hours), "champion": hours > 0}
    return {"series": series, "origin": NOON + hours * HOUR, "step": step} | fixed | changes


def parquet(rows: list[dict[str, Any]], *, categorical: bool = False) -> bytes:
    """Rows as the bytes of a Parquet file."""
    frame = pl.DataFrame(rows, infer_schema_length=None)
    if categorical:
        frame = frame.with_columns(pl.col("series").cast(pl.Categorical))
    buffer = io.BytesIO()
    frame.write_parquet(buffer, row_group_size=2)
    return buffer.getvalue()


def table(*rows: dict[str, Any], categorical: bool = False, max_rows: int = 100) -> SortedTable:
    """A table of rows."""
    content = parquet(list(rows), categorical=categorical)
    return read_sorted("f.parquet", content, columns=COLUMNS, key=KEY, max_rows=max_rows)


SHUFFLED = (row("b", 1), row("a", 2), row("c", 0), row("a", 0, 2), row("a", 0, 1))


@pytest.mark.parametrize("categorical", [False, True])
def test_rows_are_held_in_the_order_of_their_key(categorical: bool) -> None:
    found = table(*SHUFFLED, categorical=categorical)

    assert [found.key_at(position)[::2] for position in range(found.rows)] == [
        ("a", 1),
        ("a", 2),
        ("a", 1),
        ("b", 1),
        ("c", 1),
    ]
    assert found.columns["point"].data.tolist() == [0.0, 0.0, 2.0, 1.0, 0.0]


def test_a_prefix_of_a_key_is_found_by_search_and_an_unknown_one_has_its_place() -> None:
    found = table(*SHUFFLED)

    assert found.span(("a",)) == slice(0, 3)
    assert found.span(("bb",)) == slice(4, 4)
    assert found.span(("z",)) == slice(5, 5)
    assert found.span(found.key_at(2)) == slice(2, 3)


def test_conditions_are_met_together_and_intervals_are_half_open() -> None:
    found = table(*(row(series, hour) for series in "ab" for hour in range(4)))

    def points(**conditions: Any) -> list[float]:  # noqa: ANN401 - whatever the method takes
        rows = found.among(conditions.pop("equal", {}), instant="origin", **conditions)
        values: list[float] = found.columns["point"].data[rows].tolist()
        return values

    assert points(equal={"series": "b"}) == [0, 1, 2, 3]
    assert points(since=NOON + HOUR, before=NOON + 3 * HOUR) == [1, 2, 1, 2]
    assert points(equal={"series": "a", "champion": True}, since=NOON) == [1, 2, 3]
    assert points(equal={"series": "b"}, start=6) == [2, 3]
    assert points(equal={"series": "a"}, start=6) == []
    assert points(equal={"series": "unknown"}) == []
    assert points(equal={"step": 1000}) == []


def test_rows_come_out_as_plain_values_with_null_for_what_is_no_number() -> None:
    found = table(row("a", 0, point=math.nan), row("a", 1, point=None), row("b", 2))

    assert found.records(np.array([0, 1, 2]), ("series", "origin", "point", "champion")) == [
        {"series": "a", "origin": "2026-03-02T12:00:00Z", "point": None, "champion": False},
        {"series": "a", "origin": "2026-03-02T13:00:00Z", "point": None, "champion": True},
        {"series": "b", "origin": "2026-03-02T14:00:00Z", "point": 2.0, "champion": True},
    ]


def test_an_instant_between_seconds_keeps_its_fraction() -> None:
    late = row("a", 0, origin=NOON + timedelta(microseconds=250))

    (record,) = table(late).records(np.array([0]), ("origin",))

    assert record == {"origin": "2026-03-02T12:00:00.000250Z"}


def test_a_text_that_is_no_part_of_the_key_may_be_absent() -> None:
    content = parquet([row("a", 0, note=None), row("a", 1, note="x"), row("a", 2, note="w")])
    found = read_sorted(
        "f.parquet", content, columns=COLUMNS, key=KEY, optional={"note": Kind.TEXT}, max_rows=9
    )

    assert found.columns["note"].values(np.arange(3)) == [None, "x", "w"]


def test_a_table_without_rows_is_a_table() -> None:
    frame = pl.DataFrame([row("a", 0)]).clear()
    buffer = io.BytesIO()
    frame.write_parquet(buffer)

    found = read_sorted("f", buffer.getvalue(), columns=COLUMNS, key=KEY, max_rows=9)

    assert found.rows == 0
    assert found.among({"series": "a"}, instant="origin").tolist() == []


def test_columns_are_held_in_their_narrowest_form() -> None:
    found = table(*(row("a", hour) for hour in range(10)))

    # One byte for each code and step, one for the flag, eight for each instant and number.
    assert found.size_bytes == 10 * (1 + 1 + 1 + 8 + 8)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row("a", 0), row("a", 0)], r"\(a, 2026-03-02T12:00:00Z, 1\) twice"),
        ([row("a", 0, origin=datetime(2026, 3, 2))], "column origin is .*of kind instant"),  # noqa: DTZ001
        ([row("a", 0, origin=None), row("a", 1)], "column origin is .*with 1 nulls"),
        ([row("a", 0, point="many")], "column point is .*of kind number"),
        ([row("a", 0) | {"step": None}, row("b", 1)], "column step is .*of kind whole"),
        ([row("a", 0, champion=None), row("b", 1)], "column champion is .*of kind flag"),
        ([row("a", 0), row("b", 0) | {"series": None}], "has a row without series"),
    ],
)
def test_what_breaks_the_contract_is_refused_and_named(
    rows: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(SnapshotRefusedError, match=words):
        table(*rows)


def test_a_missing_column_is_refused_and_named() -> None:
    with pytest.raises(SnapshotRefusedError, match="no column champion"):
        table({name: value for name, value in row("a", 0).items() if name != "champion"})


def test_more_rows_than_the_contract_allows_are_refused() -> None:
    with pytest.raises(SnapshotRefusedError, match="has 2 rows, 1 are allowed"):
        table(row("a", 0), row("a", 1), max_rows=1)


def test_a_file_that_is_no_parquet_is_refused() -> None:
    with pytest.raises(SnapshotRefusedError, match="not readable as Parquet"):
        read_sorted("f", b"PAR1 but no more", columns=COLUMNS, key=KEY, max_rows=9)
