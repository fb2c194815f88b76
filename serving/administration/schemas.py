"""Bodies of the endpoints of administration."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi.openapi.models import Example
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Alias = Annotated[str, Field(min_length=1, max_length=255)]
_MOST_ALIASES: Final = 20


class TrafficRequest(BaseModel):
    """Shares of the callers by alias, and aliases that compute for the log alone."""

    model_config = ConfigDict(extra="forbid")

    weights: dict[Alias, Annotated[float, Field(strict=True, gt=0, le=1)]] = Field(
        min_length=1,
        max_length=_MOST_ALIASES,
        description="alias -> share of the callers, above 0; together 1",
        examples=[{"champion": 0.9, "challenger": 0.1}],
    )
    shadow: list[Alias] = Field(
        default_factory=list,
        max_length=_MOST_ALIASES,
        description="aliases whose answers are logged and never returned",
        examples=[["challenger"]],
    )


TRAFFIC_EXAMPLES: Final[dict[str, Example]] = {
    "champion": {
        "summary": "The champion answers everybody",
        "value": {"weights": {"champion": 1.0}, "shadow": []},
    },
    "split": {
        "summary": "The challenger answers a tenth of the callers",
        "value": {"weights": {"champion": 0.9, "challenger": 0.1}, "shadow": []},
    },
    "shadow": {
        "summary": "The challenger computes for the log alone",
        "value": {"weights": {"champion": 1.0}, "shadow": ["challenger"]},
    },
}


class TrafficAnswer(BaseModel):
    """Who answers the callers of a problem."""

    problem: str = Field(examples=["bitcoin_close"])
    model_name: str = Field(examples=["sample.bitcoin_close"])
    weights: dict[str, float] = Field(
        description="alias -> share of the callers", examples=[{"champion": 1.0}]
    )
    shadow: list[str] = Field(description="aliases that compute for the log alone")
    configured: bool = Field(
        description="whether the registry holds settings; without, the champion answers everybody"
    )
    fault: str | None = Field(
        default=None, description="why the registry's settings cannot be used; null: they can"
    )
    aliases: dict[str, str] = Field(
        description="alias -> version", examples=[{"champion": "3", "challenger": "4"}]
    )


class RollbackRequest(BaseModel):
    """To which version, and why."""

    model_config = ConfigDict(extra="forbid")

    version: str | None = Field(
        default=None,
        max_length=20,
        description="who takes the alias; default: the newest version of the recipe that held it "
        "before",
        examples=["1"],
    )
    reason: str = Field(
        min_length=1,
        max_length=1000,
        description="why; it is kept with the version",
        examples=["bands far too wide since Monday"],
    )


ROLLBACK_EXAMPLES: Final[dict[str, Example]] = {
    "previous": {
        "summary": "Back to the recipe that held the alias before",
        "value": {"reason": "bands far too wide since Monday"},
    },
}


class RollbackAnswer(BaseModel):
    """What a roll back came to."""

    problem: str = Field(examples=["bitcoin_close"])
    model_name: str = Field(examples=["sample.bitcoin_close"])
    before: str = Field(description="version that held the alias", examples=["3"])
    now: str = Field(description="version that holds it", examples=["1"])
    as_of: AwareDatetime = Field(description="instant of the roll back")
    reasons: list[str] = Field(description="as the registry keeps them")
    gap: str | None = Field(
        description="why the version cannot answer yet, while the one before goes on; null: it can"
    )
    remaining: str = Field(description="what the pipeline does not know of it")


class ServedPair(BaseModel):
    """What answers for one problem."""

    problem: str = Field(examples=["bitcoin_close"])
    version: str | None = Field(description="null: nothing answers", examples=["3"])
    candidate: str | None = Field(examples=["ridge"])
    snapshot_id: str | None = Field(examples=["20260302T120000Z-00000001"])
    complaints: list[str] = Field(description="what is wrong; empty: nothing")


class ReloadAnswer(BaseModel):
    """What was served before and after a look at snapshots and registry."""

    finished: bool = Field(description="false: the look goes on in the background")
    changed: bool = Field(description="whether another model or snapshot took the traffic")
    before: list[ServedPair]
    after: list[ServedPair]
    complaints: list[str] = Field(description="what is wrong with storage, registry or log")
