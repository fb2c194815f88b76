"""Bodies of the endpoints of evidence; they describe answers that hold what was published."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.contract.evidence import DriftReport, DriftSummary, ReplayLedger, ReplaySummary
from serving.published_reading import IntervalQuery, PublishedPage, PublishedSource


class LiveScoreQuery(IntervalQuery):
    """Which live scores are asked for; the interval is of days."""

    version: str | None = Field(
        default=None, max_length=60, description="a version in the registry; default: all"
    )
    candidate: str | None = Field(
        default=None, max_length=200, description="a candidate's name; default: all"
    )


class LeaderboardRow(BaseModel):
    """One candidate's scores in the backtest, all candidates on the same rows."""

    model_config = ConfigDict(extra="allow")

    candidate: str = Field(examples=["ridge"])
    baseline: bool = Field(description="whether it is a yardstick for the others")
    mae: float | None = Field(description="mean absolute error, `unit`", examples=[261.4])
    rmse: float | None = Field(description="root mean squared error, `unit`", examples=[402.3])
    coverage: float | None = Field(description="share of outcomes inside the band", examples=[0.9])
    n: int = Field(description="rows", examples=[12096])
    skill: float | None = Field(description="1 - loss / loss of the strongest baseline")
    p_value: float | None = Field(
        description="one-sided Diebold-Mariano test: is it better than the strongest baseline"
    )


class LeaderboardAnswer(PublishedSource):
    """The backtest's table, best first."""

    rows: list[LeaderboardRow]


class VerdictRow(BaseModel):
    """One verdict of the gate, with every figure behind it."""

    model_config = ConfigDict(extra="allow")

    as_of: AwareDatetime
    decision: Literal["promote", "keep", "refresh", "roll_back"] | str = Field(
        description="what happened to the alias", examples=["promote"]
    )
    candidate: str | None = Field(default=None, description="holds the alias afterwards")
    version: str | None = Field(default=None, description="the version that holds it afterwards")
    previous: str | None = Field(default=None, description="candidate that held it before")
    reasons: list[str] = Field(default_factory=list, description="why, in sentences")


class VerdictPage(PublishedPage):
    """The gate's verdicts, the newest first."""

    rows: list[VerdictRow]


class LiveScore(BaseModel):
    """Forecasts of one version that came true on one day."""

    model_config = ConfigDict(extra="forbid")

    day: AwareDatetime = Field(description="start of the UTC day of the valid times")
    version: str = Field(description="version in the registry", examples=["3"])
    candidate: str = Field(examples=["ridge"])
    role: str = Field(
        description="`champion` where it held the alias at the origin, else `challenger`",
        examples=["champion"],
    )
    step: int = Field(description="periods ahead", examples=[1])
    n: int = Field(description="forecasts that came true", examples=[24])
    mae: float | None = Field(description="mean absolute error, `unit`")
    mse: float | None = Field(description="mean squared error, `unit` squared")
    coverage: float | None = Field(description="share of outcomes inside the band, 0 to 1")
    mae_last_value: float | None = Field(description="of the last value, on the same rows")
    mse_last_value: float | None = Field(description="of the last value, on the same rows")


class LiveScorePage(PublishedPage):
    """Live scores by day, ascending by day, version (as text), role and step."""

    rows: list[LiveScore]


class DriftAnswer(PublishedSource):
    """What arrives now against what the champion was trained on."""

    newest: DriftReport
    history: list[DriftSummary] = Field(description="newest last")


class ReplayList(PublishedSource):
    """Replays of the pipeline on a past clock, by id."""

    rows: list[ReplaySummary]


class ReplayAnswer(PublishedSource):
    """One replay with its steps."""

    replay: ReplayLedger


class AnswerVariant(BaseModel):
    """A version under the alias by which it was chosen, returned to callers or as a shadow."""

    model_config = ConfigDict(extra="allow")

    alias: str = Field(description="empty: asked for by version", examples=["champion"])
    version: str = Field(description="version in the registry", examples=["3"])
    candidate: str = Field(examples=["ridge"])
    returned: bool = Field(description="false: a shadow, of which only the log knows")
    answers: int = Field(description="forecasts answered, repeats included")
    n: int = Field(description="different forecasts that came true")
    mae: float | None = Field(description="mean absolute error over `n`, `unit`")
    rmse: float | None = Field(description="root mean squared error over `n`, `unit`")
    coverage: float | None = Field(description="share of outcomes inside the band, 0 to 1")
    common: int = Field(description="valid periods with forecasts of the champion too")
    loss_difference: float | None = Field(
        description="absolute error minus the champion's over these, `unit`; negative: better"
    )
    better_e_value: float | None = Field(description="of the bet that it is better")
    worse_e_value: float | None = Field(description="of the bet that it is worse")
    verdict: str = Field(
        description="`reference`, `better`, `worse` or `undecided`", examples=["undecided"]
    )


class VariantTable(PublishedSource):
    """Answers of the service against what came true, by variant, the champion's first."""

    rows: list[AnswerVariant]
