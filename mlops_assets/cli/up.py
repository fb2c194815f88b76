"""`mlops up`: from nothing to a served forecast, then everything in the foreground until Ctrl-C.

Here: the order of things and what is printed. Not here: each part (`ports`, `stores`, `services`,
`supervisor`, `render`), nor what a run does (`cli.run`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from mlops_assets.cli import ports, render, services, stores
from mlops_assets.cli.forecast_answer import first_forecast
from mlops_assets.cli.summary import RunSummary
from mlops_assets.cli.supervisor import Supervisor
from mlops_assets.settings import Settings, base_url

HEALTH_SECONDS: Final = 180.0
"""Longest wait for a service: MLflow takes 20 CPU seconds, more on a busy machine."""

FIRST_RUN_SECONDS: Final = 900.0
"""Longest wait for the champion of a problem that is not the first."""

READY_SECONDS: Final = 60.0
"""Longest wait for the API to load the champion; without it the rest is shown all the same."""


def bring_up(settings: Settings, problems: Sequence[str], console: Console) -> None:
    """Prepare, run the first problem if it has no champion, serve, run the others, and stay.

    Args:
        settings: of this namespace.
        problems: names of problems; the first must have a champion before anything is served, the
            others get theirs beside the services.
        console: where progress and tables go.

    Raises:
        PortsTaken: a port is not free.
        StoreError: a store cannot be prepared.
        RunFailed: a problem's graph did not finish.
        ServiceFailed: a service died or did not answer.
    """
    say = render.progress_printer(console)
    ports.ensure_free(settings)
    say(f"Data: {render.data_sentence(settings)}")
    stores.prepare(settings, say)
    first, *others = problems
    summaries = [_summary_of(settings, first, say)]
    waiting = []
    for problem in others:
        published = _published(settings, problem)
        if published is None:
            waiting.append(problem)
        else:
            summaries.append(published)
    with (
        tempfile.TemporaryDirectory(prefix="mlops-") as scratch,
        Supervisor() as supervisor,
        supervisor.stopping_on_signals(),
    ):
        if _start_all(supervisor, settings, Path(scratch), say):
            ready = f"{settings.api_page}/health/ready"
            supervisor.wait_for(lambda: services.answers(ready), timeout_seconds=READY_SECONDS)
            _show(settings, summaries, console)
            for problem in waiting:
                _run_beside(supervisor, settings, problem, console)
            supervisor.watch()
        say("Stopping; a second Ctrl-C does not wait")
        supervisor.stop_all()
    say("Stopped. Everything is kept: the next `mlops up` continues from here")


def _summary_of(settings: Settings, problem: str, say: Callable[[str], None]) -> RunSummary:
    """The problem's last published outcome; runs its loop when there is none yet."""
    from mlops_assets.cli.run import run_problem

    summary = _published(settings, problem)
    if summary is not None:
        return summary
    say(f"{problem} has no champion yet: running its whole loop")
    return run_problem(settings, problem, as_of=None, evaluate_from=None, progress=say)


def _published(settings: Settings, problem: str) -> RunSummary | None:
    from mlops_assets.cli.run import read_summary

    return read_summary(settings, problem)


def _run_beside(supervisor: Supervisor, settings: Settings, problem: str, console: Console) -> None:
    """Let a problem get its champion beside the services, and show what came of it.

    Automation does so by itself; with files it is off, and a process runs the loop.
    """
    say = render.progress_printer(console)
    if settings.data == "files":
        task = services.first_run(settings, problem)
        say(f"{problem} has no champion yet: running its whole loop, progress in {task.log}")
        code = supervisor.complete(task)
        failed = f"exit code {code}; why is told at the end of {task.log}"
        summary = None if code else _published(settings, problem)
    else:
        say(f"{problem} has no champion yet: automation runs its loop, see Dagster's runs")
        supervisor.wait_for(
            lambda: _published(settings, problem) is not None, timeout_seconds=FIRST_RUN_SECONDS
        )
        failed = f"nothing after {FIRST_RUN_SECONDS:.0f} s; Dagster's runs tell why"
        summary = _published(settings, problem)
    if supervisor.stop_asked.is_set():
        return
    if summary is None:
        say(f"{problem}: its first run failed ({failed})")
        return
    console.print()
    render.show_outcome(summary, console)
    say(f"Try: curl {settings.api_page}/forecasts/{problem}/latest")


def _start_all(
    supervisor: Supervisor, settings: Settings, scratch: Path, say: Callable[[str], None]
) -> bool:
    """Start every service and wait for health; False when a stop was asked for meanwhile."""

    def up(name: str, seconds: float) -> None:
        say(f"{name} answers after {seconds:.1f} s")

    def wait(names: list[str]) -> bool:
        return supervisor.wait_until_healthy(names, timeout_seconds=HEALTH_SECONDS, on_healthy=up)

    first = services.first_services(settings, scratch)
    say(f"Starting {', '.join(service.name for service in first)}")
    for service in first:
        supervisor.start(service)
    if not wait([services.CODE_SERVER]):
        return False
    then = services.dagster_services(settings, scratch)
    for service in then:
        supervisor.start(service)
    return wait([s.name for s in (*first, *then) if s.name != services.CODE_SERVER])


def _show(settings: Settings, summaries: Sequence[RunSummary], console: Console) -> None:
    """Print leaderboards, verdicts, addresses, a first forecast of each and what to try."""
    say = render.progress_printer(console)
    for summary in summaries:
        console.print()
        render.show_outcome(summary, console)
    console.print(render.addresses_table(_addresses(settings)))
    for summary in summaries:
        url = f"{settings.api_page}/forecasts/{summary.problem}/latest"
        answer = services.fetch(url)
        if answer is None:
            say(f"{summary.problem}: no forecast yet; {settings.api_page}/health tells why")
        else:
            say(render.forecast_sentence(first_forecast(answer)))
        say(f"Try: curl {url}")
    say("Ctrl-C stops everything")


def _addresses(settings: Settings) -> list[tuple[str, str]]:
    return [
        ("Dagster", base_url(settings.host, settings.dagster_port)),
        # MLflow's page opens on its tools for language models unless it is told otherwise.
        ("MLflow", f"{settings.mlflow_page}/#/experiments?workflowType=machine_learning"),
        ("API", f"{settings.api_page}/docs"),
        ("dashboard", settings.dashboard_page),
        ("logs", str(settings.namespace / "logs")),
        ("data", render.data_sentence(settings)),
    ]
