from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from mlops_assets.forecasting import live
from mlops_assets.forecasting.assets import forecasts_key
from mlops_assets.forecasting.checks import build_forecast_checks
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Tables
from mlops_assets.storage.io_manager import TableIOManager, table_name
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.evaluation.frames import HOUR, START, small_problem

PROBLEM = small_problem()
CLOSES = [100.0, 103.0, 101.0]


def said() -> pl.DataFrame:
    """Forecasts from the last two of three hours."""
    origins = [START + HOUR, START + 2 * HOUR]
    filled = {
        "version": ["1", "1"],
        "series": ["coin", "coin"],
        "origin": origins,
        "last_observed": origins,
        "max_known_at": origins,
        "step": [1, 1],
        "valid_time": [origin + HOUR for origin in origins],
        "last_value": CLOSES[1:],
        "point": CLOSES[1:],
        "lower": [99.0, 99.0],
        "upper": [105.0, 105.0],
    }
    empty = {name: [None, None] for name in live.SCHEMA if name not in filled}
    return pl.DataFrame({**empty, **filled}, schema_overrides=live.SCHEMA)


def judged(
    folder: Path, frame: pl.DataFrame, *, hours: int = 3
) -> dict[str, dg.AssetCheckEvaluation]:
    """The checks at the clock of the newest of the first `hours` observations."""
    times = [START + k * HOUR for k in range(hours)]
    observations = pl.DataFrame(
        {
            "series": "coin",
            "valid_time": times,
            "known_at": times,
            "superseded_at": pl.Series([None] * hours, dtype=pl.Datetime("us", "UTC")),
            "close": CLOSES[:hours],
        }
    )
    TableStore(str(folder)).write(table_name(observations_key(PROBLEM.name)), observations)

    @dg.asset(key=forecasts_key(PROBLEM.name), io_manager_key="io_manager")
    def stand_in() -> dg.MaterializeResult[pl.DataFrame]:
        return dg.MaterializeResult(value=frame)

    result = dg.materialize(
        [stand_in, *build_forecast_checks(PROBLEM)],
        resources={
            "clock": Clock(fixed_at=times[-1].isoformat()),
            "tables": Tables(root=str(folder)),
            "io_manager": TableIOManager(root=str(folder)),
        },
        raise_on_error=False,
    )
    found = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert all(check.blocking for check in found.values())
    return found


def test_honest_forecasts_pass(tmp_path: Path) -> None:
    found = judged(tmp_path, said())

    assert {name: check.passed for name, check in found.items()} == {
        "alignment": True,
        "sound_numbers": True,
    }


def test_what_a_later_clock_has_said_is_no_fault_of_a_run_as_of_the_past(tmp_path: Path) -> None:
    found = judged(tmp_path, said(), hours=2)

    assert found["alignment"].passed


@pytest.mark.parametrize(
    ("column", "shift", "message"),
    [
        ("valid_time", -HOUR, "it must be later than its origin"),
        ("max_known_at", timedelta(minutes=1), "it must be known by the origin"),
    ],
)
def test_a_dishonest_stamp_is_refused(
    tmp_path: Path, column: str, shift: timedelta, message: str
) -> None:
    check = judged(tmp_path, said().with_columns(pl.col(column) + shift))["alignment"]

    assert not check.passed
    assert message in str(check.description)


@pytest.mark.parametrize(("column", "value"), [("point", float("nan")), ("lower", 104.0)])
def test_a_number_that_is_none_or_outside_its_band_is_refused(
    tmp_path: Path, column: str, value: float
) -> None:
    check = judged(tmp_path, said().with_columns(pl.lit(value).alias(column)))["sound_numbers"]

    assert not check.passed
    assert "nothing is published" in str(check.description)
