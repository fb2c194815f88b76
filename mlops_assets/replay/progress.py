"""How far a replay has come: the record of its finished steps, and what it began with.

Here: the record and its file. Not here: what a step does (`clock_loop`), and how a step that was
cut short is undone (`checkpoint`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mlops_assets.orchestration.trigger import Trigger
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.verdict import Decision
from mlops_assets.replay.isolation import ReplayError
from mlops_assets.storage.files import FileStore

FILE: Final = "steps.json"

TRAINING: Final = frozenset({Trigger.MISSING, Trigger.SCHEDULE, Trigger.DRIFT})
"""Triggers that fit every candidate anew; `control` only holds a look of the gate."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StepOutcome(_Part):
    """What one origin came to."""

    origin: AwareDatetime
    triggers: tuple[Trigger, ...] = Field(description="in order; none: the step only forecast")
    decision: Decision | None = Field(description="of the step's newest verdict; None: no look")
    candidate: str | None = Field(description="champion after the step; None: no champion yet")
    version: str | None = Field(description="its registered version")
    control_alarm: bool | None = Field(description="None: the step did not evaluate it")
    drift_alarm: bool | None = Field(description="None: the step made no report")
    registered: dict[str, str] = Field(
        default_factory=dict, description="candidate -> the version that this step registered"
    )
    seconds: float = Field(ge=0, description="time that the step took")


class Progress(_Part):
    """A replay's terms, fixed when it began, and its finished steps."""

    problem: str
    terms: str = Field(description="fingerprint of the problem file, the data mode and the options")
    commits: dict[str, int] = Field(description="raw table of production -> commit that is read")
    steps: tuple[StepOutcome, ...] = ()

    def finished(self, origin: datetime) -> bool:
        """Whether the step of an origin was done."""
        return any(step.origin == origin for step in self.steps)

    @property
    def newest_training(self) -> StepOutcome | None:
        """The newest step that fitted the candidates anew."""
        return next((s for s in reversed(self.steps) if TRAINING & {*s.triggers}), None)

    @property
    def newest_report(self) -> StepOutcome | None:
        """The newest step that made a drift report."""
        return next((s for s in reversed(self.steps) if s.drift_alarm is not None), None)


def terms_of(problem: ForecastProblem, **options: object) -> str:
    """Fingerprint of what must not change between the steps of one replay."""
    told = [problem.model_dump_json(), *(f"{k}={v!r}" for k, v in sorted(options.items()))]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def read_progress(folder: Path) -> Progress | None:
    """The record in a replay's folder; None when the replay has not begun."""
    files = FileStore(str(folder))
    if not files.exists(FILE):
        return None
    return Progress.model_validate_json(files.read(FILE))


def write_progress(folder: Path, progress: Progress) -> None:
    """Replace the record in one step."""
    FileStore(str(folder)).write(FILE, progress.model_dump_json(indent=2).encode())


def check_origins(origins: Sequence[datetime], done: Sequence[StepOutcome]) -> None:
    """See that time only moves forward.

    Raises:
        ReplayError: there is no origin, one has no zone, they do not ascend, or one that is new
            lies before a finished step.
    """
    naive = [origin for origin in origins if origin.tzinfo is None]
    if not origins or naive:
        raise ReplayError(
            f"origins {naive[:1] or 'none'}: a replay needs at least one instant, each with a "
            "time zone; add them"
        )
    for earlier, later in pairwise(origins):
        if earlier >= later:
            raise ReplayError(
                f"origin {later.isoformat()} follows {earlier.isoformat()}; the clock only moves "
                "forward; sort the origins and remove repeated ones"
            )
    known = {step.origin for step in done}
    late = [o for o in origins if o not in known and done and o < done[-1].origin]
    if late:
        raise ReplayError(
            f"origin {late[0].isoformat()} is new and lies before the finished step "
            f"{done[-1].origin.isoformat()}; a finished step cannot be made to know it; "
            "use another replay id"
        )
