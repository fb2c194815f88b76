"""One run of a problem's whole graph in this process, and what it came to.

The run goes through the job that Dagster's page launches too, on the same instance, so it shows up
there with all its events.
"""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl

from mlops_assets.cli.problems import problem_files
from mlops_assets.cli.summary import (
    Champion,
    FirstForecast,
    LeaderboardRow,
    RunFailed,
    RunSummary,
    Verdict,
)
from mlops_assets.components.forecast_pipeline import build_problem_definitions, loop_job_name
from mlops_assets.definitions import default_clock, shared_resources
from mlops_assets.evaluation.assets import backtest_key
from mlops_assets.forecasting.assets import published_key
from mlops_assets.ingestion.assets import raw_partitions
from mlops_assets.ingestion.due import due_from
from mlops_assets.orchestration.clock import Clock, parse_instant
from mlops_assets.orchestration.failure import why_it_failed
from mlops_assets.orchestration.pools import PROBLEM_TAG
from mlops_assets.orchestration.trigger import TRIGGER_TAG, Trigger
from mlops_assets.problem import ForecastProblem, load_problem
from mlops_assets.settings import Settings
from mlops_assets.storage.publication import latest_snapshot_id
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.tracking import close_parent_run
from serving.contract.model_card import CONTRACT_VERSION
from serving.contract.snapshot import (
    FORECASTS,
    LEADERBOARD,
    MANIFEST,
    VERDICT,
    Manifest,
    problem_prefix,
)


def run_problem(
    settings: Settings,
    problem_name: str,
    *,
    as_of: str | None,
    evaluate_from: str | None,
    progress: Callable[[str], None],
) -> RunSummary:
    """Materialise a problem's graph in one process.

    Args:
        settings: name the stores.
        problem_name: its folder below `defs`.
        as_of: the instant to believe in (ISO 8601 with zone); default: now, or with `files` the
            newest value of the files.
        evaluate_from: first period to evaluate: an instant with zone, or a date (its beginning in
            the problem's zone).
        progress: takes one line at a time.

    Raises:
        RunFailed: an asset or a blocking check stopped the run.
        ProblemError, SettingsError, ClockError: something given from outside cannot be used.
    """
    problem = load_problem(problem_files()[problem_name])
    clock = Clock(fixed_at=as_of) if as_of else default_clock(settings, [problem])
    now = clock.now()
    definitions = dg.Definitions.merge(
        build_problem_definitions(problem, settings),
        # One instant for the whole run: a run that takes minutes must not straddle an hour.
        dg.Definitions(resources=shared_resources(settings, Clock(fixed_at=now.isoformat()))),
    )
    run_id = str(uuid.uuid4())
    job = definitions.resolve_job_def(loop_job_name(problem.name))
    with dg.DagsterInstance.get() as instance:
        instance.add_event_listener(run_id, _listener(progress, steps=len(job.nodes)))
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            tags={**_partition_range(problem, clock, settings), **_origin_of(problem)},
            run_config=_run_config(problem, evaluate_from),
            raise_on_error=False,
        )
    close_parent_run(settings, problem.name, run_id, "FINISHED" if result.success else "FAILED")
    if not result.success:
        raise RunFailed(why_it_failed(result))
    return _read(TableStore(settings.storage), problem_name, _published_snapshot(result, problem))


def read_summary(settings: Settings, problem_name: str) -> RunSummary | None:
    """The summary of the newest published snapshot, from which `mlops up` goes on.

    None before the first, and where it was written by another version of the contract: neither
    this command nor the service can read that, and the next run publishes anew.
    """
    store = TableStore(settings.storage)
    snapshot_id = latest_snapshot_id(store, problem_name)
    if snapshot_id is None:
        return None
    folder = f"{problem_prefix(problem_name)}/{snapshot_id}"
    manifest = json.loads(store.read_file(f"{folder}/{MANIFEST}"))
    if manifest["contract_version"] != CONTRACT_VERSION:
        return None
    return _read(store, problem_name, snapshot_id)


