"""`mlops replay`: a problem's loop lived through again, origin by origin, on a past clock.

Here: what is replayed and written. Not here: the loop itself and the ledger
(`mlops_assets.replay`), how it looks (`cli.replay_view`), and argument parsing (`cli.main`).
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from datetime import UTC, timedelta
from itertools import pairwise
from typing import Any, Final

import typer
from rich.console import Console

from mlops_assets.cli.problems import chosen_problems, problem_files
from mlops_assets.cli.replay_view import Replayed, replays_table, show, step_progress
from mlops_assets.cli.run import start_of
from mlops_assets.cli.stores import prepare
from mlops_assets.components.forecast_pipeline import build_problem_definitions
from mlops_assets.monitoring.drift.assets import drift_key
from mlops_assets.problem import ForecastProblem, load_problem
from mlops_assets.problem.parts import parse_duration
from mlops_assets.replay.clock_loop import replay_terms, run_clock_loop
from mlops_assets.replay.isolation import FOLDER, ReplayError
from mlops_assets.replay.ledger import (
    LEDGER,
    build_ledger,
    cumulative_loss_difference,
    read_evidence,
    write_ledger,
)
from mlops_assets.replay.page import replay_page
from mlops_assets.replay.progress import FILE, read_progress
from mlops_assets.replay.rhythm import ticked
from mlops_assets.replay.rules import RULES, Rule, by_candidate
from mlops_assets.replay.span import Span
from mlops_assets.replay.step import Options
from mlops_assets.settings import Settings

_UNCHECKED: Final = ("features",)
"""Assets whose checks production makes on the same code and rows. The check of features computes
them anew as of earlier instants, and a replay does nothing else at every origin."""
_UNREAD: Final = ("evaluation_report", "published")
"""Assets that nobody reads before the next origin replaces them; a replay makes none of them."""


def replay_command(
    settings: Settings,
    *,
    problem: str | None,
    span: tuple[str | None, str | None, str],
    evaluate_from: str | None,
    replay_id: str | None,
    rule: str,
    as_json: bool,
) -> None:
    """Replay as the command line asks, and print the outcome.

    Args:
        settings: production's.
        problem: its name.
        span: first origin, last origin, time between two.
        evaluate_from: first period that the backtests evaluate; None: the newest folds.
        replay_id: names the replay; None: after what is replayed.
        rule: by which rule the outcome is told.
        as_json: only JSON on standard output.

    Raises:
        ProblemError, ClockError, ReplayError: something given cannot be used.
        ReplayStepFailed: a step could not be finished.
    """
    told = known_rule(rule)
    if problem is None:
        raise ReplayError(
            "no problem is named; a replay is one problem's; `mlops replay PROBLEM --from DATE "
            "--to DATE`, or --list for those that there are"
        )
    (name,) = chosen_problems([problem])
    loaded = load_problem(problem_files()[name])
    asked = asked_span(loaded, *span)
    console = Console(stderr=True)
    with contextlib.redirect_stdout(sys.stderr):
        prepare(settings, lambda line: console.print(line, markup=False, highlight=False))
        done = replay_problem(
            settings,
            loaded,
            asked,
            options=asked_options(loaded, asked, evaluate_from),
            replay_id=replay_id,
            rule=told,
            console=console,
        )
    if as_json:
        typer.echo(done.to_json())
    else:
        show(done, told, loaded.target_source.unit, Console())


def list_replays(settings: Settings, *, as_json: bool) -> None:
    """Print the replays of this namespace."""
    found = known_replays(settings)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        Console().print(replays_table(found))


def asked_span(problem: ForecastProblem, start: str | None, end: str | None, every: str) -> Span:
    """The origins that are asked for; a date is its beginning in the problem's zone.

    Raises:
        ReplayError: an end of the span is missing, or the duration is none.
        ClockError: an end is neither a date nor an instant with its zone.
    """
    if start is None or end is None:
        missing = "--from" if start is None else "--to"
        raise ReplayError(
            f"{missing} is not given; a replay needs its first and its last origin, such as "
            "--from 2024-02-01 --to 2025-06-12; add it"
        )
    try:
        between = parse_duration(every)
    except ValueError as error:
        raise ReplayError(f"--every {error}") from error
    assert isinstance(between, timedelta)
    return Span(
        start=start_of(start, problem).astimezone(UTC),
        end=start_of(end, problem).astimezone(UTC),
        every=between,
    )


def known_rule(name: str) -> Rule:
    """A rule by its name.

    Raises:
        ReplayError: there is none of that name.
    """
    for rule in RULES:
        if rule == name:
            return rule
    raise ReplayError(f"--rule {name!r} is unknown; use one of {', '.join(RULES)}")


def asked_options(problem: ForecastProblem, span: Span, evaluate_from: str | None) -> Options:
    """What the steps of a replay do, and leave out.

    Args:
        problem: what is replayed.
        span: its origins.
        evaluate_from: first period that the backtests evaluate; None: the newest folds.

    Raises:
        ClockError: that is neither a date nor an instant with its zone.
    """
    begin = None if evaluate_from is None else start_of(evaluate_from, problem).astimezone(UTC)
    return Options(evaluate_from=begin, without=left_out(problem, span), unchecked=_UNCHECKED)


def replay_problem(
    settings: Settings,
    problem: ForecastProblem,
    span: Span,
    *,
    options: Options,
    replay_id: str | None,
    rule: Rule,
    console: Console,
) -> Replayed:
    """Replay a span, or go on with it, and write its ledger.

    Args:
        settings: production's.
        problem: what is forecast.
        span: the origins.
        options: the same at each call.
        replay_id: names the replay; None: after problem, span and what decides its numbers, so
            that the same call goes on with the same replay.
        rule: by which rule the outcome is told; the replay is the same for all.
        console: takes the progress.

    Raises:
        ReplayError: something given cannot be used.
        ReplayStepFailed: a step could not be finished.
    """
    began = time.perf_counter()
    name = replay_id or span.replay_id(problem.name, replay_terms(settings, problem, options))
    with step_progress(console, name, span) as told:
        steps = run_clock_loop(
            settings,
            problem,
            span.origins,
            replay_id=name,
            build=build_problem_definitions,
            options=options,
            on_step=told,
            closing=span.closing,
        )
    evidence = read_evidence(settings, problem, name, steps, closing=span.closing)
    ledger = build_ledger(evidence, problem, replay_id=name)
    page = replay_page(ledger, cumulative_loss_difference(evidence, problem), problem)
    files = write_ledger(settings, ledger, page)
    if rule != "gate":
        ledger = build_ledger(evidence, problem, replay_id=name, rule=rule)
    each = by_candidate(evidence.scores, steps, problem, until=span.closing)
    return Replayed(ledger, steps, each, time.perf_counter() - began, files)


def left_out(problem: ForecastProblem, span: Span) -> tuple[str, ...]:
    """Assets whose outcome changes nothing in a replay of this span.

    A drift report can only ask for a training, so where every step trains anyway it is left out.
    """
    always_trains = all(
        ticked(problem.retrain_cron, after=earlier, until=later, zone=problem.zone)
        for earlier, later in pairwise(span.origins)
    )
    drift = (drift_key(problem.name).path[-1],) if always_trains else ()
    return (*_UNREAD, *drift)


def known_replays(settings: Settings) -> list[dict[str, Any]]:
    """The replays of this namespace by id: problem, steps, span, champion, whether it is told."""
    found = []
    for record in sorted((settings.namespace / FOLDER).glob(f"*/{FILE}")):
        progress = read_progress(record.parent)
        if progress is None or not progress.steps:
            continue
        found.append(
            {
                "replay_id": record.parent.name,
                "problem": progress.problem,
                "steps": len(progress.steps),
                "start": progress.steps[0].origin.isoformat(),
                "end": progress.steps[-1].origin.isoformat(),
                "champion": progress.steps[-1].candidate,
                "ledger": (record.parent / LEDGER).exists(),
            }
        )
    return found
