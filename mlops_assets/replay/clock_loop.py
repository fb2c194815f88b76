"""The clock loop: the production assets run at one past instant after the other.

Here: a replay from its first to its last step. Not here: its place (`isolation`), one step
(`step`), the rules by which a step retrains (`rhythm`), and its record (`progress`, `checkpoint`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import dagster as dg
from filelock import FileLock, Timeout

from mlops_assets.orchestration.code_version import fingerprint
from mlops_assets.problem import ForecastProblem
from mlops_assets.replay.checkpoint import all_or_nothing, undo_cut_step, without_trace
from mlops_assets.replay.isolation import (
    ReplayError,
    raw_commits,
    replay_folder,
    replay_resources,
    replay_settings,
)
from mlops_assets.replay.ledger import SCORES
from mlops_assets.replay.progress import (
    Progress,
    StepOutcome,
    check_origins,
    read_progress,
    terms_of,
    write_progress,
)
from mlops_assets.replay.selection import Selections
from mlops_assets.replay.step import Options, Stage
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.tracking import ensure_experiment

BuildDefinitions = Callable[[ForecastProblem, Settings], dg.Definitions]
"""`components.forecast_pipeline.build_problem_definitions`: assets, checks, MLflow's resource."""

_JOB: Final = "replay"
_CODE: Final = ("ingestion", "features", "training", "evaluation", "promotion", "forecasting")


def run_clock_loop(
    settings: Settings,
    problem: ForecastProblem,
    origins: Sequence[datetime],
    *,
    replay_id: str,
    build: BuildDefinitions,
    options: Options = Options(),  # noqa: B008  it is frozen
    on_step: Callable[[StepOutcome], None] = lambda _: None,
    closing: datetime | None = None,
) -> list[StepOutcome]:
    """Run the production assets at each origin in turn, isolated from production.

    A finished step is not done again, and one that was cut short leaves no trace. Raw tables are
    read at the commits of the first call: a replay that is taken up again sees the same past.

    Args:
        settings: production's.
        problem: what is forecast.
        origins: ascending instants to which the clock is set.
        replay_id: names the replay, and its folder below `<namespace>/replays`.
        build: makes the problem's definitions for the replay's settings.
        options: the same at each call.
        on_step: told each new outcome as its step ends.
        closing: after the last step, keep the scores of what all versions forecast until this
            instant (`ledger.SCORES`); nothing else of the replay changes.

    Returns:
        The outcomes of these origins, finished earlier or now.

    Raises:
        ReplayError: the origins do not ascend, the target was never fetched, the replay was begun
            on other terms, or another process runs it.
        ReplayStepFailed: a step could not be finished.
    """
    folder = replay_folder(settings, replay_id)
    with _alone(folder), dg.DagsterInstance.ephemeral() as instance:
        progress = _begin(settings, problem, folder, options)
        undo_cut_step(folder, replay_settings(settings, replay_id), done=len(progress.steps))
        check_origins(origins, progress.steps)
        stage = _stage(
            settings, problem, progress, folder=folder, build=build, options=options, on=instance
        )
        for origin in origins:
            if not progress.finished(origin):
                progress = _played(stage, progress, origin, folder)
                on_step(progress.steps[-1])
        if closing is not None:
            _look_back(stage, progress, closing, folder)
    return [step for step in progress.steps if step.origin in set(origins)]


def _played(stage: Stage, progress: Progress, origin: datetime, folder: Path) -> Progress:
    """The record with the step of `origin`, written once all of the step is done."""
    with all_or_nothing(folder, stage.own, done=len(progress.steps)):
        outcome = stage.play(progress, origin)
        progress = progress.model_copy(update={"steps": (*progress.steps, outcome)})
        write_progress(folder, progress)
    return progress


def _look_back(stage: Stage, progress: Progress, closing: datetime, folder: Path) -> None:
    """Keep the live scores as of the closing instant, which lies after every finished step."""
    newest = progress.steps[-1].origin
    if closing <= newest:
        raise ReplayError(
            f"the look back at {closing.isoformat()} does not lie after the finished step "
            f"{newest.isoformat()}; only what was said earlier has come true by then; choose a "
            "later instant, or another replay id"
        )
    with without_trace(folder, stage.own, done=len(progress.steps)):
        scores = stage.look_back(closing)
    TableStore(str(folder)).write(SCORES, scores)


def replay_terms(settings: Settings, problem: ForecastProblem, options: Options) -> str:
    """Fingerprint of what must be the same at each call of one replay."""
    return terms_of(
        problem, code=fingerprint(*_CODE), data=settings.data, **dataclasses.asdict(options)
    )


def _begin(
    settings: Settings, problem: ForecastProblem, folder: Path, options: Options
) -> Progress:
    """The record of a replay that goes on, or that of one that begins now."""
    terms = replay_terms(settings, problem, options)
    progress = read_progress(folder)
    if progress is None:
        commits = raw_commits(settings, problem)
        progress = Progress(problem=problem.name, terms=terms, commits=commits)
        write_progress(folder, progress)
    if (progress.problem, progress.terms) != (problem.name, terms):
        raise ReplayError(
            f"replay {folder.name!r} of {progress.problem} was begun with another problem file, "
            "other code or other options; its steps must all be made alike; use another replay "
            f"id, or delete {folder}"
        )
    return progress


def _stage(
    settings: Settings,
    problem: ForecastProblem,
    progress: Progress,
    *,
    folder: Path,
    build: BuildDefinitions,
    options: Options,
    on: dg.DagsterInstance,
) -> Stage:
    """The production definitions on the replay's resources, and MLflow's store created once."""
    own = replay_settings(settings, folder.name)
    own.namespace.mkdir(parents=True, exist_ok=True)
    ensure_experiment(own, problem.name)
    job = dg.define_asset_job(
        _JOB,
        selection=dg.AssetSelection.groups(problem.name),
        executor_def=dg.in_process_executor,
    )
    resources = replay_resources(settings, own, progress.commits)
    built = build(problem, own)
    definitions = dg.Definitions(
        assets=built.assets,
        asset_checks=_checks(built, problem, options),
        jobs=[job],
        resources={**(built.resources or {}), **resources},
    )
    return Stage(
        problem=problem,
        own=own,
        job=definitions.resolve_job_def(_JOB),
        selections=Selections(definitions, problem, options.assets, without=options.without),
        instance=on,
        options=options,
    )


def _checks(
    built: dg.Definitions, problem: ForecastProblem, options: Options
) -> list[dg.AssetsDefinition]:
    """The checks that a replay makes."""
    unchecked = {dg.AssetKey([problem.name, name]) for name in options.unchecked}
    return [
        check
        for check in built.asset_checks or ()
        if not {key.asset_key for key in check.check_keys} <= unchecked
    ]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process runs this replay meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "replay.lock", timeout=0):
            yield
    except Timeout as error:
        raise ReplayError(
            f"replay {folder.name!r} is run by another process; one clock cannot be set twice; "
            "wait for it, or use another replay id"
        ) from error
