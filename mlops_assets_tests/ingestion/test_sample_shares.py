from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from mlops_assets.ingestion import sample as generator
from mlops_assets.ingestion.naver import AGES
from mlops_assets.ingestion.sample_shares import shares
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import ShareSample, ValueSource
from mlops_assets.settings import Settings
from mlops_assets_tests.ingestion.searches import DAY, JANUARY, share_source

BRANDS = tuple("abcde")
LABELS = {"brand": BRANDS, "gender": ("female", "male"), "age_group": tuple(AGES)}
YEAR = timedelta(days=366)


def origin(**sample: object) -> ValueSource:
    """Five brands in twelve segments, sampled from January 2024 on."""
    return share_source(keys=LABELS, sample={"start": JANUARY, **sample})


def fetch(
    source: ValueSource, *, start: datetime = JANUARY, end: datetime = JANUARY + YEAR
) -> pl.DataFrame:
    return generator.fetch(
        "share", source, start=start, end=end, fetched_at=end, settings=Settings()
    )


def by_day(rows: pl.DataFrame) -> np.ndarray[tuple[int, int, int], np.dtype[np.float64]]:
    """Values of shape (days, brands, segments)."""
    values = rows["value"].to_numpy()
    return values.reshape(-1, len(BRANDS), 12)


YEAR_OF_SHARES = by_day(fetch(origin()))


def test_every_series_has_a_share_on_every_day() -> None:
    rows = fetch(origin())

    assert rows["series"].unique(maintain_order=True).to_list() == list(
        origin().series_names("share")
    )
    assert len(rows) == 366 * 60
    assert rows["valid_time"].unique().sort().to_list() == [
        JANUARY + (day + 1) * DAY for day in range(366)
    ]


def test_the_shares_of_a_segment_sum_to_100_but_for_rounding() -> None:
    sums = YEAR_OF_SHARES.sum(axis=1)

    assert np.abs(sums - 100).max() <= 0.025 + 1e-9


def test_shares_are_quotients_of_counts_rounded_to_two_decimals() -> None:
    # A segment whose searches are few: each share is a whole number of N-ths for some N.
    of_day = YEAR_OF_SHARES[0, :, YEAR_OF_SHARES.std(axis=0).mean(axis=0).argmax()]
    counts = np.arange(10, 200)
    found = [
        n for n in counts if np.allclose(np.round(100 * np.rint(of_day * n / 100) / n, 2), of_day)
    ]

    assert found


def test_the_same_days_are_the_same_whenever_they_are_generated() -> None:
    early = fetch(origin(seed=7), end=JANUARY + 40 * DAY)
    late = fetch(origin(seed=7), end=JANUARY + 500 * DAY)

    assert early.drop("fetched_at").equals(late.head(40 * 60).drop("fetched_at"))


def test_a_part_is_the_same_as_in_the_whole() -> None:
    part = fetch(origin(), start=JANUARY + 100 * DAY, end=JANUARY + 130 * DAY)

    assert np.array_equal(by_day(part), YEAR_OF_SHARES[100:130])


def test_other_seeds_give_other_shares() -> None:
    one, two = (by_day(fetch(origin(seed=seed), end=JANUARY + 9 * DAY)) for seed in (1, 2))

    assert np.mean(one == two) < 0.05


def test_searches_are_as_many_as_asked_and_four_times_more_in_july_than_in_january() -> None:
    # Var = 100^2 p (1 - p) / N, so N follows from how much days differ from the days around them.
    def searches(days: slice) -> float:
        values = YEAR_OF_SHARES[days] / 100
        jumps = np.diff(values, axis=0) ** 2 / 2
        mean = values.mean(axis=0)
        return float(np.median(mean * (1 - mean) / jumps.mean(axis=0)))

    january, july = searches(slice(10, 50)), searches(slice(190, 230))

    # 200 searches in between, halved in winter and doubled in summer.
    assert january == pytest.approx(100, rel=0.35)
    assert july == pytest.approx(400, rel=0.35)


def test_shares_stay_around_their_usual_level_for_many_years() -> None:
    source = origin(level_sd=0.05)
    first = by_day(fetch(source)).mean(axis=0)
    late = by_day(fetch(source, start=JANUARY + 3650 * DAY, end=JANUARY + 4015 * DAY)).mean(axis=0)

    assert np.abs(np.log(late / first)).max() < 0.7


def test_knowing_the_process_beats_the_mean_of_28_days_at_long_leads() -> None:
    # The share of the same season a year earlier knows the season, which the mean does not.
    two = by_day(fetch(origin(volume=20_000.0, level_sd=0.0), end=JANUARY + 2 * YEAR))
    days = np.arange(366 + 60, 700)
    mean = np.stack([two[day - 28 : day].mean(axis=0) for day in days])
    lead = two[days + 27]
    year_ago = two[days + 27 - 364]

    assert np.abs(year_ago - lead).mean() < 0.8 * np.abs(mean - lead).mean()


def test_levels_move_together_across_segments_and_return() -> None:
    still = by_day(fetch(origin(volume=1e6, level_sd=0.0)))
    moving = by_day(fetch(origin(volume=1e6, level_sd=0.03)))
    moved = np.log(moving / still)
    moved -= moved.mean(axis=1, keepdims=True)

    between = np.corrcoef(moved[:, 0, :].T)[np.triu_indices(12, 1)].mean()
    lags = [np.corrcoef(moved[lag:, 0, 0], moved[:-lag, 0, 0])[0, 1] for lag in (1, 60)]

    # Innovations share 0.64 of their variance, by the definition of the process.
    assert 0.3 < between < 0.95
    assert lags[0] > 0.9
    assert lags[1] < 0.6


def test_values_that_do_not_add_up_have_no_sample() -> None:
    weather = share_source(keys={}, sums_to=None, sample={"start": JANUARY})

    with pytest.raises(SourceError, match=r"no `sums_to`; remove `sample`, add `files`"):
        fetch(weather)


def test_shares_of_weeks_have_no_sample() -> None:
    weekly = share_source(period=7 * DAY, sample={"start": JANUARY})

    with pytest.raises(SourceError, match=r"shares of 7 days, 0:00:00 cannot be sampled.*1d"):
        fetch(weekly)


def test_any_keys_and_any_total_make_a_panel() -> None:
    source = share_source(
        keys={"shop": ("x", "y"), "kind": ("p", "q", "r"), "colour": ("red", "blue")},
        sums_to={"total": 1, "within": ("shop",)},
        plausible=(0.0, 1.0),
    )
    sample = ShareSample(start=JANUARY)

    rows = shares("share", source, sample, start=JANUARY, end=JANUARY + 3 * DAY)

    sums = rows.with_columns(pl.col("series").str.head(1)).group_by("series", "valid_time")
    assert len(rows) == 3 * 12
    assert sums.agg(pl.col("value").sum())["value"].is_between(0.969, 1.031).all()
