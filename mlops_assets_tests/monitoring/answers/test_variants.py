from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from mlops_assets.monitoring.answers.reading import SCHEMA
from mlops_assets.monitoring.answers.variants import VARIANTS, WINDOW, compare_variants
from mlops_assets_tests.evaluation.frames import HOUR
from mlops_assets_tests.monitoring.scored import at, observed, problem
from serving.contract.prediction_log import ID

PROBLEM = problem(alpha=0.05)
ACTUALS = [100.0, 100.0, 102.0]
"""Closes at the hours 0, 1 and 2."""


def answered(
    alias: str, version: str, points: Mapping[int, float], **changes: object
) -> list[dict[str, Any]]:
    """Answers a quarter of an hour after each origin hour; bands are point +- 2."""
    plain = dict.fromkeys(SCHEMA)
    return [
        {
            **plain,
            ID: hour,
            "answered_at": at(hour) + timedelta(minutes=15),
            "series": "coin",
            "origin": at(hour),
            "valid_time": at(hour) + HOUR,
            "step": 1,
            "point": point,
            "lower": point - 2,
            "upper": point + 2,
            "alias": alias,
            "version": version,
            "candidate": "ridge",
            "kind": "latest",
            "returned": True,
            **changes,
        }
        for hour, point in points.items()
    ]


def compared(
    *answers: list[dict[str, Any]], actuals: list[float] = ACTUALS, hour: int = 400
) -> list[dict[str, Any]]:
    """The variants as of an hour."""
    rows = [row for variant in answers for row in variant]
    table = compare_variants(
        pl.LazyFrame(rows, schema=SCHEMA), observed(actuals), PROBLEM, as_of=at(hour)
    )
    assert table.schema == VARIANTS
    return table.rows(named=True)


def test_a_shadow_is_scored_beside_the_champion_on_the_same_forecasts() -> None:
    champion, shadow = compared(
        answered("champion", "1", {0: 101.0, 1: 99.0}),
        answered("challenger", "2", {0: 100.0, 1: 101.0}, returned=False),
    )
    assert champion == {
        "alias": "champion",
        "version": "1",
        "candidate": "ridge",
        "returned": True,
        "answers": 2,
        "n": 2,
        "mae": 2.0,  # errors +1 and -3
        "rmse": math.sqrt(5),
        "coverage": 0.5,
        "common": 0,
        "loss_difference": None,
        "better_e_value": None,
        "worse_e_value": None,
        "verdict": "reference",
    }
    assert (shadow["alias"], shadow["returned"], shadow["n"]) == ("challenger", False, 2)
    assert (shadow["mae"], shadow["rmse"]) == (0.5, math.sqrt(0.5))  # errors 0 and -1
    assert (shadow["common"], shadow["loss_difference"]) == (2, -1.5)
    assert shadow["verdict"] == "undecided"


def test_a_version_that_is_returned_to_some_and_a_shadow_to_others_is_two_variants() -> None:
    found = compared(
        answered("champion", "1", {0: 101.0}),
        answered("challenger", "2", {0: 100.0}),
        answered("challenger", "2", {0: 100.0, 1: 100.0}, returned=False),
    )
    assert sorted((row["alias"], row["returned"], row["n"]) for row in found) == [
        ("challenger", False, 2),
        ("challenger", True, 1),
        ("champion", True, 1),
    ]


def test_only_forecasts_that_both_made_are_compared_and_the_reference_is_who_held_the_alias() -> (
    None
):
    found = compared(
        answered("champion", "1", {0: 101.0}),
        answered("champion", "3", {1: 99.0}),
        answered("", "2", {1: 101.0}),
        answered("challenger", "4", {-1: 100.0}),
    )
    by_version = {row["version"]: row for row in found}
    assert [row["version"] for row in found] == ["1", "3", "2", "4"]
    assert by_version["2"]["loss_difference"] == -2.0  # 1 against version 3's 3
    assert (by_version["4"]["common"], by_version["4"]["verdict"]) == (0, "undecided")


def test_however_often_it_was_asked_the_first_answer_counts_once() -> None:
    (row,) = compared(
        answered("champion", "1", {0: 101.0}),
        answered("champion", "1", {0: 150.0}, answered_at=at(0) + timedelta(minutes=30)),
    )
    assert (row["answers"], row["n"], row["mae"]) == (2, 1, 1.0)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "origin"}, {"kind": "features"}, {"step": 2}, {"origin": at(400) - WINDOW}],
)
def test_what_was_picked_or_is_of_another_lead_or_long_ago_is_left_out(
    changes: dict[str, object],
) -> None:
    assert compared(answered("champion", "1", {0: 101.0}, **changes)) == []


def test_a_row_of_an_earlier_release_counts_as_returned() -> None:
    (row,) = compared(answered("champion", "1", {0: 101.0}, returned=None, caller=None))
    assert (row["returned"], row["n"]) == (True, 1)


def test_what_has_not_come_true_is_answered_and_not_scored() -> None:
    (row,) = compared(answered("champion", "1", {0: 101.0, 1: 99.0}), hour=1)
    assert (row["answers"], row["n"], row["mae"]) == (2, 1, 1.0)
    (row,) = compared(answered("champion", "1", {0: 101.0}), hour=-1)
    assert (row["answers"], row["n"], row["mae"]) == (1, 0, None)


@pytest.mark.parametrize(
    ("champions", "variants", "verdict"),
    [(103.0, 101.0, "better"), (101.0, 103.0, "worse"), (101.0, 101.0, "undecided")],
)
def test_a_lasting_difference_is_told_and_no_difference_never(
    champions: float, variants: float, verdict: str
) -> None:
    hours = range(100)
    _, variant = compared(
        answered("champion", "1", dict.fromkeys(hours, champions)),
        answered("challenger", "2", dict.fromkeys(hours, variants)),
        actuals=[100.0] * 101,
    )
    assert (variant["verdict"], variant["common"]) == (verdict, 100)
    larger = max(variant["better_e_value"], variant["worse_e_value"])
    assert (larger >= 2 / 0.05) == (verdict != "undecided")


def test_luck_in_one_period_decides_nothing() -> None:
    _, variant = compared(
        answered("champion", "1", {0: 500.0}), answered("challenger", "2", {0: 100.0})
    )
    # Nothing is known before the first period, so nothing is staked on it.
    assert (variant["better_e_value"], variant["worse_e_value"]) == (1.0, 1.0)
    assert variant["verdict"] == "undecided"


def test_without_answers_there_is_no_variant() -> None:
    assert compared() == []
