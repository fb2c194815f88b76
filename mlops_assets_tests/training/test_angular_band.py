"""The angular band of shares: quantiles by hand, what was known when, and the coverage it gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mlops_assets.problem import Band
from mlops_assets.training.angular_band import angular_offsets
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.intervals import TooFewScoresError

START = datetime(2024, 1, 1, 15, tzinfo=UTC)
DAY = timedelta(days=1)
BAND = Band.model_validate(
    {
        "method": "angular",
        "coverage": 0.9,
        "window": 90,
        "least": 20,
        "half_life": 45,
        "count_feature": "log_count",
        "level_feature": "usual_share",
        "calibration": "90d",
    }
)
EVEN = BAND.model_copy(update={"half_life": None})


def day(number: int) -> datetime:
    return START + number * DAY


def errors(
    scores: FloatArray,
    *,
    step: int = 1,
    series: str = "a/f",
    part: str = "a",
    noise: FloatArray | float = 1.0,
    spread: float = 0.0,
) -> pl.DataFrame:
    """One error a day, the k-th of the period that ends on day k and is known then."""
    count = len(scores)
    return pl.DataFrame(
        {
            "series": [series] * count,
            "step": [step] * count,
            "valid_time": [day(k) for k in range(count)],
            "target_known_at": [day(k) for k in range(count)],
            "score": scores,
            "noise": np.broadcast_to(noise, count),
            "spread": np.full(count, spread),
            "part": [part] * count,
        }
    )


def asked(
    *origins: int,
    step: int = 1,
    series: str = "a/f",
    part: str = "a",
    noise: float = 1.0,
    spread: float = 0.0,
) -> pl.DataFrame:
    count = len(origins)
    return pl.DataFrame(
        {
            "series": [series] * count,
            "step": [step] * count,
            "origin": [day(k) for k in origins],
            "noise": [noise] * count,
            "spread": [spread] * count,
            "part": [part] * count,
        }
    )


def bounds(banded: pl.DataFrame) -> FloatArray:
    return banded.select("band_lower", "band_upper").to_numpy()


def signs(count: int) -> FloatArray:
    """1, -1, 1, ..."""
    return np.where(np.arange(count) % 2 == 0, 1.0, -1.0)


def panel(seed: int, *, days: int = 120, step: int = 1) -> pl.DataFrame:
    """Errors of two parts in three segments, with noise and spread that change."""
    rng = np.random.default_rng(seed)
    tables = []
    for part, tau in (("a", 0.02), ("b", 0.1)):
        for segment in ("x", "y", "z"):
            noise = np.exp(rng.normal(-7, 0.5, days))
            scores = rng.normal(size=days) * np.sqrt(2 * noise + tau * 0.05)
            name = f"{part}/{segment}"
            tables.append(
                errors(scores, step=step, series=name, part=part, noise=noise, spread=0.05)
            )
    return pl.concat(tables)


def test_with_one_variance_the_offsets_are_the_quantiles_of_the_errors() -> None:
    scores = np.random.default_rng(0).permutation(np.linspace(-0.02, 0.08, 41))

    banded = angular_offsets(errors(scores), asked(40), EVEN)

    # Of 41 equally spaced values the 5 % quantile is the third, the 95 % quantile the third last.
    assert bounds(banded)[0] == pytest.approx([-0.02 + 0.0025 * 2, 0.08 - 0.0025 * 2])


def test_offsets_grow_with_the_root_of_the_noise_of_counting() -> None:
    alternating = 0.1 * signs(60)
    noise = np.where(np.arange(60) < 30, 1.0, 4.0)
    history = errors(alternating * np.sqrt(noise), noise=noise)

    wanted = pl.concat([asked(60, noise=1.0), asked(60, noise=9.0)])

    assert bounds(angular_offsets(history, wanted, EVEN)) == pytest.approx(
        np.array([[-0.1, 0.1], [-0.3, 0.3]])
    )


def test_every_part_has_a_spread_of_its_own() -> None:
    sign = signs(60)
    history = pl.concat(
        [
            errors(0.1 * sign, noise=0.0, spread=0.25),
            errors(0.3 * sign, noise=0.0, spread=0.25, series="b/f", part="b"),
        ]
    )
    wanted = pl.concat(
        [
            asked(60, noise=0.0, spread=0.25),
            asked(60, noise=0.0, spread=0.25, series="b/f", part="b"),
        ]
    )

    assert bounds(angular_offsets(history, wanted, EVEN)) == pytest.approx(
        np.array([[-0.1, 0.1], [-0.3, 0.3]])
    )


def test_a_part_without_errors_takes_the_spread_of_all_parts_together() -> None:
    sign = signs(60)
    history = pl.concat(
        [
            errors(0.1 * sign, noise=0.0, spread=0.25),
            errors(0.1 * sign, noise=0.0, spread=0.25, series="b/f", part="b"),
        ]
    )

    banded = angular_offsets(
        history, asked(60, noise=0.0, spread=1.0, series="new/f", part="new"), EVEN
    )

    assert bounds(banded)[0] == pytest.approx([-0.2, 0.2])  # four times the spread


def test_a_series_that_errs_more_than_the_model_says_gets_a_wider_band() -> None:
    sign = signs(60)
    history = pl.concat([errors(0.1 * sign), errors(0.3 * sign, series="a/m")])
    wanted = pl.concat([asked(60), asked(60, series="a/m"), asked(60, series="a/new")])

    lower, upper = bounds(angular_offsets(history, wanted, EVEN)).T

    # phi = (0.01 + 0.09) / 2, squared ratios 0.2 and 1.8, 60 errors against a prior of 60.
    quiet, loud = np.sqrt([(0.2 + 1) / 2, (1.8 + 1) / 2])
    assert upper / upper[2] == pytest.approx([quiet, loud, 1.0])
    assert lower == pytest.approx(-upper)
    # The loud half of all errors is the larger one in units of its own spread too: z is its size.
    assert upper[1] == pytest.approx(0.3)


def test_recent_errors_count_more_than_old_ones() -> None:
    # Half of the errors are small; counted alike the median size lies between the two sizes,
    # while with a half-life of 5 periods the older half weighs 2 ** -9 of the newer.
    history = errors(np.where(np.arange(90) < 45, 0.01, 0.1) * signs(90))
    quarter = EVEN.model_copy(update={"coverage": 0.4})

    (even,), (recent,) = (
        bounds(angular_offsets(history, asked(90), band))
        for band in (quarter, quarter.model_copy(update={"half_life": 5}))
    )

    assert even == pytest.approx([-0.01, 0.01])
    assert recent == pytest.approx([-0.1, 0.1])


def test_errors_older_than_the_window_are_forgotten() -> None:
    table = errors(np.random.default_rng(0).normal(size=150))
    older = table.with_columns(
        score=pl.when(pl.col("valid_time") < day(60)).then(9.9).otherwise("score")
    )

    # At day 149 the newest ninety periods are those of days 60 .. 149.
    assert bounds(angular_offsets(older, asked(149), BAND)).tolist() == (
        bounds(angular_offsets(table, asked(149), BAND)).tolist()
    )
    assert bounds(angular_offsets(older, asked(148), BAND)).tolist() != (
        bounds(angular_offsets(table, asked(148), BAND)).tolist()
    )


def test_errors_that_are_not_known_yet_change_nothing() -> None:
    table = panel(3)
    newcomer = errors(np.full(120, 7.0), series="c/x", part="c").filter(
        pl.col("target_known_at") > day(80)
    )
    later = pl.concat(
        [
            table.with_columns(
                score=pl.when(pl.col("target_known_at") > day(80)).then(5.0).otherwise("score")
            ),
            newcomer,
        ]
    )
    wanted = pl.concat(
        [asked(60, 80, 81, series="a/x", spread=0.05), asked(80, series="b/y", part="b")]
    )

    before, after = (bounds(angular_offsets(h, wanted, BAND)) for h in (table, later))

    assert (before[[0, 1, 3]] == after[[0, 1, 3]]).all()
    assert (before[2] != after[2]).all()


def test_a_period_that_is_published_late_counts_from_its_publication_on() -> None:
    late = errors(np.random.default_rng(0).normal(size=60)).with_columns(
        target_known_at=pl.col("valid_time") + 2 * DAY
    )
    known = late.filter(pl.col("valid_time") <= day(48))

    assert_frame_equal(
        angular_offsets(late, asked(50), BAND), angular_offsets(known, asked(50), BAND)
    )


def test_the_order_of_rows_does_not_matter() -> None:
    table = panel(4)
    wanted = asked(100, 110, series="b/x", part="b", spread=0.05)

    shuffled = angular_offsets(table.sample(fraction=1, shuffle=True, seed=1), wanted, BAND)

    assert shuffled.equals(angular_offsets(table, wanted, BAND))


def test_steps_between_two_fitted_ones_lie_between_their_parameters() -> None:
    sign = signs(60)
    history = pl.concat([errors(0.1 * sign, step=1), errors(0.3 * sign, step=7)])
    wanted = pl.concat([asked(60, step=step) for step in (1, 3, 4, 7, 28)])

    upper = bounds(angular_offsets(history, wanted, EVEN))[:, 1]

    # phi is 0.01 at step 1 and 0.09 at step 7, z is 1 at both; linear in phi, constant outside.
    phi = np.array([0.01, 0.01 + 0.08 * 2 / 6, 0.05, 0.09, 0.09])
    assert upper == pytest.approx(np.sqrt(phi))


def test_a_step_is_fitted_only_at_the_origins_that_ask_for_it() -> None:
    history = pl.concat([errors(np.ones(60)), errors(np.ones(60), step=7).tail(30)])
    wanted = pl.concat([asked(30, 59), asked(59, step=7)])

    assert len(angular_offsets(history, wanted, BAND)) == 3


def test_rows_keep_their_order_and_their_other_columns() -> None:
    wanted = asked(70, 50, 60).with_columns(fold=pl.Series([2, 0, 1]))

    banded = angular_offsets(errors(np.random.default_rng(0).normal(size=80)), wanted, BAND)

    assert_frame_equal(banded.drop("band_lower", "band_upper"), wanted)


@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_the_band_holds_the_point_however_biased_the_errors_are(shift: float) -> None:
    history = panel(5).with_columns(pl.col("score") * 0.1 + shift)
    wanted = asked(60, 119, series="a/x", noise=0.001, spread=0.05)

    lower, upper = bounds(angular_offsets(history, wanted, BAND)).T

    assert (lower <= 0).all()
    assert (upper >= 0).all()


def test_forecasts_that_never_erred_get_a_band_without_width() -> None:
    banded = angular_offsets(errors(np.zeros(60)), asked(60), BAND)

    assert bounds(banded).tolist() == [[0.0, 0.0]]


def test_a_part_that_never_erred_still_gets_a_band_with_a_width() -> None:
    scores = 0.1 * signs(60)
    history = pl.concat(
        [
            errors(scores, noise=0.0, spread=0.25),
            errors(np.zeros(60), noise=0.0, spread=0.25, series="b/f", part="b"),
        ]
    )

    banded = angular_offsets(
        history, asked(60, noise=0.0, spread=0.25, series="b/f", part="b"), EVEN
    )

    (lower, upper) = bounds(banded)[0]
    assert -0.1 < lower < 0 < upper < 0.1


def test_too_few_verified_forecasts_give_no_band_but_an_error_with_the_remedy() -> None:
    table = errors(np.ones(60))

    assert len(angular_offsets(table, asked(19), BAND)) == 1
    with pytest.raises(TooFewScoresError) as caught:
        angular_offsets(table, asked(18, 50), BAND)
    assert str(caught.value) == (
        "step 1 at origin 2024-01-19T15:00Z: 19 forecasts have come true; an angular band needs "
        "20; lengthen band.calibration or start the evaluation later"
    )


def test_no_history_at_all_is_too_few() -> None:
    with pytest.raises(TooFewScoresError, match="0 forecasts have come true"):
        angular_offsets(errors(np.ones(5)).clear(), asked(60), BAND)


def test_no_row_wanted_gives_no_row() -> None:
    banded = angular_offsets(errors(np.ones(60)), asked(60).clear(), BAND)

    assert banded.columns[-2:] == ["band_lower", "band_upper"]
    assert banded.is_empty()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_an_error_that_is_no_number_is_refused(value: float | None) -> None:
    table = errors(np.ones(60)).with_columns(score=pl.lit(value, dtype=pl.Float64))

    with pytest.raises(
        ValueError, match=r"history: score = .* of series 'a/f' at step 1; .*finite"
    ):
        angular_offsets(table, asked(60), BAND)


@pytest.mark.parametrize("column", ["noise", "spread"])
def test_a_negative_variance_is_refused(column: str) -> None:
    wanted = asked(60).with_columns(pl.lit(-0.5).alias(column))

    with pytest.raises(ValueError, match=rf"wanted: {column} = -0.5 .*not negative; correct"):
        angular_offsets(errors(np.ones(60)), wanted, BAND)


def test_the_band_of_binomial_shares_covers_what_it_promises_while_counts_change() -> None:
    rng = np.random.default_rng(7)
    days, shares = 300, {"a": 0.08, "b": 0.22, "c": 0.7}
    tables = []
    for segment, usual in (("x", 60), ("y", 300), ("z", 1500)):
        count = np.rint(usual * np.exp(1.2 * np.sin(np.arange(days) / 40))).astype(int)
        for part, share in shares.items():
            moved = np.clip(share + 0.1 * share * (1 - share) * rng.normal(size=days), 0.001, 0.999)
            score = np.arcsin(np.sqrt(rng.binomial(count, moved) / count)) - np.arcsin(
                np.sqrt(share)
            )
            table = errors(
                score,
                series=f"{part}/{segment}",
                part=part,
                noise=0.25 / count,
                spread=share * (1 - share) / 4,
            )
            tables.append(table)
    history = pl.concat(tables)
    # The forecast for a day is made the day before, when the count to come is known here.
    wanted = history.with_columns(origin=pl.col("valid_time") - DAY).filter(
        pl.col("origin") >= day(100)
    )

    banded = angular_offsets(history, wanted, BAND)

    inside = banded.select("series", hit=pl.col("score").is_between("band_lower", "band_upper"))
    by_segment = inside.group_by(pl.col("series").str.split("/").list.last()).agg(
        pl.col("hit").mean()
    )
    assert inside["hit"].mean() == pytest.approx(0.9, abs=0.02)
    assert by_segment["hit"].to_list() == pytest.approx([0.9] * 3, abs=0.04)
