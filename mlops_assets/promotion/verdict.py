"""The verdict: what the gate decided, with every figure behind it, as data.

Here: the record, serialisable as JSON. Not here: the rules (`promotion.decision`,
`promotion.rollback`) and what is done with it (`promotion.registry`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mlops_assets.evaluation.metrics import Loss

Decision = Literal["promote", "keep", "refresh", "roll_back"]
"""promote: another recipe takes the alias. refresh: the incumbent recipe's new fit takes it. keep:
nothing moves. roll_back: the previous recipe's last version takes it, or a baseline's."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Incumbent(_Part):
    """The recipe behind the version that holds the champion alias."""

    candidate: str
    recipe_id: str


class GateTest(_Part):
    """One Diebold-Mariano test of the gate; differences are challenger minus opponent."""

    purpose: Literal["better", "guard"] = Field(
        description="better: is the challenger better; guard: is it worse"
    )
    challenger: str
    against: str
    loss: Loss
    n: int = Field(description="origins compared")
    mean_differential: float = Field(description="units of the loss; negative: challenger better")
    statistic: float
    bandwidth: int = Field(description="largest lag of the variance, in origins")
    p_value: float
    holm_p_value: float | None = Field(
        description="the larger of the challenger's two p-values, adjusted over the challengers; "
        "None for guards"
    )
    alpha: float = Field(description="level that the test is held against")
    passed: bool


class Verdict(_Part):
    """What the gate decided, and every figure behind it. Instants are UTC, half-open where a span.

    `candidate` holds the alias afterwards, `previous` held it before. A roll back carries the
    evidence of the gate's newest look, which it did not read.
    """

    problem: str
    as_of: AwareDatetime
    decision: Decision
    candidate: str
    recipe_id: str
    previous: str | None
    previous_recipe_id: str | None = Field(
        default=None, description="recipe that was rolled back; None for the gate's decisions"
    )
    trigger: str = Field(default="", description="what started the run; empty where unknown")
    reasons: tuple[str, ...]
    loss: Loss
    guards: tuple[Loss, ...]
    alpha: float = Field(
        description="level of this look, over all challengers; 0 for a roll back, which tests none"
    )
    look: int = Field(description="number of this look within the year that ends at `as_of`")
    looks_per_year: int
    yearly_error_budget: float
    guard_alpha: float
    strongest_baseline: str
    first_origin: AwareDatetime
    last_origin: AwareDatetime
    rows: int = Field(description="rows of each candidate")
    origins: int
    mean_losses: dict[str, float] = Field(description="by candidate, best first, units of the loss")
    tests: tuple[GateTest, ...]

    @property
    def holder(self) -> Incumbent:
        """The recipe that holds the alias afterwards."""
        return Incumbent(candidate=self.candidate, recipe_id=self.recipe_id)
