"""Counts of video channels, live: one snapshot of what the YouTube Data API finds.

Here: which videos and channels are looked at, and the names of the series. Not here: the
service's words (`youtube`), retries (`http_client`), the tier of a channel (`channel_tier`).

Rules:
- The service tells the counts of the moment only: a window that does not hold the fetch gets no
  rows and costs nothing, and a note says so.
- Videos are those that the source's `queries` find (the first 50 of each, published since its
  `start`), channels are those of these videos.
- A count that its owner hides is null.
- A note tells what the snapshot cost of the day's quota; a search is 100 units.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import polars as pl

from mlops_assets.ingestion import youtube
from mlops_assets.ingestion.http_client import Retries
from mlops_assets.ingestion.sources import Delivery
from mlops_assets.problem import ChannelSource, YouTubeLive
from mlops_assets.settings import Settings
from mlops_assets.tables.channels import CHANNEL_PREFIX, CHANNELS_LAYOUT, VIDEO_PREFIX

_COLUMNS: Final = ("series", "valid_time", *CHANNELS_LAYOUT.value_names)
_EMPTY: Final = pl.DataFrame(
    schema={column: CHANNELS_LAYOUT.fetched.dtypes[column] for column in _COLUMNS}
)


def deliver(
    name: str,
    source: ChannelSource,
    live: YouTubeLive,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    settings: Settings,
    retries: Retries,
) -> Delivery:
    """The snapshot at `fetched_at`, if that lies in `[start, end)`.

    Returns:
        Rows of `series`, `valid_time` (the fetch) and the five counts.

    Raises:
        SourceError: the service does not deliver, or the day's quota does not suffice.
        SettingsError: the key is not set.
    """
    if not start <= fetched_at < end:
        return Delivery(_EMPTY, (f"{name}: counts of the past cannot be had live; none delivered",))
    budget = youtube.daily_budget()
    client = youtube.client_of(settings, budget=budget, base_url=live.base_url, retries=retries)
    found = [
        video
        for query in live.queries
        for video in youtube.search_videos(client, query, after=source.start, before=fetched_at)
    ]
    videos = youtube.videos(client, found)
    channels = youtube.channels(client, [video.channel_id for video in videos])
    rows = [*_of_channels(channels), *_of_videos(videos)]
    frame = pl.DataFrame([{"valid_time": fetched_at, **row} for row in rows], schema=_EMPTY.schema)
    note = f"{name}: the snapshot cost {budget.spent} of the day's {budget.limit:,} units"
    return Delivery(frame, (note,))


def _of_channels(channels: list[youtube.Channel]) -> Iterator[dict[str, object]]:
    for channel in channels:
        yield {
            "series": f"{CHANNEL_PREFIX}{channel.channel_id}",
            "subscribers": channel.subscribers,
            "views": channel.views,
            "videos": channel.videos,
        }


def _of_videos(videos: list[youtube.Video]) -> Iterator[dict[str, object]]:
    for video in videos:
        yield {
            "series": f"{VIDEO_PREFIX}{video.video_id}",
            "views": video.views,
            "likes": video.likes,
            "comments": video.comments,
        }
