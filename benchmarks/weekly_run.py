"""Cost of one weekly run with 12, 72 and 120 weeks of history behind it; it must be flat.

A weekly run is all of `mlops run`: raw ingestion, every asset and check, one new fold. One store
is brought forward to the week before each history length; a copy of it then lives through that
week, once a round. `README.md` says what the figures mean.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Literal
from unittest.mock import patch

import dagster as dg
from measurement.homes import temporary_folder, use_home
from measurement.problems import (
    NAME,
    bitcoin_close,
    keep_sources,
    make_trivial,
    start_at,
    write,
)
from measurement.rounds import arguments, interleaved, medians, say, show
from measurement.run_log import materialised_number, step_seconds

from mlops_assets.cli import run as command
from mlops_assets.evaluation.assets import backtest_key
from mlops_assets.ingestion.pull import read_raw
from mlops_assets.storage.tables import TableStore

WEEK: Final = timedelta(days=7)
FIRST_FOLD: Final = datetime(2023, 2, 2, tzinfo=UTC)
"""First evaluated refit of the sample store; on the grid of `bitcoin_close`."""
WARM_UP: Final = timedelta(days=460)
"""Raw history before it: calibration (9 weeks), a full year for the trees, 720 bars of features."""
QUICK_WARM_UP: Final = timedelta(days=21)
FILES: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES_END: Final = datetime(2025, 6, 19, tzinfo=UTC)
"""Newest refit that the real files reach."""

Span = Literal["whole", "newest"]
SPANS: Final[dict[Span, str]] = {
    "whole": "evaluation from the first fold on (`--evaluate-from`)",
    "newest": "evaluation of the newest folds only (the YAML's `folds`)",
}


@dataclass(frozen=True)
class Plan:
    """What is measured: the problem's file, its first evaluated fold, history lengths in weeks."""

    problem: Path
    first_fold: datetime
    weeks: tuple[int, ...]
    candidates: tuple[str, ...]

    def as_of(self, week: int) -> datetime:
        """The instant at which `week` folds are complete."""
        return self.first_fold + week * WEEK


@dataclass(frozen=True)
class WeeklyRun:
    """One measured run."""

    seconds: float
    steps: dict[str, float]
    counts: dict[str, int]


def main() -> None:
    """Measure, and print the outcome."""
    given = arguments(__doc__ or "", rounds=3, more=_options)
    data = FILES if given.data == "files" else None
    with temporary_folder(given.data, data) as folder:
        plan = _plan(given, folder)
        homes = prepare_homes(plan, folder)
        spans: tuple[Span, ...] = ("whole",) if given.quick else ("whole", "newest")
        variants = {
            f"{span} {week}": partial(live_through, plan, homes[week], week, span)
            for span in spans
            for week in plan.weeks
        }
        runs = interleaved(variants, rounds=given.rounds)
    figures = {
        "benchmark": "weekly_run",
        "data": given.data,
        "rounds": given.rounds,
        "candidates": list(plan.candidates),
        "thinned": bool(given.quick),
        "spans": {s: _figures({w: runs[f"{s} {w}"] for w in plan.weeks}) for s in spans},
    }
    show(figures, _text(figures), as_json=given.json)


def prepare_homes(plan: Plan, folder: Path) -> dict[int, Path]:
    """For each history length a home as it was the week before, by one store that grows."""
    growing, homes = folder / "growing", {}
    for week in plan.weeks:
        say(f"preparing: {week - 1} weeks of history")
        done = run_once(plan, growing, week - 1, "whole")
        say(f"  {done.counts['folds_computed']} folds computed in {done.seconds:.0f} s")
        homes[week] = folder / f"before-week-{week}"
        _copy(growing, homes[week])
    return homes


def live_through(plan: Plan, home: Path, week: int, span: Span) -> WeeklyRun:
    """The run that completes `week`, on a copy of the home as it was before."""
    copy = home.parent / f"run-{time.monotonic_ns()}"
    _copy(home, copy)
    try:
        return run_once(plan, copy, week, span)
    finally:
        shutil.rmtree(copy)


