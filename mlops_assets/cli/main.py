"""The commands of `mlops`: arguments in, exit code out.

0: done. 1: a run or a service failed. 2: something given from outside cannot be used (a name, a
setting, an instant, a taken port); the message says what and how to correct it. Heavy imports are
inside the commands, so that `mlops --help` answers at once.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.console import Console

from mlops_assets.cli.ports import PortsTaken
from mlops_assets.cli.problems import chosen_problems, problem_files
from mlops_assets.cli.reset import ResetRefused
from mlops_assets.cli.stores import StoreError
from mlops_assets.cli.summary import RunFailed, RunSummary
from mlops_assets.cli.supervisor import ServiceFailed
from mlops_assets.problem import ProblemError, load_problem
from mlops_assets.settings import SettingsError, load_settings

FAILED = 1
UNUSABLE = 2

app = typer.Typer(
    name="mlops",
    help="Forecast problems as assets: run them, serve them, look at them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_DATE: Final = "%Y-%m-%d"

ProblemName = Annotated[str, typer.Argument(metavar="PROBLEM", help="such as bitcoin_close")]


@app.command()
def up(
    problem: Annotated[
        list[str] | None,
        typer.Option(help="run only this problem's loop; may be repeated. Default: all of them"),
    ] = None,
) -> None:
    """Run what has no champion yet, then Dagster, MLflow and the API until Ctrl-C."""
    from mlops_assets.cli.up import bring_up

    with _explained():
        bring_up(load_settings(), chosen_problems(problem or []), Console())


@app.command()
def run(
    problem: ProblemName,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="pretend it is now, as in 2025-06-19T00:00Z"),
    ] = None,
    evaluate_from: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="evaluate periods that start here or later"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="only JSON on standard output")] = False,
) -> None:
    """Run a problem's whole graph in this process; print leaderboard and verdict."""
    from mlops_assets.orchestration.clock import ClockError

    with _explained(ClockError), contextlib.redirect_stdout(sys.stderr):
        summary = _run(problem, as_of=as_of, evaluate_from=evaluate_from)
    if as_json:
        typer.echo(summary.to_json())
    else:
        from mlops_assets.cli import render

        render.show_summary(summary, Console())


@app.command()
def status() -> None:
    """Show each problem's champion and age, the stores, and what listens on the ports."""
    from mlops_assets.cli import render
    from mlops_assets.cli.ports import answering, service_ports
    from mlops_assets.cli.status import problem_status, stores
    from mlops_assets.orchestration.clock import real_now

    out = Console()
    with _explained():
        settings = load_settings()
        rows = [problem_status(settings, name, now=real_now()) for name in chosen_problems([])]
        out.print(render.status_table(rows))
        out.print(render.stores_table(stores(settings)))
        out.print(render.ports_table(service_ports(settings), answering(settings)))


@app.command()
def doctor() -> None:
    """Try every source and store; say what is wrong and what to set."""
    from mlops_assets.cli.doctor import examine, findings_table
    from mlops_assets.orchestration.clock import real_now

    with _explained():
        findings = examine(load_settings(), chosen_problems([]), now=real_now())
    Console().print(findings_table(findings))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(FAILED)


@app.command()
def new(
    name: ProblemName,
    print_only: Annotated[
        bool, typer.Option("--print", help="print the file instead of writing it")
    ] = False,
) -> None:
    """Start a problem: a commented YAML file that works on sample data as it is."""
    from mlops_assets.cli.new import problem_text, write_problem

    with _explained():
        if print_only:
            typer.echo(problem_text(name), nl=False)
        else:
            path = write_problem(name)
            typer.echo(f"Wrote {path}\nEdit it, then: mlops run {name}")


@app.command()
def tune(
    problem: ProblemName,
    before: Annotated[
        datetime,
        typer.Option(formats=[_DATE], metavar="DATE", help="read only days before this one"),
    ],
    start: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=[_DATE],
            metavar="DATE",
            help="score days from this one on; default: 60 days after the first",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="how often each parameter is tried")] = 4,
    loadings: Annotated[
        bool, typer.Option("--loadings", help="search the segments' loadings too")
    ] = False,
) -> None:
    """Search a share filter's parameters on past days; print what to paste. Writes nothing."""
    from mlops_assets.cli.tune import described, filter_group, parameters_yaml, tune_problem

    with _explained():
        settings = load_settings()
        (name,) = chosen_problems([problem])
        path = problem_files()[name]
        loaded = load_problem(path)
        tuned = tune_problem(
            settings,
            loaded,
            before=before.date(),
            start=start.date() if start else None,
            rounds=rounds,
            with_loadings=loadings,
            say=typer.echo,
        )
    typer.echo(
        f"\nMean absolute error before: {described(tuned.leads, tuned.before)}"
        f"\nMean absolute error after:  {described(tuned.leads, tuned.after)}"
        f"\n\nPaste over the feature group in {path}:\n"
    )
    typer.echo(parameters_yaml(tuned.parameters, filter_group(loaded)), nl=False)


