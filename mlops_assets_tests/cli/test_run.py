from __future__ import annotations

import io
import json
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from mlops_assets.cli import run as cli_run
from mlops_assets.cli.summary import RunFailed, RunSummary
from mlops_assets.orchestration.clock import ClockError
from mlops_assets.storage.publication import latest_snapshot_id
from mlops_assets_tests.end_to_end import planted
from mlops_assets_tests.end_to_end.planted import AS_OF, DAY, NAME
from mlops_assets_tests.end_to_end.world import World, empty_registry, first_run
from serving.contract.snapshot import FORECASTS, MANIFEST, problem_prefix


@pytest.fixture(scope="module")
def after_first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, RunSummary]:
    return first_run(tmp_path_factory.getbasetemp())


def test_a_summary_is_read_back_from_the_newest_snapshot(
    after_first_run: tuple[World, RunSummary],
) -> None:
    world, summary = after_first_run

    assert cli_run.read_summary(world.settings, NAME) == summary


def test_the_first_forecast_is_the_champions_newest(
    after_first_run: tuple[World, RunSummary],
) -> None:
    _, summary = after_first_run
    forecast = summary.forecast

    assert forecast is not None
    assert (forecast.series, forecast.origin, forecast.unit) == ("coin", AS_OF, "USDT")
    assert forecast.lower < forecast.point < forecast.upper


def test_of_a_panel_the_forecast_told_is_the_first_series_at_the_first_step(
    after_first_run: tuple[World, RunSummary], tmp_path: Path
) -> None:
    world = after_first_run[0].copy(tmp_path / "world")
    path = f"{newest_snapshot(world)}/{FORECASTS}"
    own = pl.read_parquet(io.BytesIO(world.store.read_file(path)))
    other = own.with_columns(series=pl.lit("atom").cast(own.schema["series"]))
    buffer = io.BytesIO()
    pl.concat([own, other]).write_parquet(buffer)
    world.store.write_file(path, buffer.getvalue())

    summary = cli_run.read_summary(world.settings, NAME)

    assert summary is not None
    assert summary.forecast is not None
    assert (summary.forecast.series, summary.forecast.origin) == ("atom", AS_OF)


def test_a_snapshot_of_another_contract_counts_as_none_so_that_a_run_replaces_it(
    after_first_run: tuple[World, RunSummary], tmp_path: Path
) -> None:
    world = after_first_run[0].copy(tmp_path / "world")
    path = f"{newest_snapshot(world)}/{MANIFEST}"
    manifest = json.loads(world.store.read_file(path))
    world.store.write_file(path, json.dumps({**manifest, "contract_version": 1}).encode())

    assert cli_run.read_summary(world.settings, NAME) is None


def test_progress_names_every_asset_and_what_assets_log(
    after_first_run: tuple[World, RunSummary],
) -> None:
    told = "\n".join(after_first_run[0].lines).replace("_", " ")

    for name in ("raw coin", "features", "backtest", "model ridge", "champion", "published"):
        assert name in told
    assert "fold 3 of 3: refitted at 2025-06-05 00:00 UTC, 3 recipes" in told


def test_the_run_is_in_dagsters_own_store(after_first_run: tuple[World, RunSummary]) -> None:
    def newest(instance: dg.DagsterInstance) -> dg.DagsterRun:
        return instance.get_runs()[-1]

    run = after_first_run[0].dagster(newest)

    assert (run.job_name, run.status) == (f"{NAME}_loop", dg.DagsterRunStatus.SUCCESS)
    # Every month from the sources' start to the clock's.
    assert run.tags["dagster/asset_partition_range_start"] == "2025-05-01"
    assert run.tags["dagster/asset_partition_range_end"] == "2025-06-01"


def newest_snapshot(world: World) -> str:
    """Folder of the newest snapshot below the storage root."""
    return f"{problem_prefix(NAME)}/{latest_snapshot_id(world.store, NAME)}"


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which nothing has run."""
    registry = empty_registry(tmp_path_factory.getbasetemp())
    return World.create(tmp_path_factory.mktemp("fresh") / "world", registry)


def test_before_the_first_run_there_is_no_summary(fresh: World) -> None:
    assert cli_run.read_summary(fresh.settings, NAME) is None


def test_an_instant_without_zone_is_refused_before_anything_runs(fresh: World) -> None:
    with fresh.entered(), pytest.raises(ClockError, match="has no time zone; add one"):
        cli_run.run_problem(
            fresh.settings, NAME, as_of="2025-06-10T00:00", evaluate_from=None, progress=print
        )

    assert cli_run.read_summary(fresh.settings, NAME) is None


def test_a_failed_asset_is_named_with_the_cause_and_not_with_dagsters_wrapper(
    fresh: World,
) -> None:
    # Fifteen days: the folds before the span would begin before the first bar.
    fresh.deliver(planted.market(15))

    with pytest.raises(RunFailed) as failure:
        fresh.run(as_of=planted.START + 15 * DAY)

    assert f"{NAME}__backtest: mlops_assets.training.fit.TooFewRowsError: " in str(failure.value)
    assert "load more history (sources.*.start) or start the evaluation later" in str(failure.value)
    assert "Error occurred while executing op" not in str(failure.value)
    assert cli_run.read_summary(fresh.settings, NAME) is None
