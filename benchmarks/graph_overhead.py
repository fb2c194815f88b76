"""The whole graph on trivial compute against the same functions in plain Python, in one process.

Three ways to the same tables: Dagster on an instance on disk (as `mlops run`), Dagster on an
ephemeral instance, and the plain calls of `measurement/plain_loop.py`. `README.md` says what the
figures mean.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import dagster as dg
import polars as pl
from measurement.homes import temporary_folder, use_home
from measurement.plain_loop import PlainLoop
from measurement.problems import bitcoin_close, keep_sources, make_trivial, start_at, write
from measurement.rounds import arguments, interleaved, medians, show
from measurement.run_log import resource_seconds, step_seconds
from polars.testing import assert_frame_equal

from mlops_assets.components.forecast_pipeline import build_problem_definitions, loop_job_name
from mlops_assets.definitions import shared_resources
from mlops_assets.ingestion.assets import raw_partitions
from mlops_assets.orchestration.clock import Clock
from mlops_assets.problem import ForecastProblem, load_problem
from mlops_assets.settings import Settings, load_settings
from mlops_assets.storage.io_manager import TableIOManager
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.tracking import close_parent_run

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
HISTORY: Final = timedelta(days=14)
AS_OF: Final = START + HISTORY
COMPARED: Final = ("observations", "features", "backtest", "evaluation_report")
"""Tables that must come out equal whichever way they were made."""
QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

WAYS: Final = {
    "plain": "plain Python",
    "ephemeral": "Dagster, instance in memory",
    "disk": "Dagster, SQLite on disk",
}
PARTS: Final = {
    "definitions": "definitions and job built",
    "resources": "resources initialised (the MLflow run, which plain Python opens too)",
    "steps": "steps, from start to success",
    "event_log": "of all: storing events",
    "inputs_read": "of all: the IO manager reading inputs back",
    "outputs_written": "of all: the IO manager writing (plain Python writes the same tables)",
}


@dataclass
class Meter:
    """Adds up the calls of a function and their seconds."""

    calls: int = 0
    seconds: float = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, metered."""

        def metered(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 passes anything on
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.calls += 1
                self.seconds += time.perf_counter() - started

        return metered


@dataclass(frozen=True)
class Timing:
    """One run: all of it, by asset (and its checks), and by what Dagster did."""

    seconds: float
    steps: dict[str, float]
    parts: dict[str, float] = field(default_factory=dict)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)


def main() -> None:
    """Measure, and print the outcome."""
    given = arguments(__doc__ or "", rounds=7)
    with temporary_folder("sample") as folder:
        problem = trivial_problem(folder, few_sources=given.quick)
        use_home(folder / "home")
        ways = {
            "plain": partial(run_plain, problem),
            "ephemeral": partial(run_graph, problem, dg.DagsterInstance.ephemeral),
            "disk": partial(run_graph, problem, dg.DagsterInstance.get),
        }
        variants = {name: partial(on_empty_tables, way, folder) for name, way in ways.items()}
        # The first run of each imports libraries, creates the registry and elects a champion.
        first = interleaved(variants, rounds=1)
        require_equal_tables({name: runs[0] for name, runs in first.items()})
        timings = first if given.quick else interleaved(variants, rounds=given.rounds)
    figures = _figures(timings, given.rounds)
    show(figures, _text(figures), as_json=given.json)


def trivial_problem(folder: Path, *, few_sources: bool) -> ForecastProblem:
    """`bitcoin_close` on 14 days with two features, baselines only and two folds of 55 hours."""
    document = bitcoin_close()
    start_at(document, START)
    make_trivial(
        document,
        anchor=AS_OF,
        calibration=timedelta(hours=110),
        refit_every=timedelta(hours=55),
        folds=2,
    )
    if few_sources:
        keep_sources(document, "btc")
    return load_problem(write(document, folder))


def on_empty_tables(run: Callable[[Settings], Timing], folder: Path) -> Timing:
    """One run on a table store of its own; MLflow's store is shared by all runs."""
    os.environ["MLOPS_STORAGE_URI"] = str(folder / f"tables-{uuid.uuid4().hex}")
    return run(load_settings())


def run_plain(problem: ForecastProblem, settings: Settings) -> Timing:
    """The plain calls."""
    started = time.perf_counter()
    loop = PlainLoop(problem, settings, START, AS_OF)
    loop.run()
    seconds = time.perf_counter() - started
    return Timing(seconds, loop.seconds, tables=_tables(problem, settings))