def run_once(plan: Plan, home: Path, week: int, span: Span) -> WeeklyRun:
    """One run as `mlops run` makes it, without the start of the process."""
    settings = use_home(home)
    with patch.object(command, "problem_files", lambda: {NAME: plan.problem}):
        started = time.perf_counter()
        command.run_problem(
            settings,
            NAME,
            as_of=plan.as_of(week).isoformat(),
            evaluate_from=plan.first_fold.isoformat() if span == "whole" else None,
            progress=lambda _line: None,
        )
        seconds = time.perf_counter() - started
    with dg.DagsterInstance.get() as instance:
        (newest,) = instance.get_runs(limit=1)
        logs = instance.all_logs(newest.run_id)
    count = partial(materialised_number, logs, backtest_key(NAME))
    return WeeklyRun(
        seconds=seconds,
        steps=step_seconds(logs, NAME),
        counts={
            "folds_computed": count("folds_computed"),
            "folds_reused": count("folds_reused"),
            "raw_rows": len(read_raw(TableStore(settings.storage), NAME, "btc")),
            "events": len(logs),
        },
    )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", choices=["sample", "files"], default="sample", help="where values come from"
    )
    parser.add_argument("--weeks", type=int, nargs="+", help="history lengths, at least 2 each")


def _plan(given: argparse.Namespace, folder: Path) -> Plan:
    document = bitcoin_close()
    default = (12, 72, 116) if given.data == "files" else (12, 72, 120)
    weeks = tuple(sorted(given.weeks or ((2, 4) if given.quick else default)))
    first_fold = FILES_END - weeks[-1] * WEEK if given.data == "files" else FIRST_FOLD
    if given.quick:
        keep_sources(document, "btc")
        make_trivial(
            document,
            anchor=first_fold,
            calibration=timedelta(days=10),
            refit_every=WEEK,
            folds=2,
        )
    if given.data == "sample":
        start_at(document, first_fold - (QUICK_WARM_UP if given.quick else WARM_UP))
    candidates = tuple(document["attributes"]["candidates"])
    return Plan(write(document, folder), first_fold, weeks, candidates)


def _copy(home: Path, target: Path) -> None:
    """Copy a home; its copies go on to use the artifacts where they are."""
    shutil.copytree(home, target, ignore=shutil.ignore_patterns("mlflow-artifacts"))


def _figures(runs: dict[int, list[WeeklyRun]]) -> dict[str, dict[str, object]]:
    """By history length: seconds, ratio to the shortest history, counts, seconds of each step."""
    seconds = {week: statistics.median(r.seconds for r in own) for week, own in runs.items()}
    shortest = seconds[min(seconds)]
    return {
        str(week): {
            "seconds": round(seconds[week], 2),
            "ratio": round(seconds[week] / shortest, 3),
            **own[0].counts,
            "steps": {k: round(v, 3) for k, v in medians([r.steps for r in own]).items()},
        }
        for week, own in runs.items()
    }


def _text(figures: dict[str, object]) -> str:
    spans = figures["spans"]
    assert isinstance(spans, dict)
    thinned = " (thinned by --quick)" if figures["thinned"] else ""
    lines = [
        f"One weekly run, {figures['data']} data, medians of {figures['rounds']} rounds",
        f"candidates{thinned}: {', '.join(figures['candidates'])}",  # type: ignore[arg-type]
    ]
    for span, weeks in spans.items():
        lines += ["", SPANS[span], *_table(weeks), "", *_growth(weeks)]
    return "\n".join(lines)


def _table(weeks: dict[str, dict[str, float]]) -> list[str]:
    head = (
        f"{'weeks':>7}{'seconds':>9}{'ratio':>7}{'folds new':>11}{'reused':>8}"
        f"{'raw bars':>10}{'events':>8}"
    )
    return [head] + [
        f"{week:>7}{row['seconds']:>9.1f}{row['ratio']:>7.2f}{row['folds_computed']:>11}"
        f"{row['folds_reused']:>8}{row['raw_rows']:>10}{row['events']:>8}"
        for week, row in weeks.items()
    ]


def _growth(weeks: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Seconds of each step, those that grow most from the shortest to the longest first."""
    columns: Sequence[str] = list(weeks)
    steps = {week: row["steps"] for week, row in weeks.items()}
    first, last = steps[columns[0]], steps[columns[-1]]
    names = sorted(last, key=lambda name: first[name] - last[name])
    head = f"{'seconds by step':<32}" + "".join(f"{w:>9}" for w in columns) + f"{'growth':>9}"
    return [head] + [
        f"{name:<32}"
        + "".join(f"{steps[w][name]:>9.2f}" for w in columns)
        + f"{last[name] - first[name]:>+9.2f}"
        for name in names
    ]


if __name__ == "__main__":
    main()
