from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from mlops_assets.evaluation.folds import (
    Fold,
    SpanError,
    evaluation_start,
    fold_digests,
    plan_folds,
)
from mlops_assets_tests.end_to_end import planted
from mlops_assets_tests.evaluation.frames import share_problem, small_problem

# Anchor 2024-02-01, refits every 7 days, 10 days of calibration: two folds.
PROBLEM = small_problem(evaluation={"folds": 2})
WEEK = timedelta(days=7)


def day(number: int, month: int = 2) -> datetime:
    return datetime(2024, month, number, tzinfo=UTC)


def spans(folds: list[Fold]) -> list[tuple[datetime, datetime]]:
    return [(fold.refit_at, fold.end) for fold in folds]


def test_folds_lie_on_the_anchors_grid_after_those_that_start_the_quantile() -> None:
    folds = plan_folds(PROBLEM, as_of=day(22), evaluate_from=day(8))

    assert spans(folds) == [
        (datetime(2024, 1, 25, tzinfo=UTC), day(1)),
        (day(1), day(8)),
        (day(8), day(15)),
        (day(15), day(22)),
    ]
    assert [fold.evaluated for fold in folds] == [False, False, True, True]
    assert all(fold.complete for fold in folds)


def test_without_a_start_the_newest_whole_folds_are_planned() -> None:
    as_of = day(24)

    assert evaluation_start(PROBLEM.evaluation, as_of) == day(8)
    assert plan_folds(PROBLEM, as_of=as_of) == plan_folds(
        PROBLEM, as_of=as_of, evaluate_from=day(8)
    )


def test_a_start_off_the_grid_begins_with_the_refit_before_it() -> None:
    folds = plan_folds(PROBLEM, as_of=day(22), evaluate_from=day(11))

    assert spans(folds)[2:] == [(day(8), day(15)), (day(15), day(22))]


def test_the_grid_does_not_move_with_the_span() -> None:
    early = plan_folds(PROBLEM, as_of=day(22), evaluate_from=day(1))
    late = plan_folds(PROBLEM, as_of=day(24), evaluate_from=day(16))

    assert [fold for fold in late if fold.evaluated and fold.complete] == [early[-1]]
    # The anchor is an instant of the grid, not its beginning.
    before = plan_folds(PROBLEM, as_of=day(22), evaluate_from=datetime(2024, 1, 20, tzinfo=UTC))
    assert before[2].refit_at == day(1) - 2 * WEEK


def test_the_newest_fold_is_partial_until_all_its_origins_have_come() -> None:
    folds = plan_folds(PROBLEM, as_of=day(24), evaluate_from=day(15))

    assert (folds[-1].refit_at, folds[-1].end) == (day(22), day(24))
    assert [fold.complete for fold in folds] == [True, True, True, False]


def test_a_fold_whose_refit_is_now_has_no_origin_yet() -> None:
    folds = plan_folds(PROBLEM, as_of=day(22), evaluate_from=day(15))

    assert spans(folds)[-1] == (day(15), day(22))


def test_the_first_period_is_forecast_at_the_largest_lead_by_an_evaluated_fold() -> None:
    # The day from 2024-03-07 is forecast 28 days ahead from 2024-02-09, in the fold of the 8th;
    # 90 days of calibration, and 27 since their errors come true so much later than at lead 1,
    # take 17 weeks before it.
    problem = share_problem(leads=(1, 28))

    folds = plan_folds(problem, as_of=day(14, 3), evaluate_from=day(7, 3))
    evaluated = [fold for fold in folds if fold.evaluated]

    assert evaluated[0].refit_at == day(8)
    assert evaluated[-1].end == day(14, 3)
    assert folds[0].refit_at == day(8) - 17 * WEEK


def test_a_lead_of_one_begins_with_the_fold_of_the_start() -> None:
    folds = plan_folds(share_problem(leads=(1,)), as_of=day(14, 3), evaluate_from=day(7, 3))

    assert next(fold for fold in folds if fold.evaluated).refit_at == day(7, 3)


@pytest.mark.parametrize("start", [day(22), day(23)])
def test_an_empty_span_is_refused_with_both_instants_and_a_remedy(start: datetime) -> None:
    with pytest.raises(
        SpanError,
        match=rf"{start:%Y-%m-%d}T00:00Z, as-of is 2024-02-22T00:00Z.*move --evaluate-from back",
    ):
        plan_folds(PROBLEM, as_of=day(22), evaluate_from=start)


FOLDS = [
    Fold(day(1), day(2), complete=True, evaluated=False),
    Fold(day(2), day(3), complete=True),
    Fold(day(3), day(4), complete=True),
]


def rows() -> pl.DataFrame:
    """Three days of hourly design rows with one feature."""
    origins = [day(1) + k * planted.HOUR for k in range(72)]
    valid = [origin + planted.HOUR for origin in origins]
    return pl.DataFrame(
        {
            "series": "coin",
            "origin": origins,
            "step": 1,
            "valid_time": valid,
            "target_known_at": valid,
            "last_value": 100.0,
            "actual": 101.0,
            "log_volatility": -5.0,
            "used": [float(k) for k in range(72)],
            "unused": 0.0,
        },
        schema_overrides={"step": pl.Int64},
    )


def changed_folds(column: str, value: object, *, at: datetime) -> list[int]:
    """Positions of the folds whose digest moves when one value does."""
    chosen = pl.col("origin") == at
    corrected = rows().with_columns(
        pl.when(chosen).then(pl.lit(value)).otherwise(column).alias(column)
    )
    before = fold_digests(rows(), ["used"], FOLDS)
    after = fold_digests(corrected, ["used"], FOLDS)
    return [k for k, fold in enumerate(FOLDS) if before[fold.refit_at] != after[fold.refit_at]]


@pytest.mark.parametrize(
    ("at", "moved"),
    [
        (day(1), [0, 1, 2]),
        (day(2) - planted.HOUR, [0, 1, 2]),
        (day(2), [1, 2]),  # half-open: the end of one fold is the first origin of the next
        (day(3) - planted.HOUR, [1, 2]),
        (day(3), [2]),
    ],
)
def test_a_correction_moves_the_digests_of_the_folds_that_end_after_it_and_of_no_other(
    at: datetime, moved: list[int]
) -> None:
    assert changed_folds("used", -1.0, at=at) == moved


@pytest.mark.parametrize("column", ["used", "actual", "last_value", "log_volatility"])
def test_every_input_of_a_fit_is_part_of_the_digest(column: str) -> None:
    assert changed_folds(column, 102.5, at=day(3)) == [2]


def test_a_missing_value_is_not_the_same_as_zero() -> None:
    assert changed_folds("used", None, at=day(1)) == [0, 1, 2]


def test_when_a_target_became_known_is_part_of_the_digest() -> None:
    assert changed_folds("target_known_at", day(9), at=day(3)) == [2]


def test_a_column_that_the_recipe_does_not_use_is_no_part_of_the_digest() -> None:
    assert changed_folds("unused", 1.0, at=day(1)) == []


def test_rows_after_the_last_fold_move_no_digest() -> None:
    short = fold_digests(rows().filter(pl.col("origin") < day(3)), ["used"], FOLDS[:2])

    assert short == fold_digests(rows(), ["used"], FOLDS[:2])
