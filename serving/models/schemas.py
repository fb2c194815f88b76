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


class ProblemModel(BaseModel):
    """One problem: what its registered model is called and which version answers."""

    problem: str = Field(examples=["bitcoin_close"])
    model_name: str | None = Field(
        description="name in the registry; null before the first snapshot",
        examples=["sample.bitcoin_close"],
    )
    ready: bool = Field(description="whether a champion answers")
    version: str | None = Field(description="the champion that answers", examples=["3"])
    candidate: str | None = Field(examples=["ridge"])
    aliases: dict[str, str] = Field(
        description="alias -> version, as of the last look at the registry",
        examples=[{"champion": "3", "challenger": "4"}],
    )


class ModelsAnswer(BaseModel):
    """Every published problem."""

    models: list[ProblemModel]


class AliasesAnswer(BaseModel):
    """The aliases of a registered model, as the registry has them now."""

    problem: str = Field(examples=["bitcoin_close"])
    model_name: str = Field(examples=["sample.bitcoin_close"])
    aliases: dict[str, str] = Field(
        description="alias -> version", examples=[{"champion": "3", "challenger": "4"}]
    )


class VersionVerdict(BaseModel):
    """What the gate, the control or a person decided about a version, the newest time."""

    decision: str = Field(
        description="promote, refresh, keep or roll_back: how the version came to the alias, or "
        "kept it",
        examples=["promote"],
    )
    as_of: str = Field(description="instant of the verdict", examples=["2026-03-02T12:00:00+00:00"])
    reasons: list[str] = Field(examples=[["ridge beats last_value."]])
    by: str | None = Field(
        default=None, description="who moved the alias by hand; null where the pipeline did"
    )


class VersionSummary(BaseModel):
    """One version of a registered model; null where whoever registered it said nothing."""

    version: str = Field(examples=["3"])
    candidate: str | None = Field(examples=["ridge"])
    recipe_id: str | None = Field(description="hash of the recipe", examples=["0f3c2d"])
    as_of: str | None = Field(
        description="what was known at the fit", examples=["2026-03-02T12:00:00+00:00"]
    )
    created_at: AwareDatetime = Field(description="when it was registered")
    run_id: str | None = Field(description="MLflow run of the fit")
    data_version: str | None = Field(description="of the training data")
    aliases: list[str] = Field(description="that point to it", examples=[["champion"]])
    verdict: VersionVerdict | None = Field(description="null for one that never held the alias")
    rolled_back_as_of: str | None = Field(
        description="when the alias was last taken from it; null: never"
    )
    loaded: bool = Field(description="whether it is held ready to answer")


class VersionsAnswer(BaseModel):
    """Versions of a registered model, newest first."""

    problem: str = Field(examples=["bitcoin_close"])
    model_name: str = Field(examples=["sample.bitcoin_close"])
    versions: list[VersionSummary]
    next: str | None = Field(
        description="give it as `after` for the next page; null on the last", examples=["3"]
    )


class VersionAnswer(VersionSummary):
    """One version with its card, where its files pass every check."""

    problem: str = Field(examples=["bitcoin_close"])
    model_name: str = Field(examples=["sample.bitcoin_close"])
    tags: dict[str, str] = Field(description="every tag of the version")
    card: ModelCard | None = Field(description="null where the version is refused")
    refusal: str | None = Field(description="why it cannot be served; null where it can")
    misfit: str | None = Field(
        description="why the newest snapshot cannot feed it; null where it can"
    )
