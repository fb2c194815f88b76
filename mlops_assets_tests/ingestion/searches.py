"""A panel of search shares, and local services that answer searches and video counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from mlops_assets.ingestion.naver import AGES, GENDERS
from mlops_assets.problem import ChannelSource, ValueSource
from mlops_assets.settings import Settings
from mlops_assets_tests.ingestion.services import Answer, Call

KST = timezone(timedelta(hours=9))
DAY = timedelta(days=1)
JANUARY = datetime(2024, 1, 1, tzinfo=KST)

BRANDS = ("게토레이", "링티", "포카리스웨트")
KEYWORDS = {brand: [brand] for brand in BRANDS}
ID, SECRET, VIDEO_KEY = "naver-id-0815", "naver-secret-4711", "AIza-test-key"
KEYS = Settings.model_validate(
    {"naver_client_id": ID, "naver_client_secret": SECRET, "youtube_api_key": VIDEO_KEY}
)


def kst(day: int, hour: float = 0.0) -> datetime:
    """An instant of January 2024 by the Korean clock."""
    return JANUARY + (day - 1) * DAY + timedelta(hours=hour)


def share_source(**changes: Any) -> ValueSource:  # noqa: ANN401  (fields of the model)
    """A target of daily shares: three brands in twelve segments."""
    fields: dict[str, Any] = {
        "kind": "values",
        "role": "target",
        "title": "Shares",
        "unit": "%",
        "period": DAY,
        "zone": "Asia/Seoul",
        "plausible": (0.0, 100.0),
        "start": JANUARY,
        "keys": {"brand": BRANDS, "gender": tuple(GENDERS), "age_group": tuple(AGES)},
        "sums_to": {"total": 100, "within": ("gender", "age_group")},
    }
    return ValueSource.model_validate(fields | changes)


def channel_source(**changes: Any) -> ChannelSource:  # noqa: ANN401
    """An exogenous source of channels, a snapshot a day."""
    fields: dict[str, Any] = {
        "kind": "channels",
        "role": "exogenous",
        "title": "Channels",
        "unit": "count",
        "period": DAY,
        "max_age": 30 * DAY,
        "plausible": (0.0, 1e12),
        "start": JANUARY,
    }
    return ChannelSource.model_validate(fields | changes)


@dataclass
class DataLab:
    """Naver's searches of January 2024 until `now`, the running day included.

    The brand asked for in place n has n times the searches of the first; a quarter of that on the
    running day. `silent` brands have none on that day in any segment, `quiet` segments have none
    at all on that day.
    """

    now: datetime
    silent: set[tuple[date, str]] = field(default_factory=set)
    quiet: set[tuple[date, str, str]] = field(default_factory=set)

    def __call__(self, call: Call) -> Answer:
        """Answer a request for searches."""
        assert call.path == "/v1/datalab/search"
        if call.headers.get("X-Naver-Client-Secret") != SECRET:
            echo = f"Authentication failed: {call.headers.get('X-Naver-Client-Secret')}"
            return Answer(401, {"errorMessage": echo, "errorCode": "024"})
        groups = call.body["keywordGroups"]
        results = [
            {
                "title": group["groupName"],
                "keywords": group["keywords"],
                "data": [
                    {"period": day.isoformat(), "ratio": 100.0 * place / len(groups) * weight}
                    for day, weight in self._days(call.body)
                    if (day, group["groupName"]) not in self.silent
                ],
            }
            for place, group in enumerate(groups, start=1)
        ]
        return Answer(content={**call.body, "results": results})

    def _days(self, body: dict[str, Any]) -> Iterable[tuple[date, float]]:
        today = self.now.astimezone(KST).date()
        day = max(JANUARY.date(), date.fromisoformat(body["startDate"]))
        while day <= min(today, date.fromisoformat(body["endDate"])):
            if (day, body["gender"], body["ages"][0]) not in self.quiet:
                yield day, 0.25 if day == today else 1.0
            day += DAY


def in_part(call: Call, lab: DataLab) -> Answer:
    """The answer of `lab` without its last group."""
    answer = lab(call)
    assert isinstance(answer.content, dict)
    return Answer(content={**answer.content, "results": answer.content["results"][:-1]})


def video_site(call: Call) -> Answer:
    """Each search finds videos v1 and v2 of channels c1 and c2; v2 hides likes, c2 subscribers."""
    match call.path:
        case "/youtube/v3/search":
            return Answer(content={"items": [{"id": {"videoId": v}} for v in ("v1", "v2")]})
        case "/youtube/v3/videos":
            counts = {
                "v1": {"viewCount": "6536", "likeCount": "91", "commentCount": "10"},
                "v2": {"viewCount": "5", "commentCount": "0"},
            }
        case _:
            counts = {
                "c1": {"viewCount": "900", "videoCount": "3", "subscriberCount": "27500"},
                "c2": {"viewCount": "1", "videoCount": "2"},
            }
    items = [_item(each, counts[each]) for each in call.params["id"].split(",")]
    return Answer(content={"items": items})


def _item(name: str, statistics: dict[str, str]) -> dict[str, object]:
    published = datetime(2024, 1, 3, tzinfo=UTC).isoformat()
    snippet = {"title": name, "channelId": f"c{name[1:]}", "publishedAt": published}
    return {"id": name, "snippet": snippet, "statistics": statistics}
