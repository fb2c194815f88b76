"""The parameters of the share filter, as a problem's YAML gives them.

Here: names, units, ranges. Not here: what is done with them (`share_filter_states`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops_assets.problem import ProblemError

Sd = Annotated[float, Field(ge=0)]
Persistence = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class ShareFilterParameters(BaseModel):
    """How much each part of a share may move; standard deviations are in log odds.

    The state is described in `share_filter_states`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean_sd: Positive = Field(default=0.3, description="of the long-run mean, at the start")
    level_persistence: Persistence = Field(
        default=0.97, description="part of a level's deviation from its mean that is left a day on"
    )
    common_sd: Sd = Field(default=0.02, description="daily, of a brand's level in all segments")
    group_sd: dict[str, Sd] = Field(
        default_factory=dict,
        description="key of a segment, such as age_group -> daily sd of a brand's level in all "
        "segments of one label",
    )
    own_sd: Positive = Field(default=0.015, description="daily, of a brand's level in one segment")
    shock_persistence: Persistence = Field(
        default=0.4, description="part of a brand's shock that is left a day on"
    )
    shock_sd: Sd = Field(default=0.05, description="of a brand's shock, shared by all segments")
    season_sd: Sd = Field(default=0.2, description="of a brand's yearly amplitude, at the start")
    weekday_sd: Sd = Field(default=0.01, description="of a brand's days of the week, at the start")
    weekday_walk_sd: Sd = Field(default=0.002, description="daily, of a brand's days of the week")
    overdispersion: Positive = Field(
        default=1.2, description="variance of a share over that of a multinomial draw"
    )
    extra_sd: Sd = Field(default=0.05, description="of a share's noise that counts do not explain")
    clip_sd: Positive = Field(default=5.0, description="a surprise counts as no more than so many")
    unknown_count: Positive = Field(
        default=100.0, description="count behind a segment's shares where none can be recovered"
    )
    brand_scale: dict[str, Positive] = Field(
        default_factory=dict, description="brand -> factor on how much it moves; 1 where missing"
    )
    loadings: dict[str, Positive] = Field(
        default_factory=dict,
        description="segment -> how strongly it follows what all share; 1 where missing",
    )
    shock_lag: int = Field(
        default=14, ge=0, description="days after which a brand's surprise comes again; 0: never"
    )
    shock_clip: Positive = Field(default=0.35, description="largest surprise that is carried on")
    shock_ridge: Positive = Field(
        default=0.3, description="draws the return of a surprise to none, in sums of its squares"
    )


def parameters_of(params: Mapping[str, object]) -> ShareFilterParameters:
    """The parameters of a feature group.

    Raises:
        ProblemError: a name is unknown or a value out of range; names the parameter and the rule.
    """
    try:
        return ShareFilterParameters.model_validate(dict(params))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))} = {fault['input']!r:.60}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ProblemError(
            f"share_filter: {faults}; correct its params; it takes "
            f"{', '.join(ShareFilterParameters.model_fields)}"
        ) from error
