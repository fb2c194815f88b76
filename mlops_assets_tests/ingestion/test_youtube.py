from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlops_assets.ingestion.http_client import CallBudget, HttpClient
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.ingestion.youtube import (
    Channel,
    Video,
    channels,
    client_of,
    daily_budget,
    search_videos,
    videos,
)
from mlops_assets.settings import Settings, SettingsError
from mlops_assets_tests.ingestion.services import QUICK, Answer, Call, Service, running

KEY = "AIza-test-key"
AFTER, BEFORE = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
SNIPPET = {"title": "물", "channelId": "c1", "publishedAt": "2024-03-26T04:01:17Z"}


def youtube(call: Call) -> Answer:
    """Two pages of search results; video v2 and channel c2 hide their counts."""
    match call.path:
        case "/youtube/v3/search" if "pageToken" not in call.params:
            found = [{"id": {"kind": "youtube#video", "videoId": v}} for v in ("v1", "v2")]
            return Answer(content={"items": found, "nextPageToken": "two"})
        case "/youtube/v3/search":
            return Answer(content={"items": [{"id": {"videoId": v}} for v in ("v2", "v3")]})
        case "/youtube/v3/videos":
            full: dict[str, object] = {"viewCount": "6536", "likeCount": "91", "commentCount": "10"}
            counts: dict[str, dict[str, object]] = {"v2": {"viewCount": "5"}}
        case _:
            full = {"viewCount": "9", "videoCount": "3", "subscriberCount": "27500"}
            hiding: dict[str, object] = {
                "viewCount": "1",
                "videoCount": "2",
                "hiddenSubscriberCount": True,
            }
            counts = {"c2": hiding, "c3": {**hiding, "subscriberCount": "0"}}
    items = [
        {"id": each, "snippet": SNIPPET, "statistics": counts.get(each, full)}
        for each in call.params["id"].split(",")
    ]
    return Answer(content={"items": items})


def refused(reason: str, status: int = 403) -> Answer:
    error = {"code": status, "message": f"{KEY}?", "errors": [{"reason": reason}]}
    return Answer(status, {"error": error})


def client(service: Service, budget: CallBudget | None = None) -> HttpClient:
    return client_of(
        Settings.model_validate({"youtube_api_key": KEY}),
        budget=budget or daily_budget(),
        base_url=service.url,
        retries=QUICK,
    )


def test_a_search_follows_its_pages_and_costs_100_units_each() -> None:
    budget = daily_budget()
    with running(youtube) as service:
        found = search_videos(
            client(service, budget), "이온음료", after=AFTER, before=BEFORE, pages=5
        )

    assert found == ["v1", "v2", "v3"]
    assert (budget.spent, budget.remaining) == (200, 9800)
    assert service.calls[0].params["publishedAfter"] == "2024-01-01T00:00:00+00:00"
    assert service.calls[1].params["pageToken"] == "two"


def test_the_key_travels_in_a_header_and_in_no_address() -> None:
    with running(youtube) as service:
        videos(client(service), ["v1"])

    [call] = service.calls
    assert call.headers["X-Goog-Api-Key"] == KEY
    assert KEY not in f"{call.path}{call.params}"


def test_hidden_counts_are_none_and_never_zero() -> None:
    with running(youtube) as service:
        first, second = videos(client(service), ["v1", "v2"])
        open_channel, absent, flagged = channels(client(service), ["c1", "c2", "c3"])

    published = datetime(2024, 3, 26, 4, 1, 17, tzinfo=UTC)
    assert first == Video("v1", "c1", "물", published, views=6536, likes=91, comments=10)
    assert (second.views, second.likes, second.comments) == (5, None, None)
    assert open_channel == Channel("c1", "물", subscribers=27500, views=9, videos=3)
    assert (absent.subscribers, flagged.subscribers) == (None, None)


def test_ids_are_asked_for_by_fifty_at_one_unit() -> None:
    budget = daily_budget()
    with running(youtube) as service:
        found = videos(client(service, budget), [f"v{n}" for n in range(60)] + ["v0"])

    assert len(found) == 60
    assert [len(call.params["id"].split(",")) for call in service.calls] == [50, 10]
    assert budget.spent == 2


@pytest.mark.parametrize("reason", ["quotaExceeded", "dailyLimitExceeded"])
def test_a_used_up_quota_is_named_and_not_asked_again(reason: str) -> None:
    with (
        running(lambda _: refused(reason)) as service,
        pytest.raises(SourceError, match=r"the day's quota of 10,000 units is used up") as found,
    ):
        videos(client(service), ["v1"])

    assert len(service.calls) == 1
    assert KEY not in str(found.value)


@pytest.mark.parametrize(("reason", "status"), [("forbidden", 403), ("keyInvalid", 400)])
def test_a_refused_key_names_its_setting_and_not_itself(reason: str, status: int) -> None:
    with (
        running(lambda _: refused(reason, status)) as service,
        pytest.raises(SourceError, match=r"set MLOPS_YOUTUBE_API_KEY to the key") as found,
    ):
        channels(client(service), ["c1"])

    assert KEY not in str(found.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(SettingsError, match=r"MLOPS_YOUTUBE_API_KEY is not set"):
        client_of(Settings.model_validate({"youtube_api_key": None}), budget=daily_budget())


@pytest.mark.parametrize("content", [{}, {"items": [{"id": "v1"}]}, []])
def test_an_answer_in_another_shape_is_refused(content: object) -> None:
    with (
        running(lambda _: Answer(content=content)) as service,
        pytest.raises(SourceError, match="the answer cannot be read"),
    ):
        videos(client(service), ["v1"])


def test_a_search_that_does_not_fit_the_quota_is_not_sent() -> None:
    budget = CallBudget("YouTube Data API", 10_000, unit="units", spent=9_901)
    with (
        running(youtube) as service,
        pytest.raises(SourceError, match=r"costs 100 units and 99 of the day's 10000 are left"),
    ):
        search_videos(client(service, budget), "물", after=AFTER, before=BEFORE)

    assert service.calls == []
