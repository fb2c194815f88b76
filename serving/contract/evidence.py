"""The JSON evidence of a snapshot: `drift.json` and `replays.json`.

Here: their form and units. Not here: who writes them (the asset `published`), the bounds on their
sizes and the other files (`contract.snapshot`), and how they are served (`serving.evidence`).
"""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnDrift(_Part):
    """One column of a drift report."""

    feature: str = Field(examples=["return_1h"])
    statistic: float | None = Field(
        description="distance between current and reference, in standard deviations of the "
        "reference; null where the history is too short to judge",
        examples=[0.08],
    )
    threshold: float | None = Field(
        description="distance from which on it counts as drift, same unit; null as above",
        examples=[0.21],
    )
    drifted: bool | None = Field(description="null where it was not judged")
    reference_rows: int = Field(examples=[8760])
    current_rows: int = Field(examples=[168])


class DriftReport(_Part):
    """A drift report, column by column."""

    as_of: AwareDatetime
    share_drifted: float | None = Field(description="share of judged columns, 0 to 1")
    concept_drift: bool | None = Field(description="whether the champion's errors have risen")
    columns: tuple[ColumnDrift, ...]


class DriftSummary(_Part):
    """A drift report in short."""

    as_of: AwareDatetime
    share_drifted: float | None = Field(description="share of judged columns, 0 to 1")
    concept_drift: bool | None = Field(description="whether the champion's errors have risen")


class Drift(_Part):
    """`drift.json`."""

    newest: DriftReport
    history: tuple[DriftSummary, ...] = Field(description="all reports kept, newest last")


class ReplaySummary(_Part):
    """What a replay covers."""

    replay_id: str = Field(examples=["spring"])
    start: AwareDatetime = Field(description="first origin")
    end: AwareDatetime = Field(description="last origin that is finished, included")
    step_seconds: float | None = Field(
        description="median time between two origins; null for a single one", examples=[604800.0]
    )
    steps: int = Field(description="finished origins", examples=[72])


class LiveError(_Part):
    """Live errors of whoever held the alias, beside the last value's on the same rows."""

    n: int = Field(description="forecasts that came true, at the leads of the gate")
    mae: float = Field(description="mean absolute error, in the problem's unit")
    rmse: float = Field(description="root of the mean squared error, in the problem's unit")
    mae_last_value: float
    rmse_last_value: float
    coverage: float = Field(description="share of values inside the band, 0 to 1")


class ReplayStep(_Part):
    """What one origin of a replay came to."""

    origin: AwareDatetime
    triggers: tuple[str, ...] = Field(description="why it trained or looked; none: it did not")
    decision: str | None = Field(description="of the step's verdict; null: no look")
    candidate: str | None = Field(description="champion after the step; null: none yet")
    version: str | None = Field(description="its registered version in the replay")
    control_alarm: bool | None = Field(description="null: not evaluated in this step")
    drift_alarm: bool | None = Field(description="null: no report in this step")
    seconds: float = Field(description="time that the step took")
    reasons: tuple[str, ...] = Field(default=(), description="of the step's verdict; none: no look")
    registered: dict[str, str] = Field(
        default_factory=dict, description="candidate to the version that this step registered"
    )
    live: LiveError | None = Field(
        default=None,
        description="of the champion, from this origin to the next; null: nothing came true",
    )


class ReplayRule(_Part):
    """What would have come of handing over by one rule, from the forecasts made in the replay."""

    rule: str = Field(
        description="`gate`: this service's; `lower`: whoever has the lower mean backtest loss; "
        "`newest`: the main recipe's newest fit, whatever it scores",
        examples=["gate"],
    )
    promotions: int = Field(description="origins at which another candidate took over, or a first")
    churn: int = Field(description="changes from one candidate to another")
    versions: int = Field(description="changes from one version to another")
    missing: int = Field(description="forecasts of the gate's that its holders did not make")
    live: LiveError | None = Field(description="of its holders; null: nothing came true")


class ReplayLedger(ReplaySummary):
    """A replay with its steps."""

    live: LiveError | None = Field(
        default=None, description="of the champions, over the whole replay"
    )
    rules: tuple[ReplayRule, ...] = Field(default=(), description="compared on the same forecasts")
    rows: tuple[ReplayStep, ...] = Field(description="ascending by origin; the newest are kept")
