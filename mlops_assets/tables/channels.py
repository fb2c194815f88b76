"""The columns of video channels and their videos: counts at an instant.

Here: what a source says in a snapshot. Not here: the tables around it (`raw`), the rules that set
a snapshot aside (`ingestion.channel_rules`), and a channel's tier (`ingestion.channel_tier`).

A series is `channel/<id>` or `video/<id>`. A count that its owner hides is null, never zero; so is
a count that the other of the two does not have.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.tables.raw import RawLayout
from mlops_assets.tables.schema import Column

CHANNEL_COUNTS: Final = ("subscribers", "views", "videos")
VIDEO_COUNTS: Final = ("views", "likes", "comments")
CHANNEL_PREFIX: Final = "channel/"
VIDEO_PREFIX: Final = "video/"

_COUNTED: Final = {
    "subscribers": "subscribers of the channel",
    "views": "views of the channel or the video since it began",
    "videos": "videos of the channel",
    "likes": "likes of the video",
    "comments": "comments on the video",
}

CHANNELS_LAYOUT: Final = RawLayout(
    kind="channels",
    row="snapshot",
    time="instant of the snapshot",
    values=tuple(
        Column(
            name=name,
            dtype=pl.Float64,
            unit="count",
            nullable=True,
            low=0.0,
            description=f"{what}; null where it is hidden",
        )
        for name, what in _COUNTED.items()
    ),
    joined="tier (0 none, 1 bronze, 2 silver, 3 gold, 4 diamond) of the largest channel",
    joined_unit="tier",
)
"""The tables of a source of channels."""