def run_graph(
    problem: ForecastProblem, open_instance: Callable[[], dg.DagsterInstance], settings: Settings
) -> Timing:
    """The job that `mlops run` executes, on an instance that is opened here."""
    events, reads, writes = Meter(), Meter(), Meter()
    run_id = str(uuid.uuid4())
    started = time.perf_counter()
    job = _job(problem, settings)
    built = time.perf_counter() - started
    keys = raw_partitions(problem).get_partition_keys(current_time=AS_OF)
    with (
        open_instance() as instance,
        patch.object(instance, "handle_new_event", events.around(instance.handle_new_event)),
        patch.object(TableIOManager, "load_input", reads.around(TableIOManager.load_input)),
        patch.object(TableIOManager, "handle_output", writes.around(TableIOManager.handle_output)),
    ):
        job.execute_in_process(
            instance=instance,
            run_id=run_id,
            tags={
                "dagster/asset_partition_range_start": keys[0],
                "dagster/asset_partition_range_end": keys[-1],
            },
            run_config=QUIET,
        )
        close_parent_run(settings, problem.name, run_id, "FINISHED")
        seconds = time.perf_counter() - started
        logs = instance.all_logs(run_id)
    steps = step_seconds(logs, problem.name)
    parts = {
        "definitions": built,
        "resources": resource_seconds(logs),
        "steps": sum(steps.values()),
        "event_log": events.seconds,
        "inputs_read": reads.seconds,
        "outputs_written": writes.seconds,
        "events": float(events.calls),
    }
    return Timing(seconds, steps, parts, _tables(problem, settings))


def require_equal_tables(runs: dict[str, Timing]) -> None:
    """Refuse to compare runs that did not do the same.

    Sums over groups come in any order, so floats may differ in their last digits.

    Raises:
        AssertionError: a table differs; bring `measurement/plain_loop.py` up to date with the
            assets.
    """
    for run in runs.values():
        for name, table in run.tables.items():
            assert_frame_equal(table, runs["plain"].tables[name], rel_tol=1e-9, abs_tol=0.0)


def _job(problem: ForecastProblem, settings: Settings) -> dg.JobDefinition:
    definitions = dg.Definitions.merge(
        build_problem_definitions(problem, settings),
        dg.Definitions(resources=shared_resources(settings, Clock(fixed_at=AS_OF.isoformat()))),
    )
    return definitions.resolve_job_def(loop_job_name(problem.name))


def _tables(problem: ForecastProblem, settings: Settings) -> dict[str, pl.DataFrame]:
    store = TableStore(settings.storage)
    return {name: store.read(f"{problem.name}/{name}") for name in COMPARED}


def _figures(timings: dict[str, list[Timing]], rounds: int) -> dict[str, Any]:
    seconds = {n: medians([{"s": t.seconds} for t in own])["s"] for n, own in timings.items()}
    return {
        "benchmark": "graph_overhead",
        "rounds": rounds,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "ratio": round(seconds["disk"] / seconds["plain"], 3),
        "ratio_ephemeral": round(seconds["ephemeral"] / seconds["plain"], 3),
        "steps": {
            name: {k: round(v, 4) for k, v in medians([t.steps for t in own]).items()}
            for name, own in timings.items()
        },
        "parts": {
            name: {k: round(v, 4) for k, v in medians([t.parts for t in own]).items()}
            for name, own in timings.items()
            if name != "plain"
        },
    }


def _text(figures: dict[str, Any]) -> str:
    seconds, steps, parts = figures["seconds"], figures["steps"], figures["parts"]
    count = len(steps["plain"])
    lines = [
        f"The whole graph on trivial compute, medians of {figures['rounds']} rounds",
        "",
        f"{'seconds':>9}{'ratio':>8}",
        *(
            f"{seconds[way]:>9.2f}{seconds[way] / seconds['plain']:>8.2f}  {meaning}"
            for way, meaning in WAYS.items()
        ),
        "",
        f"ratio: Dagster on disk takes {figures['ratio']} times as long as plain Python;",
        f"overhead {(seconds['disk'] - seconds['plain']) / count:.3f} s a step, {count} steps",
        "",
        f"{'memory':>9}{'disk':>9}  seconds in Dagster, by part",
        *(
            f"{parts['ephemeral'][part]:>9.3f}{parts['disk'][part]:>9.3f}  {meaning}"
            for part, meaning in PARTS.items()
        ),
        f"{parts['ephemeral']['events']:>9.0f}{parts['disk']['events']:>9.0f}  events",
        "",
        f"{'plain':>9}{'memory':>9}{'disk':>9}{'overhead':>10}  seconds by step",
    ]
    names = sorted(steps["disk"], key=lambda name: steps["plain"][name] - steps["disk"][name])
    for name in names:
        plain, memory, disk = (steps[way][name] for way in WAYS)
        lines.append(f"{plain:>9.3f}{memory:>9.3f}{disk:>9.3f}{disk - plain:>+10.3f}  {name}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
