"""The code location: every problem below `defs/`, shared resources, sensors. Assembly only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.automation.alerts import build_alert_sensors
from mlops_assets.automation.run_status import build_run_status_sensors
from mlops_assets.ingestion.files import newest_target_time
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem, load_problem
from mlops_assets.settings import Settings, load_settings
from mlops_assets.storage.io_manager import TableIOManager


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    settings = load_settings()
    root = Path(__file__).parent
    problems = [load_problem(path) for path in sorted(root.glob("defs/*/defs.yaml"))]
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=root),
        shared_definitions(problems, settings, default_clock(settings, problems)),
    )


def shared_definitions(
    problems: list[ForecastProblem], settings: Settings, clock: Clock
) -> dg.Definitions:
    """What all problems of a code location share: resources, sensors over every run, executor."""
    return dg.Definitions(
        resources=shared_resources(settings, clock),
        sensors=[
            *build_run_status_sensors(settings, [problem.name for problem in problems]),
            *build_alert_sensors(settings, problems),
        ],
        # A process for each step would import the heavy libraries again in every one.
        executor=dg.in_process_executor,
    )


def default_clock(settings: Settings, problems: list[ForecastProblem]) -> Clock:
    """The real time; with `files`, the newest value that any problem's files hold."""
    if settings.data != "files" or settings.data_dir is None:
        return Clock()
    newest = max(newest_target_time(problem, settings) for problem in problems)
    return Clock(fixed_at=newest.isoformat())


def shared_resources(settings: Settings, clock: Clock) -> dict[str, Any]:
    """Clock, settings and tables, for every asset of every problem."""
    return {
        "clock": clock,
        "platform": Platform(),
        "tables": Tables(root=settings.storage),
        "io_manager": TableIOManager(root=settings.storage),
    }
