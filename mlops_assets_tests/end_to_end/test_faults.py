"""Faults planted in files and code: each is stopped by its check, and nothing after it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl
import pytest

from mlops_assets.cli.summary import RunFailed
from mlops_assets.evaluation import assets as evaluation
from mlops_assets.features.bars import Bars, FloatArray
from mlops_assets.features.builders import BUILDERS, close_location
from mlops_assets.forecasting import live
from mlops_assets.orchestration.clock import real_now
from mlops_assets.promotion import assets as promotion
from mlops_assets.training.tracking import client
from mlops_assets_tests.end_to_end import planted
from mlops_assets_tests.end_to_end.planted import AS_OF, HOUR, NAME, START
from mlops_assets_tests.end_to_end.world import Plant, World

Spoil = Callable[[pl.DataFrame], pl.DataFrame]


def bar(number: int) -> datetime:
    """Open of one of the bars that are spoilt."""
    return START + 35 * planted.DAY + number * HOUR


def spoilt(column: str, value: float, *, at: datetime) -> Spoil:
    chosen = pl.col("timestamp") == at
    return lambda bars: bars.with_columns(
        pl.when(chosen).then(pl.lit(value)).otherwise(column).alias(column)
    )


def given_twice(*, at: datetime) -> Spoil:
    """The bar a second time, with another close inside its range."""
    again = pl.col("timestamp") == at
    return lambda bars: pl.concat(
        [bars, bars.filter(again).with_columns(close=pl.col("open"))]
    ).sort("timestamp", maintain_order=True)


def from_the_year_2999(bars: pl.DataFrame) -> pl.DataFrame:
    """A candle later than its fetch."""
    time = pl.lit(datetime(2999, 1, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    return pl.concat([bars, bars.tail(1).with_columns(timestamp=time)])


def shifted_feature(patch: pytest.MonkeyPatch) -> None:
    """`close_location` of the bar that only begins at the origin."""

    def from_the_future(bars: Bars, source: str) -> dict[str, FloatArray]:
        [(name, value)] = close_location(bars, source).items()
        ahead = value.copy()
        ahead[:-1], ahead[-1] = value[1:], float("nan")
        return {name: ahead}

    patch.setitem(BUILDERS, "close_location", from_the_future)


def early_stamps(module: Any, function: str) -> Plant:  # noqa: ANN401  (a module)
    """Every forecast that `function` lays is stamped one step early."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        honest = getattr(module, function)

        def early(*args: Any, **given: Any) -> pl.DataFrame:  # noqa: ANN401
            table: pl.DataFrame = honest(*args, **given)
            return table.with_columns(valid_time=pl.col("valid_time") - HOUR)

        patch.setattr(module, function, early)

    return plant


@dataclass(frozen=True)
class Outcome:
    """What a stopped run left behind."""

    message: str
    materialised: set[str]
    status: dg.DagsterRunStatus
    mlflow_statuses: set[str]


def stopped(world: World, plant: Plant | None = None, *, as_of: datetime = AS_OF) -> Outcome:
    """Run, expecting a check to stop it."""
    with pytest.raises(RunFailed) as failure:
        world.run(as_of=as_of, plant=plant)

    def ask(instance: dg.DagsterInstance) -> tuple[dg.DagsterRun, set[str]]:
        [run] = instance.get_runs(limit=1)
        done = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        keys = [entry.dagster_event.asset_key for entry in done if entry.dagster_event]
        return run, {key.path[-1] for key in keys if key}

    run, materialised = world.dagster(ask)
    return Outcome(str(failure.value), materialised, run.status, _mlflow(world, run.run_id))


def _mlflow(world: World, dagster_run_id: str) -> set[str]:
    """Statuses of the parent runs of one Dagster run."""
    store = client(world.settings)
    experiment = store.get_experiment_by_name(f"files.{NAME}")
    assert experiment is not None
    wanted = f"tags.dagster_run_id = '{dagster_run_id}'"
    runs = store.search_runs([experiment.experiment_id], filter_string=wanted)
    return {run.info.status for run in runs if "mlflow.parentRunId" not in run.data.tags}


