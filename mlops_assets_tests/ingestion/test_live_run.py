"""Whole runs of ingestion: live ones against services, and those with a dead source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import stamina

from mlops_assets.ingestion.assets import build_observations_asset, build_raw_assets
from mlops_assets.ingestion.checks import build_observation_checks, build_raw_checks
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import CandleSource, ForecastProblem, ProblemError, load_problem
from mlops_assets.storage.io_manager import TableIOManager
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.ingestion.market import (
    SHIPPED,
    at,
    delivered,
    exogenous,
    file,
    problem,
    sample,
    source,
)
from mlops_assets_tests.ingestion.services import Answer, Chart, Exchange, Service, running

NOW = at(48.25)


@dataclass
class World:
    """Fake services, the problem that asks them, and where its tables are."""

    exchange: Exchange
    exchange_service: Service
    chart: Chart
    chart_service: Service
    root: str
    real_now: datetime = NOW

    def problem(self) -> ForecastProblem:
        """BTC from the exchange, VIX from the chart service."""
        return problem(
            btc=source(
                live={
                    "kind": "binance",
                    "symbol": "BTCUSDT",
                    "base_url": self.exchange_service.url,
                }
            ),
            vix=exogenous(
                has_volume=False,
                live={"kind": "yahoo", "symbol": "^VIX", "base_url": self.chart_service.url},
            ),
        )

    def table(self, name: str) -> pl.DataFrame:
        """A raw table by valid time."""
        return TableStore(self.root).read_delta(f"bitcoin_close/{name}").sort("valid_time")

    def observations(self) -> pl.DataFrame:
        """The observations."""
        return TableStore(self.root).read("bitcoin_close/observations")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("MLOPS_DATA", "live")
    exchange, chart = Exchange(NOW), Chart(NOW)
    with ExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=5, cap=True))
        exchange_service = stack.enter_context(running(exchange))
        chart_service = stack.enter_context(running(chart))
        root = str(tmp_path / "store")
        made = World(exchange, exchange_service, chart, chart_service, root)
        monkeypatch.setattr("mlops_assets.ingestion.assets.real_now", lambda: made.real_now)
        yield made


def materialize(
    described: ForecastProblem, root: str, *, now: datetime = NOW
) -> dg.ExecuteInProcessResult:
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
        partition_key="2025-05-01",
        raise_on_error=False,
    )


def check(result: dg.ExecuteInProcessResult, asset: str, name: str) -> dg.AssetCheckEvaluation:
    [found] = [
        found
        for found in result.get_asset_check_evaluations()
        if (found.asset_key.path[-1], found.check_name) == (asset, name)
    ]
    return found


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    events = result.get_asset_materialization_events()
    return {event.asset_key.path[-1] for event in events if event.asset_key}


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    [event] = result.asset_materializations_for_node(f"bitcoin_close__{asset}")
    return {key: value.value for key, value in event.metadata.items()}


def test_a_live_run_through_every_temporary_trouble_ends_with_complete_tables(
    world: World,
) -> None:
    world.exchange_service.first = [
        Answer(429, {"code": -1003}, {"Retry-After": "3"}),
        Answer(500, "oops"),
    ]
    world.exchange.ends_early = 7
    world.chart_service.first = [Answer(429, "Too Many Requests"), Answer(503, "")]
    world.chart.without_price = {at(5.5)}

    result = materialize(world.problem(), world.root)

    assert result.success
    assert world.table("raw_btc")["valid_time"].to_list() == [at(h) for h in range(1, 49)]
    assert world.table("raw_vix")["valid_time"].to_list() == [
        at(h + 1.5) for h in range(47) if h != 5
    ]
    assert len(world.observations()) == 48
    assert world.observations()["vix_value"].null_count() == 1  # none had closed by 01:00
    failed = [c for c in result.get_asset_check_evaluations() if not c.passed]
    # The row that was dropped is told as a gap as well, since this VIX trades round the clock.
    assert [(c.asset_key.path[-1], c.check_name) for c in failed] == [("raw_vix", "gaps")]
    assert check(result, "raw_vix", "fetched").passed
    assert "ended after 7 of 1000 rows" in str(metadata(result, "raw_btc")["notes"])
    assert metadata(result, "raw_vix")["notes"] == "vix: 1 rows without a price were dropped"


def test_a_run_sees_what_it_fetched_though_its_clock_stands_at_its_beginning(
    world: World,
) -> None:
    described = world.problem()
    world.real_now = at(46.25)
    materialize(described, world.root, now=at(46.25))
    began, world.real_now = at(48.25), at(48.25) + timedelta(minutes=2)

    materialize(described, world.root, now=began)

    newest = world.observations().row(-1, named=True)
    assert (newest["valid_time"], newest["known_at"]) == (at(48), began)
    assert (newest["vix_valid_time"], newest["assumed"]) == (at(47.5), False)


def test_a_live_run_as_of_the_past_fetches_now_and_sees_the_past(world: World) -> None:
    result = materialize(world.problem(), world.root, now=at(12))

    assert result.success
    assert len(world.table("raw_btc")) == 48
    assert world.observations()["valid_time"].max() == at(12)


@pytest.mark.parametrize("status", [418, 403, 500])
def test_a_dead_exogenous_service_leaves_target_and_observations(world: World, status: int) -> None:
    world.chart_service.usual = lambda _: Answer(status, "no")

    result = materialize(world.problem(), world.root)

    assert result.success
    assert materialized(result) == {"raw_btc", "raw_vix", "observations"}
    found = check(result, "raw_vix", "fetched")
    assert (found.passed, found.blocking) == (False, False)
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert f"answered {status}" in str(found.description)
    assert world.observations()["vix_value"].null_count() == 48
    assert not check(result, "raw_vix", "recency").passed


def test_the_rows_of_a_service_that_died_stay_and_age(world: World) -> None:
    described = world.problem()
    world.chart.now = at(40.25)
    materialize(described, world.root)
    world.chart_service.usual = lambda _: Answer(503, "closed")

    result = materialize(described, world.root)

    assert result.success
    rows = world.observations().sort("valid_time")
    # The newest VIX bar closes at 40:30 and may be six hours old: 46:00 has it, 47:00 does not.
    assert rows.filter(valid_time=at(46))["vix_value"].to_list() == [139.0]
    assert rows.filter(valid_time=at(47))["vix_value"].to_list() == [None]


def test_a_dead_target_service_fails_the_run_with_its_message(world: World) -> None:
    world.exchange_service.usual = lambda _: Answer(418, "banned until tomorrow")

    result = materialize(world.problem(), world.root)

    assert not result.success
    assert "observations" not in materialized(result)
    [failure] = result.filter_events(lambda event: event.is_step_failure)
    assert "answered 418" in str(failure.step_failure_data.error)


def test_an_exchange_ahead_of_our_clock_stops_the_run_and_its_check_says_so(world: World) -> None:
    world.exchange.now = NOW + timedelta(hours=4)

    result = materialize(world.problem(), world.root)

    assert not result.success
    found = check(result, "raw_btc", "not_later_than_fetch")
    assert "4 bars closing later than the fetch" in str(found.description)


def test_a_missing_file_of_an_exogenous_source_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATA", "files")
    monkeypatch.setenv("MLOPS_DATA_DIR", str(tmp_path))
    delivered([100.0] * 12).write_parquet(tmp_path / "btc.parquet")
    described = problem(
        btc=source(files=[file("btc.parquet")]), vix=exogenous(files=[file("vix.parquet")])
    )

    result = materialize(described, str(tmp_path / "store"), now=at(12))

    assert result.success
    assert "observations" in materialized(result)
    assert "vix.parquet is not in MLOPS_DATA_DIR" in str(
        check(result, "raw_vix", "fetched").description
    )


def test_a_sample_that_an_exogenous_source_lacks_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATA", "sample")
    described = problem(btc=source(sample=sample()), vix=exogenous())

    result = materialize(described, str(tmp_path / "store"), now=at(12.5))

    assert result.success
    assert "sources.vix.sample is missing" in str(check(result, "raw_vix", "fetched").description)


def test_every_source_of_the_shipped_problem_names_its_live_service() -> None:
    named = {
        name: (found.live.kind, found.live.symbol)
        for name, found in load_problem(SHIPPED).sources.items()
        if isinstance(found, CandleSource) and found.live is not None
    }

    assert named == {
        "btc": ("binance", "BTCUSDT"),
        "ndx": ("yahoo", "QQQ"),
        "vix": ("yahoo", "^VIX"),
        "gold": ("yahoo", "GC=F"),
    }


def test_an_unknown_live_service_fails_at_load_with_its_key(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace("kind: binance", "kind: kraken")
    (tmp_path / "defs.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(ProblemError, match=r"sources\.btc\.live .*'binance', 'yahoo'"):
        load_problem(tmp_path / "defs.yaml")
