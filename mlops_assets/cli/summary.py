"""What one run of a problem came to: the shape of `mlops run --json`.

Here: the data classes and nothing else. Not here: how a run is executed and read back
(`cli.run`), how a summary is printed (`cli.render`).
"""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator


class RunFailed(RuntimeError):  # noqa: N818 - it is an outcome, the run's, not a programming error
    """The graph did not finish; the message names the asset or check that stopped it and why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LeadScore(_Part):
    """One candidate at one lead."""

    mae: float = Field(description="mean absolute error, target units")
    rmse: float = Field(description="root mean squared error, target units")
    n: int = Field(ge=0, description="number of forecasts")
    coverage: float | None = Field(description="share of outcomes inside the band, 0 to 1")
    winkler: float | None = Field(description="mean Winkler score of the band, in `winkler_unit`")


class LeaderboardRow(_Part):
    """One candidate on the evaluated rows; every candidate is judged on the same ones."""

    candidate: str
    mae: float = Field(description="mean absolute error, target units")
    rmse: float = Field(description="root mean squared error, target units")
    n: int = Field(ge=0, description="number of forecasts")
    skill: float | None = Field(description="1 - loss / loss of the strongest baseline")
    p_value: float | None = Field(description="of the gate's test; None for what is not tested")
    coverage: float | None = Field(description="share of outcomes inside the band, 0 to 1")
    worst_week_coverage: float | None = Field(
        default=None, description="coverage in the fold where it was lowest"
    )
    winkler: float | None = Field(description="mean Winkler score of the band, in `winkler_unit`")
    winkler_unit: str = Field(
        description="bp (basis points of the last value), or the target's unit"
    )
    by_lead: dict[str, LeadScore] = Field(description="the same scores by lead, in steps")

    @field_validator("by_lead", mode="before")
    @classmethod
    def _keyed_by_step(cls, value: Any) -> Any:  # noqa: ANN401 pydantic hands over what is there
        """Take the list of the published table, whose items name their step."""
        if not isinstance(value, list):
            return value
        return {str(lead["step"]): {k: v for k, v in lead.items() if k != "step"} for lead in value}


class Verdict(_Part):
    """What the gate decided, with its reasons in plain words."""

    decision: str = Field(description="promote, keep, refresh or roll_back")
    reasons: tuple[str, ...]


class Champion(_Part):
    """The version that holds the registry alias after the run."""

    candidate: str
    version: str
    run_id: str = Field(description="MLflow run that logged the version")
    data_version: str


class FirstForecast(_Part):
    """The newest forecast of the champion, with its band."""

    series: str
    origin: AwareDatetime
    valid_time: AwareDatetime
    point: float = Field(description="target units")
    lower: float
    upper: float
    unit: str


class RunSummary(_Part):
    """Outcome of one run of a problem's whole graph."""

    problem: str
    as_of: AwareDatetime
    leaderboard: tuple[LeaderboardRow, ...]
    verdict: Verdict
    champion: Champion
    forecast: FirstForecast | None = None

    def to_json(self) -> str:
        """Indented JSON; `forecast` is left out when there is none."""
        hidden = {"forecast"} if self.forecast is None else None
        return self.model_dump_json(indent=2, exclude=hidden)
