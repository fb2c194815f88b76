"""Questions and answers of the forecast operations.

Here: form, units and limits. Not here: what is done with them (`selection`, `features`), and the
examples (`examples`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from serving.provenance import Provenance

ProblemName = Annotated[
    str, Meta(max_length=60, description="a published problem", examples=["bitcoin_close"])
]
SeriesName = Annotated[
    str, Meta(max_length=200, description="a series of the problem; default: all of them")
]
Alias = Annotated[
    str,
    Meta(
        max_length=200,
        description="answer by the version of this alias; default: as the problem's traffic "
        "settings say, else `champion`",
    ),
]
Version = Annotated[
    str, Meta(max_length=20, description="answer by this version of the model; not with `alias`")
]
Horizon = Annotated[int, Meta(ge=1, description="only steps up to this one; default: all")]
Instant = Annotated[datetime, Meta(tz=True)]
Origin = Annotated[
    datetime, Meta(tz=True, description="a published origin, with zone; default: the newest")
]
FeatureName = Annotated[str, Meta(max_length=200)]
LastValue = Annotated[
    float,
    Meta(description="newest known target value, in target units; with `features`"),
]
Label = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        description="a label of the series, or as much of its beginning as only one has",
    ),
]


class LatestQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which of the newest forecasts are asked for."""

    series: SeriesName | None = None
    horizon: Horizon | None = None
    alias: Alias | None = None
    version: Version | None = None


class OriginsQuery(LatestQuery, forbid_unknown_fields=True, rename={"begin": "from", "end": "to"}):
    """Forecasts from one origin, or from all in `[from, to)`; default: the newest."""

    origin: Origin | None = None
    begin: Annotated[datetime, Meta(tz=True, description="earliest origin, with zone")] | None = (
        None
    )
    end: (
        Annotated[datetime, Meta(tz=True, description="later than the last origin; default: open")]
        | None
    ) = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: an origin and a range are given, or the range's end without its beginning.
        """
        if self.origin is not None and (self.begin is not None or self.end is not None):
            raise ValueError("Give an origin or a range of origins, not both")
        if self.end is not None and self.begin is None:
            raise ValueError("`to` ends the range that `from` begins; give both")


class SeriesQuestion(msgspec.Struct, forbid_unknown_fields=True):
    """Forecasts of several series."""

    series: Annotated[
        list[SeriesName],
        Meta(min_length=1, description="series of the problem; each is answered once"),
    ]
    origin: Origin | None = None
    horizon: Horizon | None = None
    alias: Alias | None = None
    version: Version | None = None


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Either an origin of the snapshot (default: the newest), or features with a last value."""

    problem: ProblemName
    series: SeriesName | None = None
    origin: Origin | None = None
    horizon: Horizon | None = None
    features: (
        Annotated[
            dict[FeatureName, float | None],
            Meta(
                description="every feature of the model's card by name (see /models/{problem}); "
                "null is a missing value; calibration features default to the newest published "
                "ones; refused where forecasts are shares of a segment, which one series alone "
                "cannot give"
            ),
        ]
        | None
    ) = None
    last_value: LastValue | None = None
    alias: Alias | None = None
    version: Version | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: features and last value are not given together, or come with an origin or
                a horizon.
        """
        if self.features is None:
            if self.last_value is not None:
                raise ValueError(
                    "last_value goes with features; give both, or neither to use the snapshot"
                )
        elif self.last_value is None:
            raise ValueError("features need last_value, the newest known target value; give both")
        elif self.origin is not None or self.horizon is not None:
            raise ValueError(
                "give an origin or horizon of the snapshot or features of your own, not both"
            )


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Many rows of features, column by column."""

    problem: ProblemName
    features: Annotated[
        dict[FeatureName, list[float | None]],
        Meta(
            description="every feature of the model's card by name, one value a row; null is a "
            "missing value; calibration features default to the newest published ones"
        ),
    ]
    last_value: Annotated[
        list[float],
        Meta(min_length=1, description="newest known target value of each row, target units"),
    ]
    series: SeriesName | None = None
    alias: Alias | None = None
    version: Version | None = None


