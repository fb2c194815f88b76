from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.ingestion import files
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import FileSource, Source
from mlops_assets.settings import Settings, SettingsError
from mlops_assets_tests.ingestion.market import HOUR, MAY, at, delivered, file, problem, source

FETCHED_AT = datetime(2025, 7, 1, tzinfo=UTC)


def fetch(folder: Path, origin: Source, *, end: datetime = FETCHED_AT) -> pl.DataFrame:
    settings = Settings(data="files", data_dir=folder)
    return files.fetch("btc", origin, start=MAY, end=end, fetched_at=FETCHED_AT, settings=settings)


def write_csv(folder: Path, text: str, name: str = "a.csv") -> FileSource:
    (folder / name).write_text(text, encoding="utf-8")
    return file(name)


HEADER = "timestamp,open,high,low,close,volume\n"


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    bars = delivered([100.0, 101.0])
    bars.write_parquet(tmp_path / "a.parquet")
    bars.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(
        tmp_path / "a.csv"
    )

    parquet = fetch(tmp_path, source(files=[file("a.parquet")]))
    csv = fetch(tmp_path, source(files=[file("a.csv")]))

    assert parquet.drop("pull").equals(csv.drop("pull"))
    assert parquet["valid_time"].to_list() == [at(1), at(2)]
    assert parquet["close"].to_list() == [100.0, 101.0]


def test_a_timestamp_that_names_the_close_is_the_valid_time(tmp_path: Path) -> None:
    delivered([100.0, 101.0], start=at(1)).write_parquet(tmp_path / "a.parquet")

    rows = fetch(tmp_path, source(files=[file("a.parquet")], timestamp="close"))

    assert rows["valid_time"].to_list() == [at(1), at(2)]


def test_history_is_known_from_its_publication_on_and_says_so(tmp_path: Path) -> None:
    delivered([100.0]).write_parquet(tmp_path / "a.parquet")
    late = source(files=[file("a.parquet")], publication_delay=timedelta(minutes=90))

    [row] = fetch(tmp_path, late).to_dicts()

    assert row["known_at"] == at(2.5)
    assert row["assumed"] is True
    assert row["fetched_at"] == FETCHED_AT


def test_only_bars_that_open_in_the_window_are_fetched(tmp_path: Path) -> None:
    delivered([1.0, 2.0, 3.0, 4.0], start=at(-1)).write_parquet(tmp_path / "a.parquet")

    rows = fetch(tmp_path, source(files=[file("a.parquet")]), end=at(2))

    assert rows["close"].to_list() == [2.0, 3.0]


def test_columns_of_the_file_are_mapped_and_a_missing_volume_is_null(tmp_path: Path) -> None:
    bars = delivered([100.0]).drop("volume").rename({"close": "Last", "timestamp": "Time"})
    bars.write_parquet(tmp_path / "a.parquet")
    entry = file("a.parquet", time_column="Time", columns={"close": "Last"})

    [row] = fetch(tmp_path, source(files=[entry], has_volume=False)).to_dicts()

    assert (row["close"], row["volume"]) == (100.0, None)


def test_a_naive_timestamp_is_refused_without_a_zone(tmp_path: Path) -> None:
    entry = write_csv(tmp_path, HEADER + "2025-05-01 10:00:00,1,2,1,2,5\n")

    with pytest.raises(SourceError, match=r"a\.csv: .*2025-05-01 10:00:00 have no time zone.*UTC"):
        fetch(tmp_path, source(files=[entry]))


def test_a_naive_parquet_timestamp_is_refused_too(tmp_path: Path) -> None:
    bars = delivered([100.0]).with_columns(pl.col("timestamp").dt.replace_time_zone(None))
    bars.write_parquet(tmp_path / "a.parquet")

    with pytest.raises(SourceError, match="have no time zone"):
        fetch(tmp_path, source(files=[file("a.parquet")]))