def served(world: World) -> tuple[bytes, dict[str, str]]:
    """The pointer to the snapshot, and who holds which alias."""
    aliases = client(world.settings).get_registered_model(f"files.{NAME}").aliases
    pointer = world.store.read_file(f"published/{NAME}/latest.json")
    return pointer, {alias: str(version) for alias, version in aliases.items()}


RAW = {"raw_coin", "raw_index"}
EVALUATED = {*RAW, "observations", "features", "backtest"}
MODELS = {"model_last_value", "model_ridge", "model_boosting"}


FAULTY_BARS = {
    "no_conflicting_duplicates": (given_twice(at=bar(1)), "2 bars delivered several times"),
    "prices_present": (spoilt("close", float("nan"), at=bar(2)), "close NaN"),
    "ohlc_consistent": (spoilt("high", 1.0, at=bar(3)), "high 1.0 below open"),
    "not_later_than_fetch": (from_the_year_2999, "a candle later than its fetch"),
}


def test_faulty_bars_are_stopped_at_the_door_and_what_is_served_stays(world: World) -> None:
    before, bars = served(world), planted.market()
    for spoil, _ in FAULTY_BARS.values():
        bars = spoil(bars)
    world.deliver(bars)

    # The newest month that is fetched is the clock's: what lies beyond comes with it.
    outcome = stopped(world, as_of=real_now())

    told = dict(
        line.removeprefix(f"{NAME}/raw_coin: check ").split(" failed: coin: ", 1)
        for line in outcome.message.splitlines()
    )
    assert set(told) == set(FAULTY_BARS)
    for check, (_, message) in FAULTY_BARS.items():
        assert message in told[check]
        assert "from coin.parquet" in told[check]
    assert outcome.materialised == RAW
    assert (outcome.status, outcome.mlflow_statuses) == (
        dg.DagsterRunStatus.FAILURE,
        {"FAILED"},
    )
    assert served(world) == before


def test_a_feature_from_one_hour_ahead_is_stopped_before_it_trains_anything(world: World) -> None:
    before = served(world)

    outcome = stopped(world, shifted_feature)

    assert f"{NAME}/features: check no_leakage failed" in outcome.message
    assert "values know the future, first: coin_close_location at origin" in outcome.message
    assert outcome.materialised == {*RAW, "observations", "features"}
    assert outcome.mlflow_statuses == {"FAILED"}
    assert served(world) == before


def test_a_backtest_stamped_one_step_early_reaches_neither_gate_nor_forecasts(
    world: World,
) -> None:
    before = served(world)

    outcome = stopped(world, early_stamps(evaluation, "add_bands"))

    assert f"{NAME}/backtest: check alignment failed" in outcome.message
    assert "it must be later than its origin" in outcome.message
    assert outcome.materialised <= {*EVALUATED, *MODELS}
    assert outcome.mlflow_statuses == {"FAILED"}
    assert served(world) == before


def test_a_live_forecast_stamped_one_step_early_is_not_published(world: World) -> None:
    pointer, _ = served(world)

    outcome = stopped(world, early_stamps(live, "forecast"))

    assert f"{NAME}/forecasts: check alignment failed" in outcome.message
    assert "is stamped 2025-06-10 00:00:00+00:00" in outcome.message
    assert "published" not in outcome.materialised
    assert served(world)[0] == pointer

    world.run()  # the code is repaired: what was stopped is set aside and said anew

    assert served(world)[0] != pointer


def test_a_verdict_is_kept_when_its_asset_fails_after_the_alias_has_moved(world: World) -> None:
    before = world.table("champion")

    def failing_afterwards(patch: pytest.MonkeyPatch) -> None:
        def refuse(**_what: object) -> str:
            raise OSError("planted: no space for artifacts")

        patch.setattr(promotion, "log_to_parent", refuse)

    outcome = stopped(world, failing_afterwards)

    assert "planted: no space for artifacts" in outcome.message
    after, (_, aliases) = world.table("champion"), served(world)
    assert len(after) == len(before) + 1
    assert after["version"][-1] == aliases["champion"] != before["version"][-1]
