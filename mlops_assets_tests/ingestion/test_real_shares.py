"""The shared real search shares through ingestion; skipped where they are absent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from mlops_assets.ingestion.files import newest_target_time
from mlops_assets.ingestion.observations import judge, observe
from mlops_assets.ingestion.pull import pull, read_quarantine, read_raw
from mlops_assets.ingestion.quality import evaluate
from mlops_assets.problem import ValueSource
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.layouts import layout_of
from mlops_assets_tests.ingestion.market import SHIPPED
from mlops_assets_tests.ingestion.panels import channels, panel, panel_problem, share_file

SHARED = SHIPPED.parents[3].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not (SHARED / "search").is_dir(), reason="the shared evaluation data is not beside the project"
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PULLED = datetime(2025, 3, 24, 3, 29, 23, tzinfo=UTC)
"""2025-03-24T12:29:23+09:00."""

SEARCH: ValueSource = panel(
    start=datetime(2023, 12, 31, 15, tzinfo=UTC),
    keys={
        "brand": ["게토레이", "링티", "토레타", "파워에이드", "포카리스웨트"],
        "gender": ["female", "male"],
        "age_group": ["10대", "20대", "30대", "40대", "50대", "60대 이상"],
    },
    sums_to={"total": 100, "within": ["gender", "age_group"], "tolerance": 0.03},
    files=[
        share_file(
            "search/naver_vintage_20250217_raw.csv",
            pulled_at=datetime(2025, 2, 16, 15, tzinfo=UTC),
        ),
        share_file("search/naver_raw.csv", pulled_at=PULLED),
    ],
)
TUBE = channels(
    start=datetime(2023, 12, 31, 15, tzinfo=UTC),
    files=[
        {
            "path": "search/youtube_channels.csv",
            "time_column": "snapshot_date",
            "time_zone": "Asia/Seoul",
            "columns": {
                "subscribers": "subscriber_count",
                "views": "total_views",
                "videos": "video_count",
            },
        }
    ],
    videos=[
        {
            "path": "search/youtube_videos.csv",
            "time_column": "snapshot_date",
            "time_zone": "Asia/Seoul",
            "columns": {
                "views": "view_count",
                "likes": "like_count",
                "comments": "comment_count",
            },
        }
    ],
)
PROBLEM = panel_problem(search=SEARCH, tube=TUBE)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TableStore:
    store = TableStore(str(tmp_path_factory.mktemp("store")))
    settings = Settings(data="files", data_dir=SHARED)
    for name, source in PROBLEM.sources.items():
        pull(
            store,
            "p",
            name,
            source,
            start=source.start,
            end=NOW,
            fetched_at=NOW,
            settings=settings,
        )
    return store


def test_the_second_pull_restates_51_of_21480_shares(store: TableStore) -> None:
    rows = read_raw(store, "p", "search")

    restated = rows.filter(~pl.col("assumed"))
    assert (len(rows) - len(restated), len(restated)) == (358 * 60, 51)
    assert restated["known_at"].unique().to_list() == [PULLED]
    first = rows.filter("assumed")
    both = restated.join(first, on=["series", "valid_time"], suffix="_first", validate="1:1")
    steps = (both["value"] - both["value_first"]).abs().round(2)
    assert (steps.max(), int((steps == 0.01).sum())) == (1.55, 3)


@pytest.mark.parametrize("name", ["search", "tube"])
def test_the_real_files_break_no_rule(store: TableStore, name: str) -> None:
    source = PROBLEM.sources[name]
    layout = layout_of(source.kind)
    stored = read_raw(store, "p", name, layout=layout)
    set_aside = read_quarantine(store, "p", name, layout=layout)

    found = evaluate(stored, set_aside, name=name, source=source)

    assert [finding.message for finding in found.values() if not finding.passed] == []
    assert set_aside.is_empty()


def test_a_restated_share_differs_between_two_moments_of_knowledge(store: TableStore) -> None:
    raw = read_raw(store, "p", "search")
    exogenous = {"tube": read_raw(store, "p", "tube")}
    restated = raw.filter(~pl.col("assumed")).sort("valid_time", "series").row(0, named=True)
    place = {"series": restated["series"], "valid_time": restated["valid_time"]}

    seen = {}
    for as_of in (datetime(2025, 2, 18, tzinfo=UTC), datetime(2025, 3, 25, tzinfo=UTC)):
        rows = observe(raw, exogenous, PROBLEM, as_of)
        assert all(finding.passed for finding in judge(rows, PROBLEM, now=as_of))
        current = rows.filter(pl.col("superseded_at").is_null())
        assert len(current) == 358 * 60
        seen[as_of.month] = current.filter(**place)["value"].item()

    assert seen[3] == restated["value"] != seen[2]


def test_the_known_channel_is_silver(store: TableStore) -> None:
    late = read_raw(store, "p", "search").filter(~pl.col("assumed")).head(1)
    tube = read_raw(store, "p", "tube")

    [row] = observe(late, {"tube": tube}, PROBLEM, NOW).to_dicts()

    # 27,500 subscribers in the snapshot of 22 March 2025, which begins at 15:00 UTC the day before.
    assert (row["tube_value"], row["tube_age_hours"]) == (2.0, pytest.approx(60.489, abs=0.001))


def test_the_clock_of_the_files_stands_at_the_end_of_the_newest_day() -> None:
    settings = Settings(data="files", data_dir=SHARED)

    newest = newest_target_time(PROBLEM, settings)

    assert newest == datetime(2024, 12, 23, 15, tzinfo=UTC)
    assert newest - SEARCH.start == 358 * timedelta(days=1)