def test_a_naive_timestamp_is_read_on_the_clock_of_its_zone(tmp_path: Path) -> None:
    entry = write_csv(tmp_path, HEADER + "2025-05-01 19:00:00,1,2,1,2,5\n")
    seoul = entry.model_copy(update={"time_zone": "Asia/Seoul"})

    [row] = fetch(tmp_path, source(files=[seoul])).to_dicts()

    # 19:00 in Seoul is 10:00 UTC; the bar closes an hour later.
    assert row["valid_time"] == at(11)


@pytest.mark.parametrize("text", ["2025-11-02 01:30:00", "2025-03-09 02:30:00"])
def test_a_time_that_its_zone_has_twice_or_never_is_refused(tmp_path: Path, text: str) -> None:
    entry = write_csv(tmp_path, HEADER + f"{text},1,2,1,2,5\n")
    new_york = entry.model_copy(update={"time_zone": "America/New_York"})

    with pytest.raises(SourceError, match="exists once on the clock of America/New_York"):
        fetch(tmp_path, source(files=[new_york]))


def test_an_unknown_zone_is_named(tmp_path: Path) -> None:
    entry = write_csv(tmp_path, HEADER + "2025-05-01 19:00:00,1,2,1,2,5\n")

    with pytest.raises(SourceError, match="'Asia/Soul' is no IANA zone"):
        fetch(tmp_path, source(files=[entry.model_copy(update={"time_zone": "Asia/Soul"})]))


def test_offsets_in_one_file_may_differ(tmp_path: Path) -> None:
    text = "2025-05-01T10:00:00+09:00,1,2,1,2,5\n2025-05-01T02:00:00Z,1,2,1,2,5\n"

    rows = fetch(tmp_path, source(files=[write_csv(tmp_path, HEADER + text)]))

    assert rows["valid_time"].to_list() == [at(2), at(3)]


def test_naive_and_aware_timestamps_in_one_file_are_refused(tmp_path: Path) -> None:
    text = "2025-05-01T10:00:00Z,1,2,1,2,5\n2025-05-01T11:00:00,1,2,1,2,5\n"

    with pytest.raises(SourceError, match=r"'2025-05-01T11:00:00' in 1 rows.*no time zone"):
        fetch(tmp_path, source(files=[write_csv(tmp_path, HEADER + text)]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2025-05-01T10:00:00Z,1,2,1,n/a,5", r"a\.csv: 'n/a' in 1 rows; column 'close' .* empty"),
        ("yesterday,1,2,1,2,5", r"a\.csv: 'yesterday' in 1 rows; .* 2025-06-18T10:00:00Z"),
    ],
)
def test_what_cannot_be_read_is_named_with_file_column_and_remedy(
    tmp_path: Path, row: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        fetch(tmp_path, source(files=[write_csv(tmp_path, f"{HEADER}{row}\n")]))


def test_an_empty_cell_is_a_missing_price(tmp_path: Path) -> None:
    entry = write_csv(tmp_path, HEADER + "2025-05-01T10:00:00Z,1,2,1,,5\n")

    assert fetch(tmp_path, source(files=[entry]))["close"].to_list() == [None]


def test_a_missing_file_is_named_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"b\.csv is not in MLOPS_DATA_DIR=.*correct `path`"):
        fetch(tmp_path, source(files=[file("b.csv")]))


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    entry = write_csv(tmp_path, "timestamp,open,high,low,last,volume\n")

    with pytest.raises(
        SourceError, match=r"no column 'close'; it has timestamp, .*last.*`columns`"
    ):
        fetch(tmp_path, source(files=[entry]))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").touch()

    with pytest.raises(SourceError, match=r"'\.xlsx'; files are CSV or Parquet"):
        fetch(tmp_path, source(files=[file("a.xlsx")]))


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nothing")

    with pytest.raises(SourceError, match=r"a\.parquet cannot be read as parquet"):
        fetch(tmp_path, source(files=[file("a.parquet")]))


