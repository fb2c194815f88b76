"""Files of channel counts, and the rules about them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.ingestion.quality import Rule, evaluate, rules_of, severity_of, split
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import ChannelSource
from mlops_assets_tests.ingestion.panels import channels, read

CHANNELS = "day,channel_id,name,subscribers,total,videos\n"
VIDEOS = "day,video_id,views,likes,comments\n"
SEVENTH = datetime(2024, 9, 6, 15, tzinfo=UTC)
"""Midnight in Korea, with which 7 September 2024 begins."""


def source(folder: Path, *, channel_rows: str = "", video_rows: str = "") -> ChannelSource:
    (folder / "channels.csv").write_text(CHANNELS + channel_rows, encoding="utf-8")
    (folder / "videos.csv").write_text(VIDEOS + video_rows, encoding="utf-8")
    entry = {"time_column": "day", "time_zone": "Asia/Seoul"}
    return channels(
        files=[{"path": "channels.csv", "columns": {"views": "total"}, **entry}],
        videos=[{"path": "videos.csv", **entry}],
    )


def test_a_snapshot_is_valid_and_known_at_its_own_instant(tmp_path: Path) -> None:
    origin = source(tmp_path, channel_rows="20240907,a,A,5,6,7\n", video_rows="20240907,x,8,9,10\n")

    rows = read(tmp_path, origin)

    assert rows.select("series", "valid_time", "known_at").rows() == [
        ("channel/a", SEVENTH, SEVENTH),
        ("video/x", SEVENTH, SEVENTH),
    ]
    counted = rows.select("subscribers", "views", "videos", "likes", "comments").rows()
    assert counted == [(5.0, 6.0, 7.0, None, None), (None, 8.0, None, 9.0, 10.0)]


def test_a_hidden_count_is_missing_and_not_zero(tmp_path: Path) -> None:
    origin = source(tmp_path, channel_rows="20240907,a,A,,6,7\n")

    assert read(tmp_path, origin)["subscribers"].to_list() == [None]


def test_a_row_without_its_channel_is_refused(tmp_path: Path) -> None:
    origin = source(tmp_path, channel_rows="20240907,,A,5,6,7\n")

    with pytest.raises(SourceError, match=r"channels\.csv: '20240907' .* names its channel_id"):
        read(tmp_path, origin)


def test_a_snapshot_belongs_to_the_month_of_its_instant(tmp_path: Path) -> None:
    origin = source(tmp_path, channel_rows="20241001,a,A,5,6,7\n20241002,a,A,5,6,7\n")

    clean = split(read(tmp_path, origin), origin).clean

    assert clean["month"].to_list() == ["2024-09", "2024-10"]  # the source's zone is UTC


def test_a_negative_count_is_set_aside_and_a_hidden_one_kept(tmp_path: Path) -> None:
    origin = source(tmp_path, channel_rows="20240907,a,A,-5,6,7\n20240908,a,A,,6,7\n")

    parts = split(read(tmp_path, origin), origin)

    assert parts.quarantined["reason"].to_list() == [Rule.COUNTS_NOT_NEGATIVE]
    assert parts.clean["subscribers"].to_list() == [None]
    found = evaluate(parts.clean, parts.quarantined, name="tube", source=origin)
    assert set(found) == set(rules_of(origin)) - {Rule.RECENCY}
    assert found[Rule.COUNTS_NOT_NEGATIVE].message.startswith(
        "tube: 1 snapshot with a count below zero or no number (first: channel/a at "
        "2024-09-06T15:00:00Z, subscribers -5.0, views 6.0, videos 7.0, likes none, comments none, "
        "from channels.csv); set aside;"
    )


def test_a_snapshot_that_comes_twice_is_kept_once(tmp_path: Path) -> None:
    origin = source(tmp_path, channel_rows="20240907,a,A,5,6,7\n20240907,a,A,5,6,7\n")

    parts = split(read(tmp_path, origin), origin)

    assert parts.clean["series"].to_list() == ["channel/a"]
    assert parts.quarantined["reason"].to_list() == [Rule.NO_REPEATED_ROWS]


def test_channels_never_stop_a_target_and_their_order_does_not_matter(tmp_path: Path) -> None:
    origin = source(tmp_path, channel_rows="20240908,a,A,5,6,7\n20240907,a,A,5,6,7\n")

    parts = split(read(tmp_path, origin), origin)

    assert {severity_of(rule, origin) for rule in rules_of(origin)} == {"WARN"}
    assert parts.quarantined.is_empty()
