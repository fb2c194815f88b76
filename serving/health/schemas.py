"""Bodies of the health endpoints."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field

Status = Literal["ok", "degraded", "not_ready"]


class Liveness(BaseModel):
    """Whether the process is at work."""

    live: bool


class Readiness(BaseModel):
    """Whether forecasts can be answered."""

    ready: bool


class ModelHealth(BaseModel):
    """The model that takes the traffic."""

    name: str
    version: str
    alias: str | None
    candidate: str
    refit_at: AwareDatetime = Field(description="end of the training data")
    refit_age_seconds: float


class SnapshotHealth(BaseModel):
    """The snapshot that feeds the model."""

    snapshot_id: str
    as_of: AwareDatetime = Field(description="what the snapshot knows ends here")
    age_seconds: float
    stale: bool = Field(description="older than the problem allows")
    synthetic: bool


class ProblemHealth(BaseModel):
    """One problem."""

    problem: str = Field(examples=["bitcoin_close"])
    status: Status
    ready: bool
    reasons: list[str] = Field(description="what is wrong; the last good pair keeps serving")
    model: ModelHealth | None
    snapshot: SnapshotHealth | None


class Health(BaseModel):
    """The whole service."""

    live: bool
    ready: bool = Field(description="at least one problem can be answered")
    status: Status
    reasons: list[str] = Field(description="what is wrong for all problems, with the remedy")
    problems: list[ProblemHealth]
