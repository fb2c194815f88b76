from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import deltalake
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mlops_assets.storage.tables import (
    KeyConflictError,
    MergeCounts,
    TableMissingError,
    TableStore,
)

KEYS = ["series", "valid_time"]


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path))


def rows(*closes: tuple[int, float | None], fetched_at: int = 1) -> pl.DataFrame:
    """Rows (day of the year 2025, close); the month is the partition."""
    return pl.DataFrame(
        {
            "series": pl.Series(["btc" for _ in closes], dtype=pl.String),
            "valid_time": [
                datetime.strptime(f"2025-{day:03d}", "%Y-%j").replace(tzinfo=UTC)
                for day, _ in closes
            ],
            "close": pl.Series([close for _, close in closes], dtype=pl.Float64),
            "fetched_at": pl.Series([fetched_at for _ in closes], dtype=pl.Int64),
        },
        schema_overrides={"valid_time": pl.Datetime("us", "UTC")},
    ).with_columns(month=pl.col("valid_time").dt.strftime("%Y-%m"))


def merge(store: TableStore, frame: pl.DataFrame) -> MergeCounts:
    return store.merge("p/raw", frame, keys=KEYS, partition_by="month", bookkeeping=["fetched_at"])


def test_a_parquet_table_is_read_as_it_was_written(store: TableStore) -> None:
    store.write("p/table", rows((1, 1.0)))
    store.write("p/table", rows((1, 1.0), (2, None)))

    assert_frame_equal(store.read("p/table"), rows((1, 1.0), (2, None)))


def test_a_table_that_was_never_written_is_named_with_the_remedy(store: TableStore) -> None:
    assert not store.exists("p/table")
    for read in (store.read, store.read_delta, store.data_version):
        with pytest.raises(TableMissingError, match=r"'p/table' .* materialise its asset first"):
            read("p/table")


def test_merging_the_same_rows_again_changes_nothing(store: TableStore) -> None:
    frame = rows((1, 1.0), (2, None), (40, float("nan")))

    first = merge(store, frame)
    version = store.data_version("p/raw")
    again = merge(store, rows((1, 1.0), (2, None), (40, float("nan")), fetched_at=2))

    assert (first, again) == (MergeCounts(3, 0), MergeCounts(0, 3))
    assert store.data_version("p/raw") == version
    assert_frame_equal(store.read_delta("p/raw"), frame, check_row_order=False)


def test_a_merge_adds_only_what_is_new(store: TableStore) -> None:
    merge(store, rows((1, 1.0), (40, 2.0)))

    counts = merge(store, rows((1, 1.0), (3, 3.0)))

    assert counts == MergeCounts(inserted=1, unchanged=1)
    assert_frame_equal(
        store.read_delta("p/raw").sort("valid_time"), rows((1, 1.0), (3, 3.0), (40, 2.0))
    )


def test_a_stored_key_is_never_given_other_values(store: TableStore) -> None:
    merge(store, rows((1, 1.0)))

    with pytest.raises(KeyConflictError, match=r"1 rows have a stored key .* key of its own"):
        merge(store, rows((1, 1.5), (2, 2.0)))

    assert_frame_equal(store.read_delta("p/raw"), rows((1, 1.0)))


def test_a_key_offered_twice_is_refused(store: TableStore) -> None:
    with pytest.raises(KeyConflictError, match="share a key"):
        merge(store, rows((1, 1.0), (1, 2.0)))

    assert not store.exists("p/raw")


def test_only_the_partitions_asked_for_are_read(store: TableStore) -> None:
    merge(store, rows((1, 1.0), (40, 2.0), (70, 3.0)))

    february = store.read_delta("p/raw", partitions=["2025-02"])

    assert february["close"].to_list() == [2.0]
    assert store.read_delta("p/raw", partitions=[]).is_empty()


def test_a_merge_without_rows_makes_an_empty_table_once(store: TableStore) -> None:
    assert merge(store, rows()) == MergeCounts(0, 0)
    version = store.data_version("p/raw")
    merge(store, rows())

    assert store.exists("p/raw")
    assert store.read_delta("p/raw").is_empty()
    assert store.data_version("p/raw") == version


def test_files_of_an_unfinished_commit_are_invisible(store: TableStore) -> None:
    merge(store, rows((1, 1.0)))
    orphan = Path(store.root) / "p/raw/month=2025-01/part-crashed.parquet"
    rows((2, 2.0)).drop("month").write_parquet(orphan)

    assert store.read_delta("p/raw")["close"].to_list() == [1.0]
    assert merge(store, rows((2, 2.0))) == MergeCounts(inserted=1, unchanged=0)


def test_the_version_of_a_parquet_table_follows_its_content_alone(tmp_path: Path) -> None:
    one, other = TableStore(str(tmp_path / "one")), TableStore(str(tmp_path / "other"))
    one.write("t", rows((1, 1.0)))
    other.write("t", rows((1, 1.0)))

    assert one.data_version("t") == other.data_version("t")
    other.write("t", rows((1, 1.5)))
    assert one.data_version("t") != other.data_version("t")


def test_the_version_of_a_delta_table_moves_with_each_commit(store: TableStore) -> None:
    merge(store, rows((1, 1.0)))
    before = store.data_version("p/raw")
    merge(store, rows((2, 2.0)))

    assert store.data_version("p/raw") != before
    assert deltalake.DeltaTable(f"{store.root}/p/raw").version() == 1


def test_a_column_that_is_added_is_null_in_stored_rows_and_taken_in_new_ones(
    store: TableStore,
) -> None:
    merge(store, rows((1, 1.0)))
    wider = rows((2, 2.0)).with_columns(caller=pl.lit("ada"))
    for _ in range(2):
        store.add_columns("p/raw", wider.schema, partition_by="month")
    assert store.read_delta("p/raw")["caller"].to_list() == [None]

    merge(store, wider)
    assert store.read_delta("p/raw").sort("valid_time")["caller"].to_list() == [None, "ada"]


def test_a_delta_table_can_be_narrowed_before_it_is_read(store: TableStore) -> None:
    merge(store, rows((1, 1.0), (2, 2.0)))
    found = store.scan_delta("p/raw").filter(pl.col("close") > 1).select("close").collect()
    assert found["close"].to_list() == [2.0]