class ShareQuestion(msgspec.Struct, forbid_unknown_fields=True):
    """The share of one brand among one group of people on one day."""

    date: Annotated[
        str,
        Meta(
            pattern=r"^\d{4}-\d{2}-\d{2}$",
            description="the day that is forecast, in the source's own zone",
        ),
    ]
    age_group: Label
    gender: Label
    brand: Label
    alias: Alias | None = None
    version: Version | None = None


class Forecast(Provenance, kw_only=True, frozen=True):
    """One forecast: a series, an origin and a step; its band, and what it rests on."""

    problem: ProblemName
    series: Annotated[str, Meta(examples=["btc"])]
    origin: Annotated[
        datetime, Meta(tz=True, description="the instant of forecasting; nothing later was known")
    ]
    last_observed: Annotated[
        datetime, Meta(tz=True, description="newest valid time visible at the origin")
    ]
    valid_time: Annotated[datetime, Meta(tz=True, description="when the forecast value holds")]
    step: Annotated[int, Meta(description="periods ahead of last_observed", examples=[1])]
    point: Annotated[float, Meta(description="p50, in `unit`", examples=[67123.4])]
    lower: Annotated[float, Meta(description="lower end of the band, in `unit`")]
    upper: Annotated[float, Meta(description="upper end of the band, in `unit`")]
    nominal_coverage: Annotated[
        float,
        Meta(description="share of outcomes that the band is meant to hold", examples=[0.9]),
    ]
    unit: Annotated[str, Meta(description="unit of point, lower and upper", examples=["USDT"])]


class ForecastAnswer(msgspec.Struct, frozen=True):
    """Forecasts, sorted by series, origin and step."""

    request_id: Annotated[str, Meta(description="as in the header X-Request-Id and in the logs")]
    forecasts: list[Forecast]


class AssumedInput(msgspec.Struct, frozen=True):
    """A calibration input that was not given and was taken from the newest snapshot."""

    feature: Annotated[str, Meta(examples=["band_quantile"])]
    value: float
    series: Annotated[str, Meta(examples=["btc"])]
    origin: Instant


class FeatureForecast(Provenance, kw_only=True, frozen=True):
    """A forecast from features that the caller gave."""

    problem: ProblemName
    last_value: Annotated[float, Meta(description="as given, in `unit`", examples=[67100.0])]
    assumed: Annotated[list[AssumedInput], Meta(description="inputs that were not given")]
    point: Annotated[float, Meta(description="p50, in `unit`")]
    lower: Annotated[float, Meta(description="lower end of the band, in `unit`")]
    upper: Annotated[float, Meta(description="upper end of the band, in `unit`")]
    nominal_coverage: Annotated[
        float, Meta(description="share of outcomes that the band is meant to hold")
    ]
    unit: Annotated[str, Meta(description="unit of point, lower, upper and last_value")]
    request_id: Annotated[str, Meta(description="as in the header X-Request-Id and in the logs")]


class BatchForecast(Provenance, kw_only=True, frozen=True):
    """Forecasts from rows of features, column by column, in the order of the rows."""

    problem: ProblemName
    n: Annotated[int, Meta(description="number of rows")]
    point: Annotated[list[float], Meta(description="p50 of each row, in `unit`")]
    lower: Annotated[list[float], Meta(description="lower ends of the bands, in `unit`")]
    upper: Annotated[list[float], Meta(description="upper ends of the bands, in `unit`")]
    assumed: Annotated[list[AssumedInput], Meta(description="inputs that were not given")]
    nominal_coverage: Annotated[
        float, Meta(description="share of outcomes that each band is meant to hold")
    ]
    unit: Annotated[str, Meta(description="unit of point, lower and upper")]
    request_id: Annotated[str, Meta(description="as in the header X-Request-Id and in the logs")]