def _read(store: TableStore, problem_name: str, snapshot_id: str) -> RunSummary:
    folder = f"{problem_prefix(problem_name)}/{snapshot_id}"
    manifest = Manifest.model_validate_json(store.read_file(f"{folder}/{MANIFEST}"))
    verdict = json.loads(store.read_file(f"{folder}/{VERDICT}"))
    board = json.loads(store.read_file(f"{folder}/{LEADERBOARD}"))
    forecasts = pl.read_parquet(io.BytesIO(store.read_file(f"{folder}/{FORECASTS}")))
    champion = Champion(
        candidate=verdict["candidate"],
        version=verdict["version"],
        run_id=verdict["run_id"],
        data_version=verdict["data_version"],
    )
    return RunSummary(
        problem=problem_name,
        as_of=manifest.as_of,
        leaderboard=tuple(
            LeaderboardRow.model_validate({k: row[k] for k in LeaderboardRow.model_fields})
            for row in board
        ),
        verdict=Verdict(decision=verdict["decision"], reasons=tuple(verdict["reasons"])),
        champion=champion,
        forecast=_newest(forecasts.filter(pl.col("version") == champion.version), manifest.unit),
    )


def _newest(own: pl.DataFrame, unit: str) -> FirstForecast | None:
    if own.is_empty():
        return None
    row = own.sort("origin", "step", "series").filter(pl.col("origin") == own["origin"].max())
    first = row.select(k for k in FirstForecast.model_fields if k != "unit").row(0, named=True)
    return FirstForecast(**first, unit=unit)


def _published_snapshot(result: dg.ExecuteInProcessResult, problem: ForecastProblem) -> str:
    key = published_key(problem.name)
    for event in result.get_asset_materialization_events():
        if event.asset_key == key:
            return str(event.materialization.metadata["snapshot_id"].value)
    raise RunFailed(f"{key.to_user_string()} was not materialised; look at the run in Dagster")


def _listener(progress: Callable[[str], None], *, steps: int) -> Callable[..., None]:
    """Turns Dagster's events into lines: each step as it is done, and what assets log.

    Args:
        progress: takes one line at a time.
        steps: how many there are, so that each line tells how far the run is.
    """
    started: dict[str, float] = {}

    def hear(entry: dg.EventLogEntry, _cursor: str | None = None) -> None:
        event = entry.dagster_event
        if event is None:
            # Errors are told once, at the end, with their cause.
            if logging.INFO <= int(entry.level) < logging.ERROR and entry.step_key:
                progress(f"        {entry.user_message}")
        elif event.is_step_start and event.step_key:
            started[event.step_key] = entry.timestamp
        elif event.is_step_success and event.step_key in started:
            seconds = entry.timestamp - started[event.step_key]
            name = event.step_key.partition("__")[2]
            progress(f"[{len(started):2}/{steps}] {name:<32}{seconds:5.1f} s")

    return hear


def _run_config(problem: ForecastProblem, evaluate_from: str | None) -> dict[str, Any]:
    # Dagster's own log lines go to its event log; the terminal shows the run's progress instead.
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if evaluate_from is not None:
        start = start_of(evaluate_from, problem)
        op = backtest_key(problem.name).to_python_identifier()
        config["ops"] = {op: {"config": {"evaluate_from": start.isoformat()}}}
    return config


def _origin_of(problem: ForecastProblem) -> dict[str, str]:
    """Whose run this is, and what made it run."""
    return {PROBLEM_TAG: problem.name, TRIGGER_TAG: Trigger.COMMAND_LINE.value}


def start_of(text: str, problem: ForecastProblem) -> datetime:
    """An instant with its zone, or the beginning of a date in the problem's zone.

    Raises:
        ClockError: it is neither.
    """
    if "T" in text:
        return parse_instant(text)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return parse_instant(text)  # refuses it by name
    return datetime.combine(day, time(), tzinfo=ZoneInfo(problem.zone))


def _partition_range(problem: ForecastProblem, clock: Clock, settings: Settings) -> dict[str, str]:
    """The months that this run fetches, up to the clock's own."""
    now = clock.now()
    keys = raw_partitions(problem).get_partition_keys(current_time=now)
    due = due_from(TableStore(settings.storage), problem, settings.data, until=now)
    month = None if due is None else f"{due.astimezone(ZoneInfo(problem.zone)):%Y-%m}-01"
    first = keys[0] if month is None else min(max(keys[0], month), keys[-1])
    return {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": keys[-1],
    }
