"""Bodies of the endpoints of forecasts as they were made."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.published_reading import IntervalQuery, PublishedPage


class ChampionQuery(IntervalQuery):
    """Which forecasts of champions are asked for; the interval is of origins."""

    series: str | None = Field(
        default=None, max_length=200, description="one series; default: all of them"
    )
    step: int | None = Field(
        default=None, ge=1, le=100_000, description="periods ahead of last_observed; default: all"
    )


class HistoryQuery(ChampionQuery):
    """Which forecasts are asked for; the interval is of origins."""

    version: str | None = Field(
        default=None, max_length=60, description="a version in the registry; default: all"
    )
    candidate: str | None = Field(
        default=None, max_length=200, description="a candidate's name; default: all"
    )


class DemoChampionQuery(ChampionQuery):
    """The same, with the problem."""

    problem: str = Field(
        max_length=60, description="a published problem", examples=["bitcoin_close"]
    )


class PastForecast(BaseModel):
    """One forecast of the pipeline; values in `unit`."""

    model_config = ConfigDict(extra="forbid")

    series: str = Field(examples=["btc"])
    origin: AwareDatetime = Field(description="the instant of forecasting; nothing later was known")
    last_observed: AwareDatetime = Field(description="newest valid time visible at the origin")
    valid_time: AwareDatetime = Field(description="when the forecast value holds")
    step: int = Field(description="periods ahead of last_observed", examples=[1])
    point: float | None = Field(description="p50", examples=[67123.4])
    lower: float | None = Field(description="lower end of the band", examples=[66640.1])
    upper: float | None = Field(description="upper end of the band", examples=[67609.0])
    nominal_coverage: float | None = Field(
        description="share of outcomes that the band is meant to hold", examples=[0.9]
    )
    candidate: str = Field(examples=["ridge"])
    version: str = Field(description="version in the registry", examples=["3"])
    recipe_id: str = Field(description="fingerprint of the recipe", examples=["4c1e0b7a"])
    data_version: str = Field(description="of the features it was fitted on", examples=["8c1f7a20"])
    run_id: str = Field(description="MLflow run of the fit", examples=["b7d1c8e2f4a94f0c"])
    champion: bool = Field(description="whether the version held the alias at the origin")


class ScoredForecast(PastForecast):
    """A champion's forecast beside what came true."""

    actual: float | None = Field(
        description="the value as it is known now; null where it is not published"
    )
    error: float | None = Field(description="forecast minus actual; null without an actual")


class ForecastPage(PublishedPage):
    """Forecasts as they were made, ascending by series, origin, version (as text) and step."""

    rows: list[PastForecast]


class ChampionPage(PublishedPage):
    """Forecasts of each origin's champion, ascending by series, origin and step."""

    rows: list[ScoredForecast]
