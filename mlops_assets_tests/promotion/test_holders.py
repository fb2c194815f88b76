from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.promotion.holders import alias_moves, with_holders

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def verdicts(*moves: tuple[int, str]) -> pl.DataFrame:
    """Verdicts in the order in which they were held: hours after noon, version that holds then."""
    return pl.DataFrame(
        {
            "as_of": [NOON + hours * HOUR for hours, _ in moves],
            "version": [version for _, version in moves],
        }
    )


def holders(*moves: tuple[int, str], hours: int = 9) -> list[str]:
    """Who held the alias, oldest first, as known so many hours after noon."""
    return alias_moves(verdicts(*moves), as_of=NOON + hours * HOUR)["version"].to_list()


def test_a_run_as_of_the_past_does_not_rewrite_who_was_champion() -> None:
    assert holders((1, "1"), (3, "2"), (2, "2")) == ["1", "2"]


def test_of_two_verdicts_at_one_instant_the_last_counts() -> None:
    assert holders((1, "1"), (1, "2")) == ["2"]


def test_a_verdict_of_later_than_the_clock_is_not_seen() -> None:
    assert holders((1, "1"), (3, "2"), hours=2) == ["1"]


def test_a_version_is_champion_from_the_origin_of_its_verdict_until_another_takes_over() -> None:
    rows = pl.DataFrame(
        {
            "version": ["1", "2"] * 5,
            "origin": [NOON + hours * HOUR for hours in range(5) for _ in "12"],
        }
    )
    moves = alias_moves(verdicts((1, "1"), (3, "2")), as_of=NOON + 9 * HOUR)

    held = with_holders(rows, moves, named="champion").filter("champion")

    assert held.rows() == [
        ("1", NOON + HOUR, True),
        ("1", NOON + 2 * HOUR, True),
        ("2", NOON + 3 * HOUR, True),
        ("2", NOON + 4 * HOUR, True),
    ]


def test_before_the_first_verdict_nobody_holds_the_alias() -> None:
    rows = pl.DataFrame({"version": ["1"], "origin": [NOON]})

    held = with_holders(rows, verdicts((1, "1")), named="champion")

    assert held.rows() == [("1", NOON, False)]
