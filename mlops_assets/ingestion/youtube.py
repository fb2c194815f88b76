"""Videos and channels of the YouTube Data API, version 3.

Here: the words of `search.list`, `videos.list` and `channels.list`. Not here: retries
(`http_client`), and how counts become the rows of a source (`channel_snapshots`).

Cost of a call in units of the day's quota: search 100, videos and channels 1. Counts come as
strings; a count that its owner hides is absent, and is None here, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import httpx

from mlops_assets.ingestion.http_client import CallBudget, HttpClient, Retries
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.settings import Settings

BASE_URL: Final = "https://www.googleapis.com"
UNITS_A_DAY: Final = 10_000
SEARCH_COST: Final = 100
LIST_COST: Final = 1
PAGE: Final = 50
"""Videos or channels that one call may return or be asked for."""

_QUOTA_REASONS: Final = frozenset({"quotaExceeded", "dailyLimitExceeded"})
_KEY_REASONS: Final = frozenset({"keyInvalid", "keyExpired", "API_KEY_INVALID"})
"""Why a key is refused with status 400; 401 and 403 always are about the caller."""

T = TypeVar("T")


@dataclass(frozen=True)
class Video:
    """A video as of the call; counts are None where they are hidden."""

    video_id: str
    channel_id: str
    title: str
    published_at: datetime
    views: int | None
    likes: int | None
    comments: int | None


@dataclass(frozen=True)
class Channel:
    """A channel as of the call; `subscribers` is None where it is hidden."""

    channel_id: str
    title: str
    subscribers: int | None
    views: int | None
    videos: int | None


def daily_budget() -> CallBudget:
    """What the service allows in a day."""
    return CallBudget("YouTube Data API", UNITS_A_DAY, unit="units")


def client_of(
    settings: Settings,
    *,
    budget: CallBudget,
    base_url: str = BASE_URL,
    retries: Retries | None = None,
) -> HttpClient:
    """A client with the key in a header, so that no address holds it.

    Raises:
        SettingsError: MLOPS_YOUTUBE_API_KEY is not set.
    """
    return HttpClient(
        source="YouTube Data API",
        base_url=base_url,
        headers={"X-Goog-Api-Key": settings.required_secret("youtube_api_key")},
        retries=retries or Retries(),
        refusal=_refusal,
        budget=budget,
    )


def search_videos(
    client: HttpClient, query: str, *, after: datetime, before: datetime, pages: int = 1
) -> list[str]:
    """Ids of the videos published in `[after, before)` that match, best first.

    Args:
        client: of `client_of`; charged 100 units a page.
        query: what is searched for.
        after: first instant of publication.
        before: first instant that is not wanted.
        pages: at most so many pages of 50.

    Raises:
        SourceError: the service refuses, or the quota is used up.
    """
    params: dict[str, str | int] = {
        "part": "id",
        "type": "video",
        "q": query,
        "maxResults": PAGE,
        "publishedAfter": after.isoformat(),
        "publishedBefore": before.isoformat(),
    }
    found: list[str] = []
    for _ in range(pages):
        answer = client.get("/youtube/v3/search", params, cost=SEARCH_COST)
        found += _read(answer, lambda item: str(item["id"]["videoId"]))
        token = answer.get("nextPageToken")
        if token is None:
            break
        params["pageToken"] = token
    return list(dict.fromkeys(found))


def videos(client: HttpClient, video_ids: Sequence[str]) -> list[Video]:
    """Statistics of videos, one unit for 50; a video that was removed is absent.

    Raises:
        SourceError: the service refuses, or the quota is used up.
    """
    answers = _by_ids(client, "/youtube/v3/videos", video_ids)
    return [video for answer in answers for video in _read(answer, _video)]


def channels(client: HttpClient, channel_ids: Sequence[str]) -> list[Channel]:
    """Statistics of channels, one unit for 50; a channel that was closed is absent.

    Raises:
        SourceError: the service refuses, or the quota is used up.
    """
    answers = _by_ids(client, "/youtube/v3/channels", channel_ids)
    return [channel for answer in answers for channel in _read(answer, _channel)]


def _by_ids(client: HttpClient, path: str, ids: Sequence[str]) -> Iterator[Any]:
    unique = list(dict.fromkeys(ids))
    for first in range(0, len(unique), PAGE):
        wanted = ",".join(unique[first : first + PAGE])
        params: dict[str, str | int] = {"part": "snippet,statistics", "id": wanted}
        yield client.get(path, params, cost=LIST_COST)


def _video(item: Mapping[str, Any]) -> Video:
    statistics = item["statistics"]
    return Video(
        video_id=item["id"],
        channel_id=item["snippet"]["channelId"],
        title=item["snippet"]["title"],
        published_at=datetime.fromisoformat(item["snippet"]["publishedAt"]),
        views=_count(statistics, "viewCount"),
        likes=_count(statistics, "likeCount"),
        comments=_count(statistics, "commentCount"),
    )


def _channel(item: Mapping[str, Any]) -> Channel:
    statistics = item["statistics"]
    # A hidden number of subscribers may be absent, or be there as 0 beside this flag.
    hidden = statistics.get("hiddenSubscriberCount", False)
    return Channel(
        channel_id=item["id"],
        title=item["snippet"]["title"],
        subscribers=None if hidden else _count(statistics, "subscriberCount"),
        views=_count(statistics, "viewCount"),
        videos=_count(statistics, "videoCount"),
    )


def _count(statistics: Mapping[str, Any], name: str) -> int | None:
    return int(statistics[name]) if name in statistics else None


def _read(answer: Any, item: Callable[[Mapping[str, Any]], T]) -> list[T]:  # noqa: ANN401
    try:
        return [item(entry) for entry in answer["items"]]
    except (TypeError, ValueError, LookupError) as error:
        raise SourceError(
            f"YouTube Data API: the answer cannot be read ({error!r}); it must hold items[] with "
            "id, snippet and statistics; check the base address"
        ) from error


def _refusal(response: httpx.Response) -> str | None:
    """What the service's reasons mean."""
    reasons = _reasons(response)
    if reasons & _QUOTA_REASONS:
        return (
            f"the day's quota of {UNITS_A_DAY:,} units is used up (a search costs {SEARCH_COST}); "
            "it begins anew at midnight in California; go on then, or have the quota of the key "
            "in MLOPS_YOUTUBE_API_KEY raised"
        )
    if reasons & _KEY_REASONS or response.status_code in {401, 403}:
        return (
            "it does not accept the key; set MLOPS_YOUTUBE_API_KEY to the key of a project in "
            "which the YouTube Data API is enabled"
        )
    return None


def _reasons(response: httpx.Response) -> set[str]:
    try:
        error = response.json()["error"]
        listed = [*error.get("errors", []), *error.get("details", [])]
        return {str(entry.get("reason")) for entry in listed}
    except (ValueError, TypeError, LookupError, AttributeError):
        return set()
