"""Shares of searches, live: a source's panel from the searches of Naver DataLab.

Here: what a source must be for this service, which days are asked for, and the names of the
series. Not here: the service's words and the shares (`naver`), retries (`http_client`), when a
value counts as known (`arrivals`).

Rules:
- A day is asked for once it has ended in Korea; the day that runs is never delivered.
- A fetch has every segment or none.
- A segment-day without any search has no shares: it stays missing, and a note says so. A brand
  that nobody searched for on a day has 0.
- Shares are rounded as the files are (`decimals`), so that a value of the same searches is the
  same value whichever way it comes.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final, cast

import polars as pl

from mlops_assets.ingestion import naver
from mlops_assets.ingestion.exchange import CLOCK_SKEW
from mlops_assets.ingestion.http_client import Retries
from mlops_assets.ingestion.local_days import days_opening, end_of_day
from mlops_assets.ingestion.sources import Delivery, SourceError
from mlops_assets.problem import SEPARATOR, NaverLive, ValueSource
from mlops_assets.settings import Settings
from mlops_assets.tables.schema import UTC_MICROSECONDS

ZONE: Final = "Asia/Seoul"
"""The service counts the searches of Korean days."""

KEYS: Final = frozenset({"brand", "gender", "age_group"})
"""What tells the service's series apart."""

DAY: Final = timedelta(days=1)
_TOTAL: Final = 100.0
_DAYS_TOLD: Final = 5
_INSTANT: Final = timedelta(microseconds=1)
_EMPTY: Final = pl.DataFrame(
    schema={"series": pl.String, "valid_time": UTC_MICROSECONDS, "value": pl.Float64}
)


def deliver(
    name: str,
    source: ValueSource,
    live: NaverLive,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    settings: Settings,
    retries: Retries,
) -> Delivery:
    """The shares of the days that open in `[start, end)` and have ended, in one call a segment.

    Returns:
        Rows of `series`, `valid_time` (the end of the day) and `value`; notes about days without
        shares.

    Raises:
        SourceError: the source does not fit the service, or the service does not deliver.
        SettingsError: the id or the secret of the application is not set.
    """
    segments = _segments(name, source, live)
    newest_open = fetched_at - CLOCK_SKEW - DAY
    first, last = days_opening(start, min(end, newest_open + _INSTANT), zone=ZONE)
    if first >= last:
        return Delivery(_EMPTY)
    client = naver.client_of(
        settings, budget=naver.daily_budget(), base_url=live.base_url, retries=retries
    )
    searches = naver.fetch_searches(
        client, live.keyword_groups, start=first, end=last, segments=segments
    ).filter(pl.col("date").is_between(first, last, closed="left"))
    found = naver.shares(searches, brands=list(live.keyword_groups))
    notes = _without_shares(name, found, segments, first=first, last=last)
    return Delivery(_rows(found, source, live), notes)


def _rows(found: pl.DataFrame, source: ValueSource, live: NaverLive) -> pl.DataFrame:
    return found.select(
        series=pl.concat_str([pl.col(key) for key in source.keys], separator=SEPARATOR),
        valid_time=end_of_day(pl.col("date"), zone=ZONE),
        value=pl.col("share_pct").round(live.decimals),
    )


def _segments(name: str, source: ValueSource, live: NaverLive) -> list[naver.Segment]:
    """The segments that the source's labels make.

    Raises:
        SourceError: keys, labels, zone, period or total are not those of the service.
    """
    _check_keys(name, source, live)
    if source.period != DAY or source.zone != ZONE:
        raise SourceError(
            f"{name}: period {source.period} in zone {source.zone}; Naver's shares are of days in "
            f"{ZONE}; set `period: 1d` and `zone: {ZONE}`"
        )
    total = source.sums_to
    if total is None or total.total != _TOTAL or set(total.within) != KEYS - {"brand"}:
        raise SourceError(
            f"{name}: `sums_to` is {total}; Naver's brands add up to {_TOTAL:g} within gender and "
            "age group; set `sums_to: {total: 100, within: [gender, age_group]}`"
        )
    return [
        naver.Segment(cast("naver.Gender", gender), ages)
        for gender in source.keys["gender"]
        for ages in source.keys["age_group"]
    ]


def _check_keys(name: str, source: ValueSource, live: NaverLive) -> None:
    if set(source.keys) != KEYS:
        raise SourceError(
            f"{name}: keys {sorted(source.keys)}; Naver's series are told apart by "
            f"{', '.join(sorted(KEYS))}; name the keys so in the problem's YAML"
        )
    known: dict[str, set[str]] = {
        "brand": set(live.keyword_groups),
        "gender": set(naver.GENDERS),
        "age_group": set(naver.AGES),
    }
    for key, labels in source.keys.items():
        if unknown := set(labels) - known[key]:
            raise SourceError(
                f"{name}: {key} {sorted(unknown)} cannot be asked for; this service has "
                f"{sorted(known[key])}; correct `keys.{key}`, or `live.keyword_groups` for a brand"
            )
    if unasked := known["brand"] - set(source.keys["brand"]):
        raise SourceError(
            f"{name}: keyword groups {sorted(unasked)} are no labels of `keys.brand`; a share is "
            "one of the brands asked for, so both must name the same; add or remove them"
        )


def _without_shares(
    name: str, found: pl.DataFrame, segments: list[naver.Segment], *, first: date, last: date
) -> tuple[str, ...]:
    """A note for each segment that has days without shares."""
    days = [first + step * DAY for step in range((last - first).days)]
    there = set(found.select("date", "gender", "age_group").unique().iter_rows())
    notes = []
    for segment in segments:
        absent = [day for day in days if (day, segment.gender, segment.age_group) not in there]
        if absent:
            told = ", ".join(map(str, absent[:_DAYS_TOLD])) + ", ..." * (len(absent) > _DAYS_TOLD)
            notes.append(
                f"{name}: {segment} has no searches on {len(absent)} of {len(days)} days, so it "
                f"has no shares then: {told}"
            )
    return tuple(notes)
