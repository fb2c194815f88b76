"""A panel through the assets and checks of ingestion, from files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.ingestion.assets import (
    build_observations_asset,
    build_raw_assets,
    raw_partitions,
)
from mlops_assets.ingestion.checks import build_observation_checks, build_raw_checks
from mlops_assets.ingestion.pull import pull, read_raw
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.settings import Settings
from mlops_assets.storage.io_manager import TableIOManager
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.ingestion.panels import (
    FETCHED_AT,
    START,
    Shares,
    channels,
    end_of,
    panel,
    panel_problem,
    shares,
    write_shares,
)

pytestmark = pytest.mark.filterwarnings(
    # `backfill_policy` is in beta; without it a backfill of 40 months is 40 runs.
    "ignore:.*backfill_policy:dagster.BetaWarning",
    # Dagster falls back to the old attribute for a resource without fields.
    "ignore:The `__fields__` attribute:pydantic.PydanticDeprecatedSince20",
)

NAME = "bitcoin_close"
"""The name of the shipped problem, over other sources."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_DATA", "files")
    monkeypatch.setenv("MLOPS_DATA_DIR", str(tmp_path))
    return tmp_path


def described(folder: Path, days: Mapping[int, Shares]) -> ForecastProblem:
    """Shares from a file, and channels whose file is not there."""
    return panel_problem(
        search=panel(files=[write_shares(folder, "a.csv", days)]),
        tube=channels(files=[{"path": "gone.csv"}]),
    )


def materialize(problem: ForecastProblem, folder: Path) -> dg.ExecuteInProcessResult:
    """Run ingestion for September and October 2024."""
    root = str(folder / "store")
    return dg.materialize(
        [
            *build_raw_assets(problem),
            *build_raw_checks(problem),
            build_observations_asset(problem),
            *build_observation_checks(problem),
        ],
        resources={
            "clock": Clock(fixed_at=end_of(3).isoformat()),
            "tables": Tables(root=root),
            "platform": Platform(),
            "io_manager": TableIOManager(root=root),
        },
        tags={
            "dagster/asset_partition_range_start": "2024-09-01",
            "dagster/asset_partition_range_end": "2024-10-01",
        },
        raise_on_error=False,
    )


def failed(result: dg.ExecuteInProcessResult) -> set[str]:
    return {
        f"{found.asset_key.path[-1]}.{found.check_name}"
        for found in result.get_asset_check_evaluations()
        if not found.passed
    }


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    events = result.get_asset_materialization_events()
    return {event.asset_key.path[-1] for event in events if event.asset_key}


def test_a_panel_becomes_observations_and_a_dead_exogenous_source_only_warns(folder: Path) -> None:
    problem = described(folder, {1: shares(), 2: shares(first=30.0), 3: shares()})

    result = materialize(problem, folder)

    assert result.success
    assert failed(result) == {"raw_tube.fetched", "raw_tube.recency"}
    rows = TableStore(str(folder / "store")).read(f"{NAME}/observations")
    assert len(rows) == 24
    assert rows["known_at"].max() == end_of(3)
    assert rows["tube_value"].null_count() == 24


def test_an_incomplete_panel_stops_before_its_observations(folder: Path) -> None:
    lacking = {name: share for name, share in shares().items() if "female" not in name}

    result = materialize(described(folder, {1: shares(), 2: shares(), 3: lacking}), folder)

    assert "raw_search.complete" in failed(result)
    assert "raw_search.sums_to_total" not in failed(result)
    assert "observations" not in materialized(result)


def test_shares_that_miss_their_total_stop_before_the_observations(folder: Path) -> None:
    off = shares() | {"게토레이/female/10대": 39.0}

    result = materialize(described(folder, {1: shares(), 2: off, 3: shares()}), folder)

    assert "raw_search.sums_to_total" in failed(result)
    assert "observations" not in materialized(result)


def test_months_of_every_source_begin_on_the_target_s_clock(folder: Path) -> None:
    months = raw_partitions(described(folder, {1: shares()}))

    assert months.get_first_partition_key() == "2024-09-01"
    window = months.time_window_for_partition_key("2024-09-01")
    assert window.start == START


def test_a_second_pull_of_the_same_files_adds_nothing(folder: Path) -> None:
    problem = described(folder, {1: shares(), 2: shares()})
    store, origin = TableStore(str(folder / "store")), problem.sources["search"]

    reports = [
        pull(
            store,
            NAME,
            "search",
            origin,
            start=START,
            end=FETCHED_AT,
            fetched_at=FETCHED_AT,
            settings=Settings(data="files", data_dir=folder),
        )
        for _ in range(2)
    ]

    assert [(r.inserted, r.unchanged, r.quarantined) for r in reports] == [(16, 0, 0), (0, 16, 0)]
    assert read_raw(store, NAME, "search")["month"].unique().to_list() == ["2024-09"]


def test_a_file_edited_in_place_is_a_version_known_from_its_fetch_on(folder: Path) -> None:
    store, later = TableStore(str(folder / "store")), datetime(2025, 8, 1, tzinfo=UTC)
    settings = Settings(data="files", data_dir=folder)
    for share, fetched_at in ((40.0, FETCHED_AT), (45.0, later)):
        problem = described(folder, {1: shares(first=share)})
        pull(
            store,
            NAME,
            "search",
            problem.sources["search"],
            start=START,
            end=later + timedelta(days=30),
            fetched_at=fetched_at,
            settings=settings,
        )

    rows = read_raw(store, NAME, "search").filter(series="게토레이/male/10대").sort("known_at")
    assert rows.select("known_at", "assumed", "value").rows() == [
        (end_of(1), True, 40.0),
        (later, False, 45.0),
    ]
