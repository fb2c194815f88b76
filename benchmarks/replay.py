"""A replay and the same replay again: how long it takes to make its fits and to recall them.

The production assets run at weekly origins, on real files (`--data-dir`) or on sample bars. The
second replay of the same span makes everything anew but the fits; both must come to the same
figures. `README.md` says what the figures mean.
"""

from __future__ import annotations

import argparse
import resource
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from measurement.homes import temporary_folder, use_home
from measurement.rounds import arguments, say, show
from regime_switch import FIRST, QUICK_HISTORY, describe, fill
from rich.console import Console

from mlops_assets.cli.problems import problem_files
from mlops_assets.cli.replay import asked_options, asked_span, replay_problem
from mlops_assets.cli.replay_view import Replayed, error_figures
from mlops_assets.problem import ForecastProblem, load_problem
from mlops_assets.replay.span import Span
from mlops_assets.settings import Settings

WEEK: Final = timedelta(days=7)
REVERSAL: Final = 0.3
"""Planted in the sample bars: share of a scaled return that reverses."""


@dataclass(frozen=True)
class Task:
    """What is replayed."""

    problem: ForecastProblem
    span: Span
    evaluate_from: str | None = None


class DifferentFiguresError(AssertionError):
    """A replay with recalled fits did not come to the figures of the first."""


def main() -> None:
    """Replay twice, and print both times."""
    given = arguments(__doc__ or "", rounds=1, more=_options)
    data_dir = None if given.quick or given.data_dir is None else Path(given.data_dir)
    with temporary_folder("sample" if data_dir is None else "files", data_dir) as folder:
        task = _sample_task() if data_dir is None else _task(given)
        settings = use_home(folder / "home")
        say("reading raw tables")
        fill(settings, task.problem, end=max(task.span.closing, task.span.end))
        cold, cached = (_replay(settings, task, name) for name in ("cold", "cached"))
    figures = _figures(task, cold, cached)
    show(figures, _text(figures), as_json=given.json)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", help="folder of the real files; default: sample bars")
    parser.add_argument("--problem", default="bitcoin_close", help="default bitcoin_close")
    parser.add_argument("--from", dest="start", default="2024-02-01", help="default 2024-02-01")
    parser.add_argument("--to", dest="end", default="2025-06-12", help="default 2025-06-12")
    parser.add_argument("--evaluate-from", help="first evaluated period; for a short history")
    parser.add_argument("--every", default="7d", help="default 7d")


def _sample_task() -> Task:
    """Three weekly origins on sample bars with a planted reversal."""
    problem = describe(QUICK_HISTORY, None, REVERSAL)
    return Task(problem, Span(FIRST.astimezone(UTC), FIRST + 2 * WEEK, WEEK))


def _task(given: argparse.Namespace) -> Task:
    problem = load_problem(problem_files()[given.problem])
    span = asked_span(problem, given.start, given.end, given.every)
    return Task(problem, span, given.evaluate_from)


def _replay(settings: Settings, task: Task, name: str) -> Replayed:
    return replay_problem(
        settings,
        task.problem,
        task.span,
        options=asked_options(task.problem, task.span, task.evaluate_from),
        replay_id=name,
        rule="gate",
        console=Console(stderr=True),
    )


def _figures(task: Task, cold: Replayed, cached: Replayed) -> dict[str, Any]:
    if cold.ledger.rules != cached.ledger.rules:
        raise DifferentFiguresError(
            f"recalled fits came to {cached.ledger.rules}, made ones to {cold.ledger.rules}; they "
            "must be equal in every bit; look for what a fit's key leaves out (training.recall)"
        )
    return {
        "benchmark": "replay",
        "problem": task.problem.name,
        "origins": len(task.span),
        "first": task.span.start.isoformat(),
        "last": task.span.end.isoformat(),
        "seconds": {"cold": cold.seconds, "cached": cached.seconds},
        "ratio": round(cold.wall_seconds / cached.wall_seconds, 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "live": error_figures(cold.ledger.live),
        "rules": {
            rule.rule: {
                **rule.model_dump(include={"promotions", "churn", "versions", "missing"}),
                **error_figures(rule.live),
            }
            for rule in cold.ledger.rules
        },
        "candidates": {name: error_figures(e) for name, e in cold.candidates.items()},
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _text(figures: dict[str, Any]) -> str:
    seconds = figures["seconds"]
    lines = [
        f"{figures['problem']}: {figures['origins']} origins, {figures['first']} to "
        f"{figures['last']}, {len(figures['candidates'])} candidates",
        "",
        f"{'':<10}{'all, s':>10}{'first step, s':>16}{'later steps, s each':>22}",
    ]
    lines += [
        f"{name:<10}{took['wall']:>10,.1f}{took['first_step']:>16,.1f}"
        f"{took['mean_later_step']:>22,.2f}"
        for name, took in seconds.items()
    ]
    lines += [
        "",
        f"{'rule':<10}{'promotions':>12}{'churn':>8}{'MAE ratio':>12}{'RMSE ratio':>12}{'n':>8}",
    ]
    for name, rule in figures["rules"].items():
        shown = [rule[f"{score}_ratio_to_last_value"] for score in ("mae", "rmse")]
        ratios = "".join("-".rjust(12) if r is None else f"{r:>12.4f}" for r in shown)
        counts = f"{rule['promotions']:>12}{rule['churn']:>8}"
        lines.append(f"{name:<10}{counts}{ratios}{rule['n']:>8,}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
