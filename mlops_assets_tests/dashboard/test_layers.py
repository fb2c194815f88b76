from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.layers import PALETTE, Layer, accuracy, free_colour

START = datetime(2026, 3, 2, tzinfo=UTC)


def row(hour: int, point: float | None, width: float = 2.0) -> dict[str, object]:
    """A forecast of the hour after `hour`."""
    middle = 0.0 if point is None else point
    return {
        "last_observed": (START + timedelta(hours=hour)).isoformat(),
        "valid_time": (START + timedelta(hours=hour + 1)).isoformat(),
        "point": point,
        "lower": middle - width,
        "upper": middle + width,
    }


VALUES = {START + timedelta(hours=hour): value for hour, value in enumerate((10.0, 13.0, 9.0))}


def test_errors_are_of_the_rows_that_came_true_beside_the_last_values() -> None:
    found = accuracy([row(0, 12.0), row(1, 12.0), row(2, 9.0)], VALUES)

    # Errors -1 and 3; the last value's, 3 and 4; the third row has no outcome yet.
    assert found is not None
    assert (found.n, found.mae, found.mae_last_value, found.coverage) == (2, 2.0, 3.5, 0.5)
    assert found.rmse == pytest.approx(5**0.5)


def test_a_forecast_that_is_no_number_is_not_scored() -> None:
    found = accuracy([row(0, None), row(1, 9.0)], VALUES)

    assert found is not None
    assert (found.n, found.mae) == (1, 0.0)


def test_nothing_that_came_true_has_no_errors() -> None:
    assert accuracy([row(2, 9.0)], VALUES) is None


def test_a_new_layer_takes_the_first_colour_that_is_free() -> None:
    layers = [Layer("champion", colour=PALETTE[0]), Layer("candidate", "a", colour=PALETTE[2])]

    assert free_colour(layers) == PALETTE[1]


def test_colours_begin_anew_when_all_are_taken() -> None:
    layers = [Layer("version", str(n), colour=colour) for n, colour in enumerate(PALETTE)]

    assert free_colour(layers) == PALETTE[0]
