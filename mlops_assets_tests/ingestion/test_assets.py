"""Planted faults in real files, through `dg.materialize`, to the message of the check."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from mlops_assets.ingestion.assets import (
    build_observations_asset,
    build_raw_assets,
    raw_partitions,
)
from mlops_assets.ingestion.checks import build_observation_checks, build_raw_checks
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.storage.io_manager import TableIOManager
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.ingestion.market import (
    HOUR,
    MAY,
    at,
    delivered,
    exogenous,
    file,
    problem,
    sample,
    source,
)

pytestmark = pytest.mark.filterwarnings(
    # `backfill_policy` is in beta; without it a backfill of 40 months is 40 runs.
    "ignore:.*backfill_policy:dagster.BetaWarning",
    # Dagster falls back to the old attribute for a resource without fields.
    "ignore:The `__fields__` attribute:pydantic.PydanticDeprecatedSince20",
)

NOON = at(12)
CLOSES = [100.0 + hour for hour in range(12)]
Fault = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_DATA", "files")
    monkeypatch.setenv("MLOPS_DATA_DIR", str(tmp_path))
    return tmp_path


def problem_of_files(*, time_zone: str | None = None, path: str = "btc.parquet") -> ForecastProblem:
    return problem(
        btc=source(files=[file(path, time_zone=time_zone)]),
        ndx=exogenous(
            files=[file("ndx.parquet")], calendar="XNYS", start=datetime(2025, 6, 1, tzinfo=UTC)
        ),
        vix=exogenous(files=[file("vix.parquet")], has_volume=False),
    )


def materialize(
    described: ForecastProblem, folder: Path, *, now: datetime = NOON, until: str = "2025-06-01"
) -> dg.ExecuteInProcessResult:
    """Run ingestion for the months from May 2025 to the one that begins at `until`."""
    root = str(folder / "store")
    return dg.materialize(
        [
            *build_raw_assets(described),
            *build_raw_checks(described),
            build_observations_asset(described),
            *build_observation_checks(described),
        ],
        resources={
            "clock": Clock(fixed_at=now.isoformat()),
            "tables": Tables(root=root),
            "platform": Platform(),
            "io_manager": TableIOManager(root=root),
        },
        tags={
            "dagster/asset_partition_range_start": "2025-05-01",
            "dagster/asset_partition_range_end": until,
        },
        raise_on_error=False,
    )


def write_sources(
    folder: Path, *, btc: Fault = lambda bars: bars, vix: Fault = lambda b: b
) -> None:
    btc(delivered(CLOSES)).write_parquet(folder / "btc.parquet")
    delivered([500.0] * 12, start=MAY + HOUR / 2).write_parquet(folder / "ndx.parquet")
    vix(delivered([20.0] * 12, start=MAY + HOUR / 6)).write_parquet(folder / "vix.parquet")


def failed(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """Failed checks by `asset.check`, recency aside: these files ended long ago."""
    return {
        f"{found.asset_key.path[-1]}.{found.check_name}": found
        for found in result.get_asset_check_evaluations()
        if not found.passed and found.check_name != "recency"
    }


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    events = result.get_asset_materialization_events()
    return {event.asset_key.path[-1] for event in events if event.asset_key}


def second(values: dict[str, object]) -> Fault:
    """Change the bar that opens at 01:00 and closes at 02:00."""

    def fault(bars: pl.DataFrame) -> pl.DataFrame:
        chosen = pl.col("timestamp") == at(1)
        return bars.with_columns(
            pl.when(chosen).then(pl.lit(value)).otherwise(name).alias(name)
            for name, value in values.items()
        )

    return fault


def another(value: float) -> Fault:
    """Add a second bar that opens at 01:00."""
    return lambda bars: pl.concat([bars, delivered([value], start=at(1))]).sort("timestamp")


def test_sound_files_pass_every_check_and_become_observations(folder: Path) -> None:
    write_sources(folder)

    result = materialize(problem_of_files(), folder)

    assert result.success
    assert failed(result) == {}
    rows = TableStore(str(folder / "store")).read("bitcoin_close/observations")
    assert rows["close"].to_list() == CLOSES
    assert rows["vix_age_hours"].to_list()[1:] == pytest.approx([50 / 60] * 11)
    assert rows["ndx_value"].null_count() == 12  # its bars lie before its start


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        (another(150.0), "no_conflicting_duplicates", "2 bars delivered several times"),
        (second({"close": float("nan")}), "prices_present", "close NaN"),
        (second({"close": None}), "prices_present", "close null"),
        (second({"high": 100.0}), "ohlc_consistent", "high 100.0 below open 101.0"),
        (second({"high": 5000.0}), "plausible_range", r"plausible range \[1, 1000\]"),
        (second({"timestamp": at(1.25)}), "on_bar_grid", "closing off the grid of 1:00:00 bars"),
    ],
)
def test_a_faulty_bar_of_the_target_stops_the_run_and_its_check_names_it(
    folder: Path, fault: Fault, check: str, message: str
) -> None:
    write_sources(folder, btc=fault)

    result = materialize(problem_of_files(), folder)

    assert not result.success
    assert "observations" not in materialized(result)
    found = failed(result)[f"raw_btc.{check}"]
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert pl.Series([found.description]).str.contains(message).item()
    assert "from btc.parquet" in str(found.description)


def test_a_candle_later_than_its_fetch_stops_the_run_and_its_check_names_it(folder: Path) -> None:
    future = delivered([100.0], start=datetime(2999, 1, 1, tzinfo=UTC))
    write_sources(folder, btc=lambda bars: pl.concat([bars, future]))
    described = problem_of_files()
    current_month = raw_partitions(described).get_last_partition_key()

    result = materialize(described, folder, until=str(current_month))

    assert not result.success
    [(name, found)] = failed(result).items()
    assert name == "raw_btc.not_later_than_fetch"
    assert "1 bar closing later than the fetch, a candle later than its fetch" in str(
        found.description
    )
    assert "bar closing 2999-01-01T01:00:00Z" in str(found.description)


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        (another(101.0), "no_repeated_rows", "1 bar delivered again with equal values"),
        (lambda bars: bars.reverse(), "in_order", "11 bars delivered after a later bar"),
        (lambda bars: bars.filter(pl.col("timestamp") != at(1)), "gaps", "1 bar missing between"),
        (second({"volume": 0.0}), "zero_volume", "1 bar without volume or without any range"),
    ],
)
def test_what_is_odd_and_usable_is_counted_and_stops_nothing(
    folder: Path, fault: Fault, check: str, message: str
) -> None:
    write_sources(folder, btc=fault)

    result = materialize(problem_of_files(), folder)

    assert result.success
    assert "observations" in materialized(result)
    [(name, found)] = failed(result).items()
    assert name == f"raw_btc.{check}"
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert message in str(found.description)


def test_a_sick_exogenous_source_warns_and_its_value_ages(folder: Path) -> None:
    sound = pl.col("timestamp") < at(2)
    write_sources(folder, vix=lambda bars: bars.with_columns(close=pl.when(sound).then("close")))

    result = materialize(problem_of_files(), folder)

    assert result.success
    found = failed(result)["raw_vix.prices_present"]
    assert found.severity == dg.AssetCheckSeverity.WARN
    rows = TableStore(str(folder / "store")).read("bitcoin_close/observations")
    # Bars close at :10; the last sound one at 02:10, nulls begin when it is over six hours old.
    assert rows["vix_value"].to_list() == [None, *[20.0] * 7, *[None] * 4]
    assert rows["vix_age_hours"].to_list()[-1] == pytest.approx(9 + 50 / 60)


def test_a_naive_timestamp_stops_the_raw_asset_with_file_and_remedy(folder: Path) -> None:
    write_sources(folder)
    bars = delivered(CLOSES).with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S"))
    bars.write_csv(folder / "btc.csv")

    refused = materialize(problem_of_files(path="btc.csv"), folder)
    accepted = materialize(problem_of_files(path="btc.csv", time_zone="UTC"), folder)

    assert not refused.success
    [failure] = refused.filter_events(lambda event: event.is_step_failure)
    assert "have no time zone" in str(failure.step_failure_data.error)
    assert accepted.success


def test_correcting_the_file_clears_the_check(folder: Path) -> None:
    write_sources(folder, btc=second({"close": float("nan")}))
    assert not materialize(problem_of_files(), folder).success
    write_sources(folder)

    result = materialize(problem_of_files(), folder)

    assert result.success
    assert failed(result) == {}


def test_a_bar_known_after_the_clock_is_invisible_and_no_error(folder: Path) -> None:
    write_sources(folder)

    result = materialize(problem_of_files(), folder, now=at(5))

    assert result.success
    rows = TableStore(str(folder / "store")).read("bitcoin_close/observations")
    assert rows["valid_time"].max() == at(5)
    assert len(TableStore(str(folder / "store")).read_delta("bitcoin_close/raw_btc")) == 12


def test_a_file_that_ended_long_ago_is_a_warning_about_recency(folder: Path) -> None:
    write_sources(folder)

    result = materialize(problem_of_files(), folder, now=at(12, day=9))

    assert result.success
    [found] = [
        found
        for found in result.get_asset_check_evaluations()
        if (found.asset_key.path[-1], found.check_name) == ("raw_btc", "recency")
    ]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "192 newer bars are due" in str(found.description)


def test_the_metadata_of_a_raw_asset_says_what_the_pull_did(folder: Path) -> None:
    write_sources(folder, btc=second({"close": float("nan")}))

    result = materialize(problem_of_files(), folder)

    event = result.asset_materializations_for_node("bitcoin_close__raw_btc")[0]
    values = {key: value.value for key, value in event.metadata.items()}
    assert (values["rows_inserted"], values["rows_unchanged"], values["rows_quarantined"]) == (
        11,
        0,
        1,
    )
    assert values["first_valid_time"] == "2025-05-01 01:00:00+00:00"


def test_samples_run_up_to_the_clock_and_pass(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATA", "sample")
    described = problem(
        btc=source(sample=sample()), ndx=exogenous(sample=sample(seed=2), calendar="XNYS")
    )

    result = materialize(described, folder, now=at(12.5, day=20))

    assert result.success
    assert all(found.passed for found in result.get_asset_check_evaluations())
    rows = TableStore(str(folder / "store")).read("bitcoin_close/observations")
    assert rows["valid_time"].max() == at(12, day=20)
    assert len(rows) == 19 * 24 + 12


def test_a_sample_that_was_not_pulled_for_long_stops_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATA", "sample")
    described = problem(btc=source(sample=sample()))

    # Only May and June are pulled, and the clock says August.
    result = materialize(described, folder, now=datetime(2025, 8, 1, tzinfo=UTC))

    assert not result.success
    assert "observations" not in materialized(result)


def test_every_source_has_the_months_of_the_earliest() -> None:
    described = problem(
        btc=source(start=MAY), ndx=exogenous(start=MAY - timedelta(days=60), calendar="XNYS")
    )

    partitions = {asset.partitions_def for asset in build_raw_assets(described)}

    assert len(partitions) == 1
    assert partitions.pop().get_first_partition_key() == "2025-03-01"  # type: ignore[union-attr]


def test_every_asset_and_check_says_what_it_is() -> None:
    described = problem_of_files()
    for asset in [*build_raw_assets(described), build_observations_asset(described)]:
        for spec in asset.specs:
            assert spec.description
            assert spec.owners == list(described.owners)
            assert spec.group_name == described.name
            assert "dagster/column_schema" in spec.metadata
    for checks in [*build_raw_checks(described), *build_observation_checks(described)]:
        assert all(spec.description for spec in checks.check_specs)


def test_checks_block_for_the_target_only() -> None:
    described = problem_of_files()
    blocking = {
        f"{spec.asset_key.path[-1]}.{spec.name}"
        for checks in build_raw_checks(described)
        for spec in checks.check_specs
        if spec.blocking
    }

    assert blocking == {
        f"raw_btc.{name}"
        for name in (
            "schema",
            "unique_keys",
            "prices_present",
            "not_later_than_fetch",
            "ohlc_consistent",
            "plausible_range",
            "on_bar_grid",
            "no_conflicting_duplicates",
            "recency",
        )
    }