def test_a_source_without_files_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"sources\.btc\.files is empty.*MLOPS_DATA=sample"):
        fetch(tmp_path, source())


def test_without_a_folder_the_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="MLOPS_DATA_DIR is not set"):
        files.newest_target_time(
            problem(btc=source(files=[file("a.csv")])), Settings(data="files", data_dir=None)
        )


def two_pulls(folder: Path, **second: object) -> Source:
    """Two files of the same three hours: the second changes the middle bar and adds one."""
    delivered([100.0, 101.0, 102.0]).write_parquet(folder / "first.parquet")
    delivered([100.0, 111.0, 102.0, 103.0]).write_parquet(folder / "second.parquet")
    return source(files=[file("first.parquet"), file("second.parquet", **second)])


def test_a_changed_value_is_a_version_known_at_its_pull(tmp_path: Path) -> None:
    rows = fetch(tmp_path, two_pulls(tmp_path, pulled_at=at(0, day=9)))

    told = rows.select("valid_time", "known_at", "assumed", "close", "pull").rows()
    assert told == [
        (at(1), at(1), True, 100.0, "first.parquet"),
        (at(2), at(2), True, 101.0, "first.parquet"),
        (at(3), at(3), True, 102.0, "first.parquet"),
        (at(4), at(4), True, 103.0, "second.parquet"),
        (at(2), at(0, day=9), False, 111.0, "second.parquet"),
    ]


def test_a_change_without_the_time_of_its_pull_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"second\.parquet: changes 1 rows .*02:00.*`pulled_at`"):
        fetch(tmp_path, two_pulls(tmp_path))


def test_a_file_that_changes_nothing_adds_nothing(tmp_path: Path) -> None:
    bars = delivered([100.0, 101.0, float("nan")]).with_columns(
        pl.col("volume").replace(10.0, None)
    )
    bars.write_parquet(tmp_path / "a.parquet")
    bars.write_parquet(tmp_path / "b.parquet")

    assert len(fetch(tmp_path, source(files=[file("a.parquet"), file("b.parquet")]))) == 3


def test_of_two_values_in_a_later_file_both_are_new_even_if_one_is_old(tmp_path: Path) -> None:
    delivered([100.0]).write_parquet(tmp_path / "a.parquet")
    pl.concat([delivered([100.0]), delivered([105.0])]).write_parquet(tmp_path / "b.parquet")
    origin = source(files=[file("a.parquet"), file("b.parquet", pulled_at=at(0, day=9))])

    rows = fetch(tmp_path, origin)

    assert rows["close"].to_list() == [100.0, 100.0, 105.0]
    assert rows["known_at"].to_list() == [at(1), at(0, day=9), at(0, day=9)]


def test_the_newest_target_time_is_the_close_of_the_newest_bar(tmp_path: Path) -> None:
    origin = two_pulls(tmp_path, pulled_at=at(0, day=9))
    settings = Settings(data="files", data_dir=tmp_path)

    assert files.newest_target_time(problem(btc=origin), settings) == at(4)


def test_files_without_rows_have_no_newest_time(tmp_path: Path) -> None:
    delivered([]).write_parquet(tmp_path / "a.parquet")
    settings = Settings(data="files", data_dir=tmp_path)

    with pytest.raises(SourceError, match=r"a\.parquet hold no row.*--as-of"):
        files.newest_target_time(problem(btc=source(files=[file("a.parquet")])), settings)


def test_dates_are_midnights_on_the_clock_of_their_zone(tmp_path: Path) -> None:
    bars = delivered([100.0]).with_columns(timestamp=pl.lit(date(2025, 5, 2)))
    bars.write_parquet(tmp_path / "a.parquet")
    daily = source(files=[file("a.parquet", time_zone="Asia/Seoul")], period=timedelta(days=1))

    # May 2 begins in Seoul at 15:00 UTC of May 1 and ends a day later.
    assert fetch(tmp_path, daily)["valid_time"].to_list() == [at(15) + 24 * HOUR]
