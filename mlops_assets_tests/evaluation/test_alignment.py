from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from mlops_assets.evaluation.alignment import copier_is_shifted, misaligned
from mlops_assets_tests.evaluation.frames import HOUR, START

CLOSES = [100.0, 103.0, 101.0, 106.0]
"""Closes at START, START + 1 h ..."""


def observations() -> pl.DataFrame:
    times = [START + k * HOUR for k in range(len(CLOSES))]
    return pl.DataFrame(
        {
            "series": "coin",
            "valid_time": times,
            "known_at": times,
            "superseded_at": pl.Series([None] * len(CLOSES), dtype=pl.Datetime("us", "UTC")),
            "close": CLOSES,
        }
    )


def forecasts(*, step: int = 1) -> pl.DataFrame:
    """Honest forecasts of a copier from the first three closes."""
    origins = [START + k * HOUR for k in range(3)]
    return pl.DataFrame(
        {
            "series": "coin",
            "origin": origins,
            "last_observed": origins,
            "max_known_at": origins,
            "step": [step] * 3,
            "valid_time": [origin + step * HOUR for origin in origins],
            "last_value": CLOSES[:3],
        },
    )


def faults(table: pl.DataFrame, seen: pl.DataFrame | None = None) -> list[str]:
    seen = observations() if seen is None else seen
    return misaligned(table, frequency=HOUR) + copier_is_shifted(
        table, seen, frequency=HOUR, column="close"
    )


@pytest.mark.parametrize("step", [1, 2, 24])
def test_honest_forecasts_have_no_fault(step: int) -> None:
    assert faults(forecasts(step=step)) == []


def test_no_forecast_is_no_fault() -> None:
    assert faults(forecasts().clear()) == []


def test_a_forecast_stamped_one_step_early_is_refused_by_its_origin_and_its_stamp() -> None:
    early = forecasts().with_columns(valid_time=pl.col("valid_time") - HOUR)

    by_origin, by_step = misaligned(early, frequency=HOUR)

    assert "3 forecasts are misaligned: the one from origin 2024-02-01T00:00Z" in by_origin
    assert "is stamped 2024-02-01 00:00:00+00:00; it must be later than its origin" in by_origin
    assert "its step counted from the last observed value" in by_step


def test_a_forecast_stamped_late_is_refused_as_well() -> None:
    late = forecasts().with_columns(valid_time=pl.col("valid_time") + HOUR)

    [fault] = misaligned(late, frequency=HOUR)

    assert "is stamped 2024-02-01 02:00:00+00:00" in fault


def test_a_value_known_after_the_origin_is_refused() -> None:
    second = pl.col("origin") == START + HOUR
    table = forecasts().with_columns(
        max_known_at=pl.when(second)
        .then(pl.col("origin") + timedelta(minutes=1))
        .otherwise("max_known_at")
    )

    [fault] = misaligned(table, frequency=HOUR)

    assert "1 forecasts are misaligned: the one from origin 2024-02-01T01:00Z" in fault
    assert "uses a value known only at 2024-02-01 01:01:00+00:00" in fault


def test_a_copier_is_one_step_late_and_never_right_at_its_own_time() -> None:
    table = forecasts()
    at_its_time = table.join(observations(), on=["series", "valid_time"])

    assert copier_is_shifted(table, observations(), frequency=HOUR, column="close") == []
    assert not (at_its_time["last_value"] == at_its_time["close"]).any()


def test_a_stamp_under_which_a_copier_looks_perfect_is_refused() -> None:
    # What a careless join does: the period's own close stands in for the last value.
    perfect = forecasts().with_columns(last_value=pl.Series(CLOSES[1:]))
    at_its_time = perfect.join(observations(), on=["series", "valid_time"])
    assert (at_its_time["last_value"] == at_its_time["close"]).all()

    [fault] = copier_is_shifted(perfect, observations(), frequency=HOUR, column="close")

    assert "copies a last value of 103.0" in fault
    assert "it must be the value observed its step before" in fault


def test_the_off_by_one_stamp_is_refused_even_when_everything_else_is_shifted_with_it() -> None:
    # Origin and last observed moved with the stamp: only the observed values can tell.
    moved = forecasts().with_columns(
        pl.col("origin", "last_observed", "valid_time", "max_known_at") - HOUR
    )
    assert misaligned(moved, frequency=HOUR) == []

    [fault] = copier_is_shifted(moved, observations(), frequency=HOUR, column="close")

    assert fault.startswith("3 forecasts are misaligned")


def corrected_newest() -> pl.DataFrame:
    """The close at START + 2 h is corrected to 99 half an hour after it."""
    at, when = START + 2 * HOUR, START + 2 * HOUR + HOUR / 2
    chosen = pl.col("valid_time") == at
    first = observations().with_columns(
        superseded_at=pl.when(chosen).then(pl.lit(when)).cast(pl.Datetime("us", "UTC"))
    )
    again = first.filter(chosen).with_columns(
        known_at=pl.lit(when).cast(pl.Datetime("us", "UTC")),
        superseded_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
        close=pl.lit(99.0),
    )
    return pl.concat([first, again])


@pytest.mark.parametrize(
    ("minutes", "last_value", "honest"),
    [(0, 101.0, True), (0, 99.0, False), (30, 99.0, True), (30, 101.0, False)],
)
def test_a_copier_copies_the_version_that_was_known_at_its_origin(
    minutes: int, last_value: float, honest: bool
) -> None:
    newest = (
        forecasts()
        .tail(1)
        .with_columns(
            origin=pl.col("origin") + timedelta(minutes=minutes), last_value=pl.lit(last_value)
        )
    )

    assert (faults(newest, corrected_newest()) == []) is honest


def test_the_copied_value_is_looked_up_in_the_column_that_is_forecast() -> None:
    named = observations().rename({"close": "value"})
    shifted = forecasts().with_columns(last_value=pl.Series(CLOSES[1:]))

    assert copier_is_shifted(forecasts(), named, frequency=HOUR, column="value") == []
    [fault] = copier_is_shifted(shifted, named, frequency=HOUR, column="value")
    assert "copies a last value of 103.0" in fault
