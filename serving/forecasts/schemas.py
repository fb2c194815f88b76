"""Bodies of the forecast endpoints.

Here: form, units and limits of requests and answers. Not here: what is done with them (`service`).
"""

from __future__ import annotations

from typing import Annotated, Final, Self

from fastapi.openapi.models import Example
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from serving.provenance import Provenance

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
SERIES: Final = (
    "a series of the problem, such as `btc`, or labels joined by `/`; default: all of them"
)
ProblemName = Annotated[
    str, Field(max_length=60, description="a published problem", examples=["bitcoin_close"])
]


class Quantiles(BaseModel):
    """A point forecast with its band, in target units."""

    point: float = Field(description="p50, in `unit`", examples=[67123.4])
    lower: float = Field(description="lower end of the band, in `unit`", examples=[66640.1])
    upper: float = Field(description="upper end of the band, in `unit`", examples=[67609.0])
    nominal_coverage: float = Field(
        description="share of outcomes that the band is meant to hold", examples=[0.9]
    )
    unit: str = Field(description="unit of point, lower and upper", examples=["USDT"])


class _ForecastKey(BaseModel):
    problem: ProblemName
    series: str = Field(examples=["btc"])
    origin: AwareDatetime = Field(description="the instant of forecasting; nothing later was known")
    last_observed: AwareDatetime = Field(description="newest valid time visible at the origin")
    valid_time: AwareDatetime = Field(description="when the forecast value holds")
    step: int = Field(description="periods ahead of last_observed", examples=[1])


class Forecast(Provenance, Quantiles, _ForecastKey):
    """One forecast: a series, an origin and a step; its band, and what it rests on."""


class ForecastAnswer(BaseModel):
    """Forecasts from one origin for each series: one entry for each series and step."""

    forecasts: list[Forecast]


class AssumedInput(BaseModel):
    """A calibration input that was not given and was taken from the newest snapshot."""

    feature: str = Field(examples=["band_quantile"])
    value: float = Field(examples=[1.83])
    series: str = Field(examples=["btc"])
    origin: AwareDatetime


class _GivenInput(BaseModel):
    problem: ProblemName
    last_value: float = Field(description="as given, in `unit`", examples=[67100.0])
    assumed: list[AssumedInput] = Field(description="inputs that were not given")


class FeatureForecast(Provenance, Quantiles, _GivenInput):
    """A forecast from features that the caller gave."""


class PredictRequest(BaseModel):
    """Either an origin of the snapshot (default: the newest), or features with a last value."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"problem": "bitcoin_close"}]},
    )

    problem: ProblemName
    series: str | None = Field(default=None, max_length=200, description=SERIES)
    origin: AwareDatetime | None = Field(
        default=None, description="a published origin, with zone; default: the newest"
    )
    features: dict[Annotated[str, Field(max_length=200)], Finite | None] | None = Field(
        default=None,
        description="every feature of the served model's card by name (see /models/{problem}); "
        "null is a missing value; calibration features default to the newest published ones; "
        "refused where forecasts are shares of a segment, which one series alone cannot give",
    )
    last_value: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)] | None = Field(
        default=None, description="newest known target value, in target units; with `features`"
    )

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> Self:
        if self.features is None and self.last_value is not None:
            raise ValueError(
                "last_value goes with features; give both, or neither to use the snapshot"
            )
        if self.features is not None and self.last_value is None:
            raise ValueError("features need last_value, the newest known target value; give both")
        if self.features is not None and self.origin is not None:
            raise ValueError("give an origin of the snapshot or features of your own, not both")
        return self


PREDICT_EXAMPLES: Final[dict[str, Example]] = {
    "newest": {
        "summary": "From the newest origin",
        "value": {"problem": "bitcoin_close"},
    },
    "origin": {
        "summary": "From a published origin",
        "value": {"problem": "bitcoin_close", "origin": "2026-01-01T00:00:00Z"},
    },
    "features": {
        "summary": "From features",
        "description": "All features of the served model's card; three are shown.",
        "value": {
            "problem": "bitcoin_close",
            "features": {"return_1h": 0.001, "volume_24h": None, "band_quantile": 1.8},
            "last_value": 60000.0,
        },
    },
}
"""The documentation page puts published origins and the served card's features in their place."""
