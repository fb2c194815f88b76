"""Search volumes of Naver DataLab: one call for each segment of gender and ages.

Here: the words of `POST /v1/datalab/search`, and the share that the problems forecast. Not here:
retries (`http_client`), and how shares become the rows of a source (`search_shares`).

Shape: `{startDate, endDate, timeUnit, keywordGroups: [{groupName, keywords}], gender, ages}` gives
`results[].{title, data[].{period, ratio}}`. A ratio is relative to the largest of that one
answer, so only brands of one call can be compared, and only within a segment. A day without
searches is absent, and so is the day that has not ended. History is restated from one fetch to the
next. An answer without one of the groups is asked for again, as after an error of the service.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import httpx
import polars as pl

from mlops_assets.ingestion.http_client import CallBudget, HttpClient, Retries
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.settings import Settings

BASE_URL: Final = "https://openapi.naver.com"
CALLS_A_DAY: Final = 1000
FIRST_DAY: Final = date(2016, 1, 1)
MOST_GROUPS: Final = 5
MOST_KEYWORDS: Final = 20

Gender = Literal["male", "female"]
GENDERS: Final[dict[Gender, str]] = {"male": "m", "female": "f"}
AGES: Final[dict[str, tuple[str, ...]]] = {
    "10대": ("2",),
    "20대": ("3", "4"),
    "30대": ("5", "6"),
    "40대": ("7", "8"),
    "50대": ("9", "10"),
    "60대 이상": ("11",),
}
"""Age group -> the service's codes: two a decade from the twenties on, 11 for 60 and over."""

SEARCHES: Final = pl.Schema(
    {
        "date": pl.Date(),
        "gender": pl.String(),
        "age_group": pl.String(),
        "brand": pl.String(),
        "ratio": pl.Float64(),
    }
)
"""Grain (date, gender, age_group, brand); `ratio` is above 0, absent days have no row."""

_SEGMENT_DAY: Final = ["date", "gender", "age_group"]
_SETTINGS: Final = "MLOPS_NAVER_CLIENT_ID and MLOPS_NAVER_CLIENT_SECRET"


@dataclass(frozen=True)
class Segment:
    """People of one gender and age group."""

    gender: Gender
    age_group: str

    def __str__(self) -> str:
        return f"{self.gender} {self.age_group}"


SEGMENTS: Final = tuple(Segment(gender, ages) for gender in GENDERS for ages in AGES)
"""All twelve, which is one fetch."""


def daily_budget() -> CallBudget:
    """What the service allows in a day."""
    return CallBudget("Naver DataLab", CALLS_A_DAY)


def client_of(
    settings: Settings,
    *,
    budget: CallBudget,
    base_url: str = BASE_URL,
    retries: Retries | None = None,
) -> HttpClient:
    """A client with the application's id and secret.

    Raises:
        SettingsError: one of them is not set.
    """
    return HttpClient(
        source="Naver DataLab",
        base_url=base_url,
        headers={
            "X-Naver-Client-Id": settings.required_secret("naver_client_id"),
            "X-Naver-Client-Secret": settings.required_secret("naver_client_secret"),
        },
        retries=retries or Retries(),
        refusal=_refusal,
        budget=budget,
    )


def fetch_searches(
    client: HttpClient,
    keyword_groups: Mapping[str, Sequence[str]],
    *,
    start: date,
    end: date,
    segments: Sequence[Segment] = SEGMENTS,
) -> pl.DataFrame:
    """Search volumes of the days `[start, end)` in every segment, or none at all.

    Args:
        client: of `client_of`; its budget is charged one call for each segment and retry.
        keyword_groups: brand -> the words that are searched for; at most 5 brands of 20 words.
        start: first day.
        end: first day that is not wanted.
        segments: asked one after another.

    Returns:
        Schema `SEARCHES`, sorted.

    Raises:
        SourceError: the request breaks a rule of the service, or one segment failed; the message
            names the segment, and nothing of the others is returned.
    """
    _check_request(keyword_groups, start=start, end=end)
    body: dict[str, object] = {
        "startDate": start.isoformat(),
        "endDate": date.fromordinal(end.toordinal() - 1).isoformat(),
        "timeUnit": "date",
        "keywordGroups": [
            {"groupName": brand, "keywords": list(words)} for brand, words in keyword_groups.items()
        ],
    }
    rows: list[dict[str, Any]] = []
    for segment in segments:
        try:
            rows += _segment_rows(client, body, segment, brands=list(keyword_groups))
        except SourceError as error:
            raise SourceError(
                f"segment {segment}: {error}; a fetch has every segment or none, so that none is "
                "silently missing"
            ) from error
    return pl.DataFrame(rows, schema=SEARCHES).sort(*SEARCHES)


