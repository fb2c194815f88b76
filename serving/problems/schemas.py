"""Bodies of the endpoints that list problems and series."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, Field

from serving.published_reading import PublishedPage


class PublishedProblem(BaseModel):
    """One problem that can be asked for."""

    problem: str = Field(examples=["bitcoin_close"])
    title: str = Field(examples=["Bitcoin close, next hour"])
    unit: str = Field(description="target unit", examples=["USDT"])
    frequency_seconds: float = Field(description="length of a period", examples=[3600.0])
    horizon: int = Field(description="periods that are forecast", examples=[1])
    series_count: int = Field(examples=[1])
    series_keys: list[str] = Field(
        description="labels that `/` joins to a series' name; empty: names have no labels"
    )
    newest_origin: AwareDatetime = Field(description="newest published origin of any series")
    as_of: AwareDatetime = Field(description="what the snapshot knows ends here")
    snapshot_id: str = Field(examples=["20260302T120000Z-00000001"])
    data_version: str = Field(examples=["8c1f7a20"])
    synthetic: bool = Field(description="whether the data is generated, not observed")
    stale: bool = Field(description="whether the newest data is older than the problem allows")
    ready: bool = Field(description="whether forecasts can be asked for")


class ProblemList(BaseModel):
    """Every problem of which a verified snapshot is held, by name."""

    problems: list[PublishedProblem]


class PublishedSeries(BaseModel):
    """One series of a problem."""

    series: str = Field(examples=["btc"])
    labels: dict[str, str] = Field(description="by key of `series_keys`; empty without such keys")
    newest_origin: AwareDatetime


class SeriesPage(PublishedPage):
    """Series of a problem, ascending by name."""

    rows: list[PublishedSeries]
