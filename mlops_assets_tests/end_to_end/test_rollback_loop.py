"""A champion made worse on purpose: control notices, the alias goes back, the service never fails.

Hours pass on the clock. Every few of them runs what a refresh runs in production, under the same
rules (`replay.step`), on the tables, the registry and the snapshots that the service reads; it
forecasts and scores each of the hours.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import dagster as dg
import httpx
import polars as pl
import pytest

from mlops_assets import definitions as platform
from mlops_assets.cli.rollback import roll_back_by_hand
from mlops_assets.components.forecast_pipeline import build_problem_definitions
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.trigger import Trigger
from mlops_assets.problem import ForecastProblem, load_problem
from mlops_assets.promotion.registry import RegisteredVersion, Registry
from mlops_assets.replay.progress import Progress, StepOutcome
from mlops_assets.replay.selection import Selections
from mlops_assets.replay.step import Options, Stage
from mlops_assets.settings import Settings
from mlops_assets_tests.end_to_end import planted
from mlops_assets_tests.end_to_end.planted import AS_OF, DAYS, HOUR, NAME
from mlops_assets_tests.end_to_end.world import World, empty_registry
from mlops_assets_tests.end_to_end.worse import register_worse
from mlops_assets_tests.serving.running import is_ready, listening, until
from serving.app import create_app
from serving.settings import ServingSettings

pytestmark = pytest.mark.services

SHIFT: Final = 2.0
"""Standard deviations of an hour's return."""
LOOK_EVERY: Final = 4 * HOUR
MOST: Final = 48
"""Forecasts of the worse version after which the alias must have gone back."""

_QUESTIONS: Final[tuple[tuple[str, str, dict[str, str] | None], ...]] = (
    ("GET", f"/forecasts/{NAME}/latest", None),
    ("POST", "/predict", {"problem": NAME}),
)


@dataclass
class Asked:
    """What a client that never pauses was answered.

    Attributes:
        answers: (status or error, version) -> how often.
    """

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def failed(self) -> dict[str, int]:
        """Answers that are no forecast."""
        return {status: n for (status, _), n in self.answers.items() if status != "200"}

    @property
    def versions(self) -> set[str]:
        """Versions that answered."""
        return {version for status, version in self.answers if status == "200"}

    def ask(self, client: httpx.Client) -> None:
        """Ask once in both ways."""
        for method, path, body in _QUESTIONS:
            try:
                answer = client.request(method, path, json=body)
            except httpx.HTTPError as error:
                self.answers[repr(error), ""] += 1
                continue
            rows = answer.json().get("forecasts", [])
            version = rows[0]["version"] if rows else ""
            self.answers[str(answer.status_code), version] += 1


@contextmanager
def asking(client: httpx.Client) -> Iterator[Asked]:
    """Ask in a thread until the end."""
    asked, over = Asked(), threading.Event()

    def go_on() -> None:
        while not over.wait(0.05):
            asked.ask(client)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


@dataclass
class Hours:
    """The hours after `AS_OF`."""

    stage: Stage
    progress: Progress

    @classmethod
    def begin(cls, settings: Settings, problem: ForecastProblem, on: dg.DagsterInstance) -> Hours:
        """A problem whose whole graph has just run."""
        job = dg.define_asset_job(
            "hour",
            selection=dg.AssetSelection.groups(problem.name),
            executor_def=dg.in_process_executor,
        )
        resources: dict[str, Any] = {
            **platform.shared_resources(settings, Clock()),
            "clock": Clock.configure_at_launch(),
        }
        definitions = dg.Definitions.merge(
            build_problem_definitions(problem, settings),
            dg.Definitions(jobs=[job], resources=resources),
        )
        stage = Stage(
            problem=problem,
            own=settings,
            job=definitions.resolve_job_def("hour"),
            selections=Selections(definitions, problem, None),
            instance=on,
            options=Options(),
        )
        trained = StepOutcome(
            origin=AS_OF,
            triggers=(Trigger.MISSING,),
            decision="promote",
            candidate=None,
            version=None,
            control_alarm=None,
            drift_alarm=None,
            seconds=0.0,
        )
        return cls(stage, Progress(problem=NAME, terms="", commits={}, steps=(trained,)))

    @property
    def now(self) -> datetime:
        """The newest step's instant."""
        return self.progress.steps[-1].origin

    def pass_some(self) -> StepOutcome:
        """Let the hours pass to the next look."""
        outcome = self.stage.play(self.progress, self.now + LOOK_EVERY)
        steps = (*self.progress.steps, outcome)
        self.progress = self.progress.model_copy(update={"steps": steps})
        return outcome