def shares(searches: pl.DataFrame, *, brands: Sequence[str]) -> pl.DataFrame:
    """Each brand's share of 100 within its (date, gender, age group).

    `share = 100 * ratio / sum of the segment-day's ratios`; a brand without searches has 0. A
    segment-day without any search has no shares and no rows.

    Args:
        searches: schema `SEARCHES`.
        brands: all that were asked for, so that one that nobody searched for has its zeros.

    Returns:
        `date, gender, age_group, brand, share_pct`, every brand in every segment-day, sorted.
    """
    days = searches.select(_SEGMENT_DAY).unique()
    asked = pl.DataFrame({"brand": brands}, schema={"brand": pl.String})
    complete = days.join(asked, how="cross").join(
        searches, on=[*_SEGMENT_DAY, "brand"], how="left", validate="1:1"
    )
    total = pl.col("ratio").fill_null(0.0).sum().over(_SEGMENT_DAY)
    return (
        complete.with_columns(share_pct=100.0 * pl.col("ratio").fill_null(0.0) / total)
        .filter(total > 0)
        .select(*_SEGMENT_DAY, "brand", "share_pct")
        .sort(*_SEGMENT_DAY, "brand")
    )


def _check_request(groups: Mapping[str, Sequence[str]], *, start: date, end: date) -> None:
    if not 1 <= len(groups) <= MOST_GROUPS:
        raise SourceError(
            f"Naver DataLab: {len(groups)} keyword groups; one call takes 1 to {MOST_GROUPS}, and "
            "only brands of one call can be compared; drop some"
        )
    for brand, words in groups.items():
        if not 1 <= len(words) <= MOST_KEYWORDS:
            raise SourceError(
                f"Naver DataLab: group {brand!r} has {len(words)} keywords; it takes 1 to "
                f"{MOST_KEYWORDS}; change the list"
            )
    if not FIRST_DAY <= start < end:
        raise SourceError(
            f"Naver DataLab: days [{start}, {end}); the first day must be {FIRST_DAY} or later and "
            "before the end; change the dates"
        )


def _segment_rows(
    client: HttpClient, body: Mapping[str, object], segment: Segment, *, brands: list[str]
) -> list[dict[str, Any]]:
    """The rows of one call; every brand must be answered, if only with no days."""
    asked = {"gender": GENDERS[segment.gender], "ages": list(AGES[segment.age_group])}
    answer = client.post(
        "/v1/datalab/search", {**body, **asked}, lack=lambda found: _groups_lacking(found, brands)
    )
    try:
        rows = [
            {
                "date": date.fromisoformat(day["period"]),
                "gender": segment.gender,
                "age_group": segment.age_group,
                "brand": _plain(result["title"]),
                "ratio": float(day["ratio"]),
            }
            for result in answer["results"]
            for day in result["data"]
        ]
        if len({(row["date"], row["brand"]) for row in rows}) < len(rows):
            raise ValueError("a group has a day twice")
    except (TypeError, ValueError, LookupError) as error:
        raise _unreadable(error) from error
    return rows


def _groups_lacking(answer: Any, brands: list[str]) -> str | None:  # noqa: ANN401
    """What to tell when not exactly the groups asked for are there."""
    try:
        answered = sorted(_plain(result["title"]) for result in answer["results"])
    except (TypeError, ValueError, LookupError) as error:
        raise _unreadable(error) from error
    if answered == sorted(brands):
        return None
    return f"groups {answered} of {sorted(brands)}; every group must be answered, once"


def _plain(title: str) -> str:
    """A group's name as the problem's YAML has it: one code point for each syllable."""
    return unicodedata.normalize("NFC", title)


def _unreadable(error: Exception) -> SourceError:
    return SourceError(
        f"Naver DataLab's answer cannot be read ({error!r}); it must hold results[].title and "
        "data[].{period, ratio}, each period once; check the base address"
    )


def _refusal(response: httpx.Response) -> str | None:
    """What the service's refusals mean (its error codes 024, 028 and 010 among them)."""
    status = response.status_code
    if status in {401, 403}:
        return (
            "it does not accept the application's id and secret, or DataLab is not among the "
            f"application's services; set {_SETTINGS} to those of an application that has it"
        )
    if status == 429 and '"010"' in response.text:
        return (
            f"the day's {CALLS_A_DAY} calls are used up; the count begins anew at midnight in "
            "Korea; go on then"
        )
    return None
