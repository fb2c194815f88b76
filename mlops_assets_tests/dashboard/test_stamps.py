from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from dashboard.layers import accuracy
from dashboard.stamps import day_of, instant, on_chart
from mlops_assets.evaluation.alignment import misaligned
from mlops_assets_tests.dashboard.worlds import VALID, close
from mlops_assets_tests.serving.published import HOUR, Row
from mlops_assets_tests.serving.published_past import instant as text_of


def copies(*, early: timedelta = timedelta()) -> list[Row]:
    """A price-copier: from each origin, the close that is valid then, stamped `early`."""
    return [
        {
            "origin": text_of(origin),
            "last_observed": text_of(origin),
            "valid_time": text_of(origin + HOUR - early),
            "step": 1,
            "point": close(origin),
            "lower": close(origin) - 1,
            "upper": close(origin) + 1,
        }
        for origin in VALID
    ]


def drawn_closes() -> dict[str, float]:
    """Where each bar is drawn -> its close."""
    return {on_chart(text_of(at), HOUR): close(at) for at in VALID}


def test_a_bar_is_drawn_where_it_opens() -> None:
    assert on_chart("2026-03-02T12:00:00Z", HOUR) == "2026-03-02T11:00:00"


def test_a_forecast_is_drawn_on_the_bar_whose_close_it_forecasts() -> None:
    # From 12:00, for the close at 13:00 of the bar that opens at 12:00.
    assert on_chart("2026-03-02T13:00:00Z", HOUR) == "2026-03-02T12:00:00"


@pytest.mark.parametrize(
    ("valid_time", "day"),
    [
        ("2026-03-02T15:00:00Z", date(2026, 3, 2)),  # the end of 2 March in Seoul
        ("2026-03-03T00:00:00Z", date(2026, 3, 2)),  # the end of 2 March in London
        ("2026-03-03T05:00:00Z", date(2026, 3, 2)),  # the end of 2 March in New York
    ],
)
def test_a_day_is_drawn_at_its_own_date_whatever_the_zone(valid_time: str, day: date) -> None:
    assert day_of(valid_time, timedelta(days=1)) == day
    assert on_chart(valid_time, timedelta(days=1)) == day.isoformat()


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="2026-03-02T12:00:00: an instant needs a zone"):
        instant("2026-03-02T12:00:00")


def test_a_price_copier_is_drawn_one_hour_late() -> None:
    closes = drawn_closes()
    for row in copies()[:-1]:
        at = datetime.fromisoformat(on_chart(row["valid_time"], HOUR))
        before = (at - HOUR).isoformat()
        assert closes[before] == row["point"]
        assert closes[at.isoformat()] != row["point"]


def test_stamped_one_hour_early_the_same_copier_would_look_perfect() -> None:
    closes = drawn_closes()
    early = copies(early=HOUR)

    assert [closes[on_chart(row["valid_time"], HOUR)] for row in early] == [
        row["point"] for row in early
    ]
    values = {at: close(at) for at in VALID}
    perfect, honest = accuracy(early, values), accuracy(copies(), values)
    assert perfect is not None
    assert honest is not None
    assert (perfect.mae, perfect.coverage) == (0.0, 1.0)
    assert honest.mae == honest.mae_last_value > 100


def test_the_platform_refuses_forecasts_that_are_stamped_so() -> None:
    rows = [
        {**row, **{name: instant(row[name]) for name in ("origin", "last_observed", "valid_time")}}
        for row in copies(early=HOUR)
    ]

    faults = misaligned(pl.DataFrame(rows), frequency=HOUR)

    assert f"{len(VALID)} forecasts are misaligned" in faults[0]
    assert "it must be later than its origin" in faults[0]
    assert misaligned(pl.DataFrame(rows).with_columns(
        valid_time=pl.col("valid_time") + HOUR), frequency=HOUR) == []  # fmt: skip


def test_the_world_of_these_tests_moves_every_hour() -> None:
    assert all(close(at) != close(at - HOUR) for at in VALID)
    assert VALID[-1] == datetime(2026, 3, 2, 12, tzinfo=UTC)
