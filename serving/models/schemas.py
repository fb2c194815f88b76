"""Bodies of the model endpoints."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, Field

from serving.contract.model_card import ModelCard


class ServedModelAnswer(BaseModel):
    """The model that takes the traffic of a problem, and why."""

    problem: str = Field(examples=["bitcoin_close"])
    model_name: str = Field(examples=["sample.bitcoin_close"])
    version: str = Field(examples=["3"])
    alias: str | None = Field(
        description="by which it was chosen; null: by version", examples=["champion"]
    )
    candidate: str = Field(examples=["ridge"])
    refit_at: AwareDatetime = Field(description="end of the training data")
    refit_age_seconds: float = Field(description="how long ago that was")
    snapshot_id: str = Field(description="the snapshot that feeds the model and holds the verdict")
    verdict: dict[str, Any] | None = Field(
        description="the gate's newest decision with its reasons; null before the first"
    )
    card: ModelCard