@app.command()
def rollback(
    problem: ProblemName,
    to: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="default: the last one of the previous recipe"),
    ] = None,
) -> None:
    """Take the champion's alias back to an earlier version; the verdict is recorded."""
    from mlops_assets.cli.render import progress_printer
    from mlops_assets.cli.rollback import RollbackError, described, roll_back_by_hand

    with _explained(RollbackError):
        (name,) = chosen_problems([problem])
        done = roll_back_by_hand(
            load_settings(),
            load_problem(problem_files()[name]),
            to=to,
            progress=progress_printer(Console(stderr=True)),
        )
    typer.echo(described(done))


@app.command()
def replay(
    problem: Annotated[
        str | None, typer.Argument(metavar="PROBLEM", help="such as bitcoin_close")
    ] = None,
    *,
    start: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="first origin, as 2024-02-01")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="last origin, included")
    ] = None,
    every: Annotated[str, typer.Option(metavar="DURATION", help="time between origins")] = "7d",
    evaluate_from: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="backtests evaluate periods from here on; short history"),
    ] = None,
    replay_id: Annotated[
        str | None, typer.Option("--id", metavar="NAME", help="default: after what is replayed")
    ] = None,
    rule: Annotated[
        str, typer.Option(help="by which rule to tell the outcome: gate, lower or newest")
    ] = "gate",
    show_all: Annotated[bool, typer.Option("--list", help="show the replays there are")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="only JSON on standard output")] = False,
) -> None:
    """Live through past origins again with the clock set; print ledger and rules. Resumable."""
    from mlops_assets.cli.replay import list_replays, replay_command
    from mlops_assets.orchestration.clock import ClockError
    from mlops_assets.replay.isolation import ReplayError
    from mlops_assets.replay.step import ReplayStepFailed

    with _explained(ClockError, ReplayError, failed=(ReplayStepFailed,)):
        if show_all:
            list_replays(load_settings(), as_json=as_json)
        else:
            replay_command(
                load_settings(),
                problem=problem,
                span=(start, end, every),
                evaluate_from=evaluate_from,
                replay_id=replay_id,
                rule=rule,
                as_json=as_json,
            )


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Delete all state of the current data mode: tables, models, runs, logs."""
    from mlops_assets.cli import render
    from mlops_assets.cli.reset import contents, delete, ensure_unused

    with _explained():
        settings = load_settings()
        ensure_unused(settings)
        found = contents(settings.namespace)
        if not found:
            typer.echo(f"{settings.namespace} holds nothing; there is nothing to delete")
            return
        Console().print(render.contents_table(settings.namespace, found))
        if not yes:
            typer.confirm("Delete all of this?", abort=True)
        delete(settings)
        typer.echo(f"Deleted {settings.namespace}")


def _run(problem: str, *, as_of: str | None, evaluate_from: str | None) -> RunSummary:
    """Refuse what cannot be used before any work, prepare the stores, run."""
    from mlops_assets.cli.render import data_sentence, progress_printer
    from mlops_assets.cli.stores import prepare
    from mlops_assets.orchestration.clock import parse_instant

    (name,) = chosen_problems([problem])
    settings = load_settings()
    if as_of is not None:
        parse_instant(as_of)
    say = progress_printer(Console(stderr=True))
    say(f"Data: {data_sentence(settings)}")
    prepare(settings, say)
    from mlops_assets.cli.run import run_problem

    return run_problem(settings, name, as_of=as_of, evaluate_from=evaluate_from, progress=say)


@contextlib.contextmanager
def _explained(
    *unusable: type[Exception], failed: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn a known error into its message and an exit code; any other keeps its traceback.

    Args:
        unusable: kinds of error, besides the known ones, that mean "correct what you gave".
        failed: kinds of error, besides the known ones, that mean "it did not work".
    """
    refused: tuple[type[Exception], ...] = (
        ProblemError,
        SettingsError,
        PortsTaken,
        ResetRefused,
        *unusable,
    )
    broken: tuple[type[Exception], ...] = (RunFailed, ServiceFailed, StoreError, *failed)
    try:
        yield
    except refused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(UNUSABLE) from error
    except broken as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from error


if __name__ == "__main__":
    app()
