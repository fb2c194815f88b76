from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from mlops_assets.ingestion.channel_tier import largest_known, tier_of
from mlops_assets.ingestion.observations import observe
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.tables.channels import CHANNELS_LAYOUT
from mlops_assets_tests.ingestion.panels import (
    DAY,
    channels,
    end_of,
    panel,
    panel_problem,
    raw,
    shares,
    single,
)

Snapshot = tuple[str, int, float | None]
"""Series, day of September 2024, subscribers."""


def counts(*snapshots: Snapshot, later: timedelta = timedelta(0)) -> pl.DataFrame:
    """Raw rows, known at their instant or `later`."""
    rows = [
        {
            "series": series,
            "valid_time": end_of(day),
            "known_at": end_of(day) + later,
            "fetched_at": end_of(20),
            "assumed": True,
            "subscribers": subscribers,
            "views": 10.0,
            "videos": 1.0,
            "likes": None,
            "comments": None,
            "month": "2024-09",
        }
        for series, day, subscribers in snapshots
    ]
    return CHANNELS_LAYOUT.raw.conform(pl.DataFrame(rows, schema_overrides={"likes": pl.Float64}))


@pytest.mark.parametrize(
    ("subscribers", "tier"),
    [
        (0, 0),
        (999, 0),
        (1_000, 1),
        (9_999, 1),
        (10_000, 2),
        (99_999, 2),
        (100_000, 3),
        (300_000, 3),
        (999_999, 3),
        (1_000_000, 4),
        (None, None),
    ],
)
def test_a_tier_begins_with_its_fewest_subscribers(
    subscribers: int | None, tier: int | None
) -> None:
    frame = pl.DataFrame({"subscribers": [subscribers]}, schema={"subscribers": pl.Float64})

    assert frame.select(tier_of(pl.col("subscribers"))).item() == tier


def known(frame: pl.DataFrame) -> list[tuple[datetime, float | None]]:
    return largest_known(frame).select("valid_time", "subscribers").rows()


def test_the_largest_channel_counts_with_its_newest_snapshot() -> None:
    frame = counts(("channel/a", 1, 500.0), ("channel/b", 1, 20_000.0), ("channel/a", 2, 900.0))

    found = largest_known(frame)

    assert found["known_at"].to_list() == [end_of(1), end_of(2)]
    # On the second day it is still b, whose own snapshot is a day old.
    assert known(frame) == [(end_of(1), 20_000.0), (end_of(1), 20_000.0)]


def test_a_channel_that_hides_its_count_is_no_longer_known() -> None:
    frame = counts(("channel/a", 1, 500.0), ("channel/a", 2, None))

    assert known(frame) == [(end_of(1), 500.0), (end_of(2), None)]


def test_a_hidden_count_gives_way_to_a_known_one() -> None:
    frame = counts(("channel/a", 1, None), ("channel/b", 1, 5.0))

    assert known(frame) == [(end_of(1), 5.0)]


def test_videos_are_no_channels() -> None:
    assert known(counts(("video/x", 1, None))) == []


def test_a_late_correction_of_an_older_snapshot_displaces_nothing() -> None:
    frame = pl.concat(
        [
            counts(("channel/a", 1, 500.0), ("channel/a", 3, 700.0)),
            counts(("channel/a", 1, 5_000.0), later=9 * DAY),
        ]
    )

    assert known(frame) == [(end_of(1), 500.0), (end_of(3), 700.0)]


def test_observations_carry_the_tier_that_was_known_and_its_age() -> None:
    described = panel_problem(search=panel(), tube=channels(max_age="2d"))
    tube = counts(("channel/a", 2, 300_000.0))
    target = raw({day: shares() for day in (1, 2, 3, 5)})

    rows = observe(target, {"tube": tube}, described, end_of(9))

    told = rows.select("valid_time", "tube_value", "tube_valid_time", "tube_age_hours").unique()
    assert sorted(told.rows()) == [
        (end_of(1), None, None, None),
        (end_of(2), 3.0, end_of(2), 0.0),
        (end_of(3), 3.0, end_of(2), 24.0),
        (end_of(5), None, None, 72.0),  # three days are too old
    ]
    assert len(rows) == 32


def test_observations_carry_a_single_series_of_values() -> None:
    described = panel_problem(search=panel(), weather=single())
    weather = raw({1: {"weather": 21.5}, 2: {"weather": 22.5}})

    rows = observe(raw({2: shares()}), {"weather": weather}, described, end_of(9))

    assert rows["weather_value"].unique().to_list() == [22.5]


def test_a_panel_cannot_be_joined_to_a_target() -> None:
    described = panel_problem(search=panel(), other=panel(role="exogenous", max_age="1d"))

    with pytest.raises(SourceError, match=r"other: .*keys brand, gender, age_group.*remove `keys`"):
        observe(raw({1: shares()}), {}, described, end_of(9))
