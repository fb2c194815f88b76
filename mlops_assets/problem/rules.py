"""The rules of a problem: its band, evaluation and gate, control, drift and freshness.

Here: the parts of a problem file that say when something counts as good, proven or late. Not here:
what is forecast from which sources (`forecast_problem`, `sources`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from mlops_assets.problem.parts import Duration, Part


class Band(Part):
    """The prediction band, from the errors of forecasts that have come true.

    `conformal`: a quantile of past scaled errors times the forecast scale. `angular`: for shares of
    counts, quantiles of past errors of `asin(sqrt(share))` over their modelled spread.
    """

    method: Literal["conformal", "angular"] = "conformal"
    coverage: float = Field(default=0.9, gt=0, lt=1)
    window: int = Field(gt=0, description="number of verified periods behind the band")
    least: int = Field(default=100, gt=0, description="fewer verified forecasts give no band")
    half_life: int | None = Field(
        default=None, gt=0, description="periods after which an error counts half (angular)"
    )
    count_feature: str | None = Field(
        default=None, description="feature: log of the count behind a segment's shares (angular)"
    )
    level_feature: str | None = Field(
        default=None, description="feature: usual share of a series, percent (angular)"
    )
    calibration: Duration = Field(
        description="out-of-sample folds before the first evaluated one start the band"
    )

    @model_validator(mode="after")
    def _angular_is_complete(self) -> Self:
        wanted = ("half_life", "count_feature", "level_feature")
        missing = [name for name in wanted if getattr(self, name) is None]
        if self.method == "angular" and missing:
            raise ValueError(f"the angular band needs {', '.join(missing)}; add them to `band`")
        return self


class Evaluation(Part):
    """Rolling-origin backtest: refits on a fixed grid, forecasts until the next refit."""

    refit_every: Duration
    anchor: AwareDatetime = Field(description="an instant of the refit grid")
    folds: int = Field(ge=1, description="refits that are evaluated when no start is given")
    loss: Literal["absolute_error", "squared_error"] = "absolute_error"
    guards: tuple[Literal["absolute_error", "squared_error"], ...] = ("squared_error",)
    leads: tuple[int, ...] = Field(
        default=(1,), min_length=1, description="steps ahead that the gate and all scores look at"
    )
    season: int = Field(
        default=1, ge=1, description="periods of a season: MASE compares with the value so long ago"
    )
    credible_rmse_ratio: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="RMSE over the last value's below which a result is a leak until explained",
    )


class Promotion(Part):
    """The gate's error rates."""

    first_look_alpha: float = Field(default=0.05, gt=0, lt=1)
    yearly_error_budget: float = Field(default=0.05, gt=0, lt=1)
    looks_per_year: int = Field(ge=1)
    leads: tuple[int, ...] | None = Field(
        default=None,
        min_length=1,
        description="evaluated leads at which a challenger must prove better; default: all",
    )
    guard_alpha: float = Field(default=0.05, gt=0, lt=1)


class Control(Part):
    """The watch over the champion's live forecasts, by tests that may be looked at at any time."""

    alpha: float = Field(
        default=0.01, gt=0, lt=1, description="chance that a sound champion is ever rolled back"
    )
    least: int = Field(default=5, ge=1, description="fewer verified periods decide nothing")
    coverage_slack: float = Field(
        default=0.05, ge=0, lt=1, description="coverage may be so far below nominal"
    )
    cooldown: Duration = Field(
        default=timedelta(days=7),
        description="after a roll back its recipe cannot take the alias for so long",
    )


class Drift(Part):
    """The daily comparison of what arrives now with what the champion was trained on."""

    features: tuple[str, ...] = Field(
        min_length=1, description="feature columns that are compared; `*` matches any characters"
    )
    current: Duration = Field(description="length of the newest stretch that is compared")
    false_alarms_per_year: float = Field(default=4.0, gt=0)
    cron: str = "30 6 * * *"


class Freshness(Part):
    """When an asset counts as late."""

    warn_after: Duration
    fail_after: Duration

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.warn_after >= self.fail_after:
            raise ValueError("`warn_after` must be shorter than `fail_after`")
        return self
