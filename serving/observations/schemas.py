"""Bodies of the endpoint of observed values."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.published_reading import IntervalQuery, PublishedPage


class ObservationQuery(IntervalQuery):
    """Which observed values are asked for; the interval is of valid times."""

    series: str | None = Field(
        default=None, max_length=200, description="one series; default: all of them"
    )


class _Observed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    series: str = Field(examples=["btc"])
    valid_time: AwareDatetime = Field(description="end of the period that the values are of")


class Candle(_Observed):
    """One period of a traded price; prices in `unit`, null where unknown."""

    open: float | None = Field(examples=[67100.0])
    high: float | None = Field(examples=[67310.5])
    low: float | None = Field(examples=[67050.0])
    close: float | None = Field(examples=[67210.0])
    volume: float | None = Field(description="traded quantity, base asset", examples=[812.4])


class ObservedValue(_Observed):
    """One period of a value in `unit`, null where unknown."""

    value: float | None = Field(examples=[31.2])


class ObservationPage(PublishedPage):
    """Observed values as they are known now, ascending by series and valid time."""

    rows: list[Candle] | list[ObservedValue] = Field(
        description="candles where the target is traded, else values"
    )
