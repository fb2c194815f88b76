from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlops_assets.ingestion import youtube
from mlops_assets.ingestion.live import deliver
from mlops_assets.ingestion.sources import Delivery, SourceError
from mlops_assets.settings import SettingsError
from mlops_assets_tests.ingestion.searches import (
    DAY,
    JANUARY,
    KEYS,
    VIDEO_KEY,
    channel_source,
    kst,
    video_site,
)
from mlops_assets_tests.ingestion.services import QUICK, Answer, Service, running

NOW = kst(20, hour=10)
FOR_EVER = datetime.max.replace(tzinfo=UTC)


def fetch(
    service: Service,
    *,
    end: datetime = FOR_EVER,
    queries: tuple[str, ...] = ("이온음료", "포카리스웨트"),
    key: str | None = VIDEO_KEY,
) -> Delivery:
    live = {"kind": "youtube", "queries": queries, "base_url": service.url}
    settings = KEYS if key is not None else KEYS.model_copy(update={"youtube_api_key": None})
    return deliver(
        "videos",
        channel_source(live=live),
        start=JANUARY,
        end=end,
        fetched_at=NOW,
        settings=settings,
        retries=QUICK,
    )


def test_a_snapshot_holds_the_channels_and_videos_that_the_queries_find_once_each() -> None:
    with running(video_site) as service:
        found = fetch(service)

    columns = ("series", "subscribers", "views", "videos", "likes", "comments")
    assert found.rows.select(columns).rows() == [
        ("channel/c1", 27500.0, 900.0, 3.0, None, None),
        ("channel/c2", None, 1.0, 2.0, None, None),
        ("video/v1", None, 6536.0, None, 91.0, 10.0),
        ("video/v2", None, 5.0, None, None, 0.0),
    ]
    assert set(found.rows["valid_time"]) == set(found.rows["known_at"]) == {NOW}
    assert set(found.rows["pull"]) == {"youtube:이온음료,포카리스웨트"}


def test_what_a_snapshot_cost_of_the_quota_is_told() -> None:
    with running(video_site) as service:
        found = fetch(service)

    assert found.notes == ("videos: the snapshot cost 202 of the day's 10,000 units",)
    assert [call.path.rpartition("/")[2] for call in service.calls] == [
        "search",
        "search",
        "videos",
        "channels",
    ]


def test_videos_are_searched_for_from_the_start_of_the_source_to_the_fetch() -> None:
    with running(video_site) as service:
        fetch(service)

    params = service.calls[0].params
    assert datetime.fromisoformat(params["publishedAfter"]) == JANUARY
    assert datetime.fromisoformat(params["publishedBefore"]) == NOW


def test_a_window_of_the_past_gets_nothing_and_costs_nothing() -> None:
    with running(video_site) as service:
        found = fetch(service, end=NOW - DAY)

    assert found.rows.is_empty()
    assert found.notes == ("videos: counts of the past cannot be had live; none delivered",)
    assert service.calls == []


def test_queries_that_find_nothing_give_no_rows() -> None:
    with running(lambda _: Answer(content={"items": []})) as service:
        found = fetch(service)

    assert found.rows.is_empty()
    assert len(service.calls) == 2


def test_more_queries_than_the_quota_allows_end_before_it_is_overdrawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(youtube, "UNITS_A_DAY", 250)
    with (
        running(video_site) as service,
        pytest.raises(SourceError, match=r"costs 100 units and 50 of the day's 250 are left"),
    ):
        fetch(service, queries=("a", "b", "c"))

    assert len(service.calls) == 2


def test_a_missing_key_is_named_before_anything_is_asked() -> None:
    with (
        running(video_site) as service,
        pytest.raises(SettingsError, match="MLOPS_YOUTUBE_API_KEY is not set"),
    ):
        fetch(service, key=None)

    assert service.calls == []
