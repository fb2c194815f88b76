from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from mlops_assets.evaluation.assets import backtest_key
from mlops_assets.evaluation.checks import (
    _off_coverage,
    build_backtest_checks,
    credible_ratio,
)
from mlops_assets.evaluation.leaderboard import leaderboard
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem, SampleSource, ShareSample
from mlops_assets.storage.io_manager import TableIOManager, table_name
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.evaluation.frames import (
    HOUR,
    START,
    backtest_frame,
    share_frame,
    share_problem,
    small_problem,
)

PROBLEM = small_problem(evaluation={"credible_rmse_ratio": 0.9})
HOURS = 200


def closes() -> np.ndarray:
    """A random walk; the close at START + k hours is the k-th."""
    return 100 + np.cumsum(np.random.default_rng(3).normal(0, 1, HOURS + 1))


def stored_backtest(*, seen: float, half_width: float = 1.65) -> pl.DataFrame:
    """A copier and a candidate that knows the share `seen` of the coming move."""
    walk = closes()
    last, actual = walk[:-1], walk[1:]
    frame = backtest_frame(
        actual,
        {"last_value": last, "ridge": last + seen * (actual - last)},
        last_value=last,
        half_width=half_width,
    )
    return frame.with_columns(max_known_at=pl.col("origin"))


def judged(
    folder: Path, frame: pl.DataFrame, problem: ForecastProblem = PROBLEM
) -> dict[str, dg.AssetCheckEvaluation]:
    """Materialise a stand-in of the backtest and run the checks on what it stored."""
    times = [START + k * HOUR for k in range(HOURS + 1)]
    observations = pl.DataFrame(
        {
            "series": "coin",
            "valid_time": times,
            "known_at": times,
            "superseded_at": pl.Series([None] * len(times), dtype=pl.Datetime("us", "UTC")),
            "close": closes(),
        }
    )
    TableStore(str(folder)).write(table_name(observations_key(problem.name)), observations)

    @dg.asset(key=backtest_key(problem.name), io_manager_key="io_manager")
    def stand_in() -> dg.MaterializeResult[pl.DataFrame]:
        return dg.MaterializeResult(value=frame)

    result = dg.materialize(
        [stand_in, *build_backtest_checks(problem)],
        resources={
            "tables": Tables(root=str(folder)),
            "platform": Platform(),
            "io_manager": TableIOManager(root=str(folder)),
        },
        raise_on_error=False,
    )
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_DATA", "files")


def test_an_honest_backtest_passes_every_check(tmp_path: Path) -> None:
    found = judged(tmp_path, stored_backtest(seen=0.05))

    assert {name: check.passed for name, check in found.items()} == {
        "alignment": True,
        "credible": True,
        "band_coverage": True,
    }


def test_a_candidate_that_sees_the_future_is_stopped_by_name(tmp_path: Path) -> None:
    # It knows 30 % of every move, so its RMSE is 0.7 of the last value's.
    found = judged(tmp_path, stored_backtest(seen=0.3, half_width=1.5))

    check = found["credible"]
    assert (check.passed, check.severity, check.blocking) == (
        False,
        dg.AssetCheckSeverity.ERROR,
        True,
    )
    assert "ridge has an RMSE below 0.9 of the last value's" in str(check.description)
    assert "it is a leak until shown otherwise" in str(check.description)


def test_forecasts_stamped_one_step_early_are_stopped(tmp_path: Path) -> None:
    early = stored_backtest(seen=0.0).with_columns(valid_time=pl.col("valid_time") - HOUR)

    check = judged(tmp_path, early)["alignment"]

    assert (check.passed, check.blocking) == (False, True)
    assert "is stamped 2024-02-01 00:00:00+00:00; it must be later than its origin" in str(
        check.description
    )
    assert "correct the stamps in mlops_assets/features/design.py" in str(check.description)


def test_a_copier_of_the_coming_value_is_stopped(tmp_path: Path) -> None:
    perfect = stored_backtest(seen=0.0).with_columns(last_value=pl.col("actual"))

    check = judged(tmp_path, perfect)["alignment"]

    assert not check.passed
    assert "it must be the value observed its step before" in str(check.description)


def test_a_band_that_covers_too_little_warns_and_blocks_nothing(tmp_path: Path) -> None:
    check = judged(tmp_path, stored_backtest(seen=0.0, half_width=0.5))["band_coverage"]

    assert (check.passed, check.severity, check.blocking) == (
        False,
        dg.AssetCheckSeverity.WARN,
        False,
    )
    assert "at lead 1 where 0.90 is promised (slack 0.03)" in str(check.description)


def test_a_lead_whose_band_is_off_warns_though_the_leads_together_are_right() -> None:
    # Bands +- 2. Errors at lead 1 always inside; at lead 3 outside on two of ten days.
    problem = share_problem()
    frame = share_frame(
        problem,
        {"last_value": lambda _series, step, day: 3.0 if step == 3 and day < 2 else 1.0},
        days=10,
        half_width=2.0,
    )
    board = leaderboard(frame, problem)
    assert board["coverage"].to_list() == [0.9]

    assert _off_coverage(board, 0.9) == [
        "last_value covers 1.000 at lead 1 where 0.90 is promised (slack 0.03)",
        "last_value covers 0.800 at lead 3 where 0.90 is promised (slack 0.03)",
    ]


def test_sample_data_has_a_floor_of_its_own() -> None:
    fields = {"start": START, "price": 100, "volatility_pct": 1, "credible_rmse_ratio": 0.8}
    sample = SampleSource.model_validate(fields)
    source = PROBLEM.target_source.model_copy(update={"sample": sample})
    described = PROBLEM.model_copy(update={"sources": {"coin": source}})

    assert credible_ratio(described, synthetic=True) == 0.8
    assert credible_ratio(described, synthetic=False) == 0.9
    assert credible_ratio(PROBLEM, synthetic=True) == 0.9


def test_sample_shares_have_the_floor_of_the_problem_or_none() -> None:
    sample = ShareSample.model_validate({"start": START})
    plain = share_problem()
    source = plain.target_source.model_copy(update={"sample": sample})
    described = plain.model_copy(update={"sources": {"drinks": source}})
    strict = described.model_copy(
        update={"evaluation": plain.evaluation.model_copy(update={"credible_rmse_ratio": 0.7})}
    )

    assert credible_ratio(described, synthetic=True) is None
    assert credible_ratio(strict, synthetic=True) == 0.7