@dataclass(frozen=True)
class Story:
    """What happened until the alias had gone back, or `MOST` hours had passed."""

    world: World
    worse: RegisteredVersion
    last: StepOutcome
    asked: Asked
    served_at_the_end: str

    @property
    def forecasts(self) -> int:
        """Hours for which the worse version answered as the champion."""
        scores = self.world.table("live_scores")
        own = pl.col("version") == self.worse.version
        return scores.filter(own, pl.col("role") == "champion").height


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    session = tmp_path_factory.getbasetemp()
    world = World.create(tmp_path_factory.mktemp("rollback") / "world", empty_registry(session))
    world.deliver(planted.market(DAYS + 3))
    world.run(as_of=AS_OF)
    with world.entered() as patch, dg.DagsterInstance.ephemeral() as instance:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
            patch.setenv(name, "")  # MLflow writes them; they are put back
            patch.delenv(name)
        # The files hold the days to come already; a person acts in the present.
        patch.setattr(platform, "default_clock", lambda *_: Clock(fixed_at=AS_OF.isoformat()))
        yield _live_through(world, Hours.begin(world.settings, load_problem(world.yaml), instance))


def _live_through(world: World, hours: Hours) -> Story:
    problem, settings = hours.stage.problem, world.settings
    app = create_app(
        ServingSettings(data="files", home=world.folder / "home", api_poll_seconds=0.05),
        clock=lambda: hours.now,
    )
    with listening(app) as client:
        until(lambda: is_ready(client), what="the service is ready")
        with asking(client) as asked:
            worse = register_worse(world, problem, by=SHIFT)
            roll_back_by_hand(settings, problem, to=worse.version, progress=world.lines.append)
            until(lambda: worse.version in asked.versions, what="the worse version answers")
            last = _until_it_is_gone(hours, worse)
            until(lambda: _served(client) != worse.version, what="another version answers")
            served = _served(client)
    return Story(world, worse, last, asked, served)


def _until_it_is_gone(hours: Hours, worse: RegisteredVersion) -> StepOutcome:
    last = hours.pass_some()
    while last.version == worse.version and hours.now < AS_OF + MOST * HOUR:
        last = hours.pass_some()
    return last


def _served(client: httpx.Client) -> str:
    rows = client.get(f"/forecasts/{NAME}/latest").json()["forecasts"]
    return str(rows[0]["version"])


def test_the_alias_goes_back_to_the_strongest_baseline_after_few_forecasts(story: Story) -> None:
    told = f"the worse version held the alias for {story.forecasts} verified forecasts"
    holder = Registry(story.world.settings, NAME).holder()

    assert holder is not None
    # Nothing held the alias before the recipe that was made worse, so a baseline takes it.
    assert (story.last.decision, holder.candidate) == ("roll_back", "last_value"), told
    assert story.last.triggers == ("control",), told
    assert 5 <= story.forecasts <= MOST, told


def test_the_verdict_gives_the_live_errors_that_took_the_alias_away(story: Story) -> None:
    reasons = story.world.table("champion")["reasons"][-1]

    assert f"ridge version {story.worse.version} proved worse than last_value" in reasons[0]
    assert "mean absolute error" in reasons[0]


def test_no_request_fails_while_the_alias_moves_twice(story: Story) -> None:
    assert story.asked.failed == {}
    assert story.asked.answers.total() > 100
    assert story.worse.version in story.asked.versions


def test_the_service_answers_with_the_version_that_took_the_alias_back(story: Story) -> None:
    holder = Registry(story.world.settings, NAME).holder()

    assert holder is not None
    assert story.served_at_the_end == holder.version == story.last.version
