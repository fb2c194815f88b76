from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.ingestion.sample_channels import CHANNEL, VIDEOS, snapshots
from mlops_assets.problem import ChannelSample

START = datetime(2024, 1, 1, tzinfo=UTC)
SAMPLE = ChannelSample(start=START, subscribers=27_500)
DECADE = timedelta(days=3650)


def of(series: str, *, end: datetime = START + DECADE) -> pl.DataFrame:
    return snapshots(SAMPLE, start=START, end=end).filter(series=series)


def test_each_midnight_has_a_channel_and_two_videos() -> None:
    found = snapshots(SAMPLE, start=START, end=START + timedelta(days=1, hours=1))

    times = [START] * 3 + [START + timedelta(days=1)] * 3
    assert found.select("valid_time", "series").rows() == list(
        zip(times, [CHANNEL, *VIDEOS] * 2, strict=True)
    )


def test_the_channel_begins_with_the_subscribers_asked_for() -> None:
    assert of(CHANNEL)["subscribers"][0] == 27_500


def test_counts_grow_without_a_step_back_and_stay_credible_for_ten_years() -> None:
    for series in (CHANNEL, *VIDEOS):
        views = of(series)["views"]
        assert (views.diff().drop_nulls() >= 0).all()
        assert 2 < views[-1] / views[0] < 8


def test_subscribers_are_rounded_down_to_three_digits() -> None:
    shown = of(CHANNEL)["subscribers"]

    assert (shown % 100 == 0).all()
    assert shown.n_unique() > 100


def test_what_a_series_does_not_have_or_hides_is_null_and_never_zero() -> None:
    channel, first, second = (of(series) for series in (CHANNEL, *VIDEOS))

    assert channel["likes"].is_null().all()
    assert first["subscribers"].is_null().all()
    assert second["likes"].is_null().all()
    assert first["likes"].null_count() == second["comments"].null_count() == 0


def test_a_part_is_the_same_as_in_the_whole() -> None:
    begin, stop = START + timedelta(days=31), START + timedelta(days=61)

    part = snapshots(SAMPLE, start=begin, end=stop)

    whole = snapshots(SAMPLE, start=START, end=START + DECADE)
    assert part.equals(whole.filter(pl.col("valid_time").is_between(begin, stop, closed="left")))


def test_other_seeds_grow_otherwise() -> None:
    other = SAMPLE.model_copy(update={"seed": 1})
    end = START + timedelta(days=9)

    found = snapshots(other, start=START, end=end)

    assert not found.equals(snapshots(SAMPLE, start=START, end=end))
