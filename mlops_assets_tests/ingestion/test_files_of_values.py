"""Files of values: one number a period, of a single series or of a panel."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.ingestion.files import newest_target_time
from mlops_assets.ingestion.observations import observe
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import FileSource
from mlops_assets.settings import Settings
from mlops_assets_tests.ingestion.panels import (
    DAY,
    end_of,
    panel,
    panel_problem,
    raw,
    read,
    share_file,
    shares,
    single,
    write_shares,
)

ONE = "게토레이/female/10대"
PULLED = datetime(2025, 3, 24, 3, tzinfo=UTC)


def write(folder: Path, text: str, name: str = "a.csv") -> FileSource:
    (folder / name).write_text(text, encoding="utf-8")
    return share_file(name)


def test_a_series_is_named_by_its_labels_in_the_order_of_the_keys(tmp_path: Path) -> None:
    file = write(
        tmp_path, "age_group,brand,gender,period,ratio\n60대 이상,링티,male,2024-09-01,5.5\n"
    )

    [row] = read(tmp_path, panel(files=[file])).to_dicts()

    assert (row["series"], row["value"]) == ("링티/male/60대 이상", 5.5)


def test_a_day_is_valid_and_known_at_its_end_in_korea(tmp_path: Path) -> None:
    file = write_shares(tmp_path, "a.csv", {25: {ONE: 40.0}})

    [row] = read(tmp_path, panel(files=[file])).to_dicts()

    assert row["valid_time"] == row["known_at"] == datetime(2024, 9, 25, 15, tzinfo=UTC)
    assert row["assumed"] is True


def test_a_publication_delay_comes_after_the_end_of_the_day(tmp_path: Path) -> None:
    file = write_shares(tmp_path, "a.csv", {25: {ONE: 40.0}})

    [row] = read(tmp_path, panel(files=[file], publication_delay="6h")).to_dicts()

    assert row["known_at"] == datetime(2024, 9, 25, 21, tzinfo=UTC)


def test_days_before_the_start_are_left_out(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "brand,gender,age_group,period,ratio\n"
        "링티,male,10대,2024-08-31,1\n링티,male,10대,2024-09-01,2\n",
    )

    assert read(tmp_path, panel(files=[file]))["value"].to_list() == [2.0]


def test_a_byte_order_mark_and_further_columns_are_no_obstacle(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "\ufeffbrand,id,gender,age_group,period,ratio,timestamp\n"
        "링티,7,male,10대,2024-09-02,1,2025-03-24 12:29:23\n"
        "링티,3,male,10대,2024-09-01,2,2025-03-24 12:29:23\n",
    )

    rows = read(tmp_path, panel(files=[file]))

    assert rows["valid_time"].to_list() == [end_of(2), end_of(1)]  # the order of delivery
    assert rows["value"].to_list() == [1.0, 2.0]


def test_decomposed_labels_and_blanks_around_them_are_the_same_label(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "게토레이")
    assert decomposed != "게토레이"
    file = write(
        tmp_path,
        f"brand,gender,age_group,period,ratio\n{decomposed}, female ,60대 이상 ,2024-09-01,1\n",
    )

    assert read(tmp_path, panel(files=[file]))["series"].item() == "게토레이/female/60대 이상"


def test_decomposed_labels_of_the_yaml_are_composed_too(tmp_path: Path) -> None:
    keys = {"brand": [unicodedata.normalize("NFD", "링티")], "gender": ["male"]}
    file = write(tmp_path, "brand,gender,period,ratio\n링티,male,2024-09-01,100\n")
    origin = panel(
        files=[file], keys=keys, sums_to={"total": 100, "within": ["gender"], "tolerance": 0}
    )

    assert read(tmp_path, origin)["series"].item() == "링티/male"


@pytest.mark.parametrize("label", ["펩시", ""])
def test_an_unknown_label_is_refused_with_the_known_ones(tmp_path: Path, label: str) -> None:
    file = write(
        tmp_path,
        f"brand,gender,age_group,period,ratio\n링티,male,10대,2024-09-01,1\n"
        f"{label},male,10대,2024-09-01,1\n",
    )

    with pytest.raises(
        SourceError, match=r"a\.csv: .*key 'brand' are 게토레이, 링티; add it to `keys\.brand`"
    ) as refused:
        read(tmp_path, panel(files=[file]))
    assert (label or "None") in str(refused.value)


def test_a_missing_key_column_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, "brand,gender,period,ratio\n링티,male,2024-09-01,1\n")

    with pytest.raises(SourceError, match=r"a\.csv has no column 'age_group'.*`columns`"):
        read(tmp_path, panel(files=[file]))


def test_an_empty_cell_is_a_missing_value(tmp_path: Path) -> None:
    file = write_shares(tmp_path, "a.csv", {1: {ONE: None}})

    assert read(tmp_path, panel(files=[file]))["value"].to_list() == [None]


def test_without_keys_the_series_is_the_source(tmp_path: Path) -> None:
    file = write(tmp_path, "period,ratio\n2024-09-01,21.5\n2024-09-02,22\n")

    rows = read(tmp_path, single(files=[file]), name="weather")

    assert rows["series"].unique().to_list() == ["weather"]
    assert rows["value"].to_list() == [21.5, 22.0]


def two_pulls(folder: Path) -> list[FileSource]:
    """The second file restates one of sixteen values."""
    days = {1: shares(), 2: shares()}
    first = write_shares(folder, "first.csv", days)
    restated = write_shares(folder, "second.csv", {**days, 2: shares() | {ONE: 41.5}})
    return [first, restated.model_copy(update={"pulled_at": PULLED})]


def test_a_restated_value_is_one_new_version_known_from_its_pull_on(tmp_path: Path) -> None:
    rows = read(tmp_path, panel(files=two_pulls(tmp_path)))

    assert len(rows) == 16 + 1
    told = rows.filter(valid_time=end_of(2), series=ONE)
    assert told.select("known_at", "assumed", "value").rows() == [
        (end_of(2), True, 40.0),
        (PULLED, False, 41.5),
    ]


def test_a_restatement_without_the_time_of_its_pull_is_refused(tmp_path: Path) -> None:
    first, second = two_pulls(tmp_path)
    undated = second.model_copy(update={"pulled_at": None})

    with pytest.raises(SourceError, match=rf"second\.csv: changes 1 rows .*{ONE}.*`pulled_at`"):
        read(tmp_path, panel(files=[first, undated]))


def test_one_table_of_observations_shows_what_was_known_before_and_after_a_restatement(
    tmp_path: Path,
) -> None:
    origin = panel(files=two_pulls(tmp_path))
    rows = read(tmp_path, origin).with_columns(month=pl.lit("2024-09")).drop("pull")

    seen = observe(rows, {}, panel_problem(search=origin), PULLED).filter(
        valid_time=end_of(2), series=ONE
    )

    def known(as_of: datetime) -> float:
        visible = (pl.col("known_at") <= as_of) & (
            pl.col("superseded_at").is_null() | (pl.col("superseded_at") > as_of)
        )
        value: float = seen.filter(visible)["value"].item()
        return value

    assert (known(PULLED - DAY), known(PULLED)) == (40.0, 41.5)


def test_the_newest_target_time_of_a_panel_is_the_end_of_its_newest_day(tmp_path: Path) -> None:
    origin = panel(files=[write_shares(tmp_path, "a.csv", {3: shares(), 1: shares()})])
    settings = Settings(data="files", data_dir=tmp_path)

    assert newest_target_time(panel_problem(search=origin), settings) == end_of(3)


def test_observations_of_a_panel_keep_only_series_that_the_yaml_lists() -> None:
    fewer = panel(
        keys={
            "brand": ["게토레이", "링티"],
            "gender": ["female"],
            "age_group": ["10대", "60대 이상"],
        }
    )

    rows = observe(raw({1: shares()}), {}, panel_problem(search=fewer), end_of(2))

    assert rows["series"].to_list() == [
        "게토레이/female/10대",
        "게토레이/female/60대 이상",
        "링티/female/10대",
        "링티/female/60대 이상",
    ]
