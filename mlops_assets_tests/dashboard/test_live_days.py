from __future__ import annotations

import pytest

from dashboard.live_days import LiveDay, by_day, over_all


def score(day: str, n: int, mae: float | None, **changes: object) -> dict[str, object]:
    """A live score of a champion."""
    return {
        "day": day,
        "role": "champion",
        "step": 1,
        "n": n,
        "mae": mae,
        "coverage": 0.5,
        "mae_last_value": 4.0,
        **changes,
    }


def test_versions_of_a_day_are_added_up_by_their_rows() -> None:
    rows = [score("a", 10, 1.0, coverage=1.0), score("a", 30, 3.0), score("b", 5, 7.0)]

    # (10 x 1 + 30 x 3) / 40 = 2.5 and (10 x 1 + 30 x 0.5) / 40 = 0.625
    assert by_day(rows, step=1, role="champion") == [
        LiveDay("a", 40, 2.5, 0.625, 4.0),
        LiveDay("b", 5, 7.0, 0.5, 4.0),
    ]


@pytest.mark.parametrize("other", [{"role": "challenger"}, {"step": 2}, {"n": 0}])
def test_challengers_other_steps_and_empty_days_are_left_out(other: dict[str, object]) -> None:
    rows = [{**score("a", 10, 1.0), **other}]

    assert by_day(rows, step=1, role="champion") == []


def test_a_figure_that_is_unknown_does_not_weigh() -> None:
    total = over_all([LiveDay("a", 9, None, 1.0, 2.0), LiveDay("b", 1, 5.0, 0.0, 4.0)])

    assert total == LiveDay("b", 10, 5.0, 0.9, 2.2)


def test_no_days_have_no_mean() -> None:
    with pytest.raises(ValueError, match="say that nothing came true instead"):
        over_all([])
