from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.evaluation.folds import fold_digests, plan_folds
from mlops_assets_tests.evaluation.frames import small_problem

# Anchor 2024-02-01, refits every 7 days, 10 days of calibration: two folds.
PROBLEM = small_problem(evaluation={"folds": 2})
START = datetime(2024, 1, 15, tzinfo=UTC)
WEEK = timedelta(days=7)


def hourly_rows(until: datetime) -> pl.DataFrame:
    hours = int((until - START) / timedelta(hours=1))
    origin = pl.Series([START + k * timedelta(hours=1) for k in range(hours)])
    valid_time = origin + timedelta(hours=1)
    return pl.DataFrame(
        {
            "series": ["btc"] * hours,
            "origin": origin,
            "step": [1] * hours,
            "valid_time": valid_time,
            "target_known_at": valid_time,
            "used": [float(k % 17) for k in range(hours)],
            "last_value": [100.0 + k for k in range(hours)],
            "actual": [101.0 + k for k in range(hours)],
            "log_volatility": [-5.0] * hours,
        }
    )


def test_a_fold_has_one_digest_whichever_fold_its_run_begins_with() -> None:
    as_of = datetime(2024, 3, 7, tzinfo=UTC)
    rows = hourly_rows(as_of)
    early = plan_folds(PROBLEM, as_of=as_of, evaluate_from=datetime(2024, 2, 1, tzinfo=UTC))
    late = plan_folds(PROBLEM, as_of=as_of, evaluate_from=datetime(2024, 2, 22, tzinfo=UTC))

    from_early, from_late = (fold_digests(rows, ["used"], folds) for folds in (early, late))

    shared = [fold.refit_at for fold in late if fold.evaluated]
    assert shared == [datetime(2024, 2, 22, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)]
    assert {r: from_late[r] for r in shared} == {r: from_early[r] for r in shared}


def test_a_week_later_the_newest_span_finds_the_fold_that_it_shares_with_the_week_before() -> None:
    before, after = datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 3, 7, tzinfo=UTC)
    digests = [
        fold_digests(hourly_rows(as_of), ["used"], plan_folds(PROBLEM, as_of=as_of))
        for as_of in (before, after)
    ]

    shared = before - WEEK
    assert digests[0][shared] == digests[1][shared]
