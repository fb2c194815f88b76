"""The sources of a problem: where values come from in each data mode, and what they may be.

Here: one class for each kind of source, and its entries for files, sample and live services. Not
here: reading any of them (`ingestion`).

Kinds: `candles` (bars with open, high, low, close, volume; one series), `values` (one number a
period; one series, or a panel of them named by keys), `channels` (counts of video channels).
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, field_validator, model_validator

from mlops_assets.problem.parts import Duration, Name, Part, Zone

SEPARATOR: Final = "/"
"""Between the labels of a series' name, as in `게토레이/female/20대`."""


class FileSource(Part):
    """A file of past values, below `MLOPS_DATA_DIR`."""

    path: str = Field(description="CSV or Parquet, relative to MLOPS_DATA_DIR")
    time_column: str = "timestamp"
    time_zone: Zone | None = Field(
        default=None,
        description="zone of naive timestamps; without it they are refused",
    )
    pulled_at: AwareDatetime | None = Field(
        default=None, description="when the file was pulled from its source, with zone"
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="column of the table -> column of the file"
    )


class SampleSource(Part):
    """Parameters of the deterministic generator that stands in for a market offline."""

    start: AwareDatetime
    price: float = Field(gt=0, description="price at `start`, in the source's unit")
    volatility_pct: float = Field(gt=0, description="typical standard deviation of a bar, percent")
    reversal: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the last bar's scaled return that reverses: the planted signal",
    )
    switch_at: AwareDatetime | None = Field(
        default=None, description="from here on the planted signal has the opposite sign"
    )
    credible_rmse_ratio: float = Field(
        default=0.95,
        gt=0,
        lt=1,
        description="stands in for evaluation.credible_rmse_ratio on sample data, whose planted "
        "signal is stronger than a market's",
    )
    market_beta: float = Field(default=0.0, description="share of the common market move")
    seed: int = 0


class ShareSample(Part):
    """Parameters of the generator of search shares: counts drawn, then divided and rounded.

    For a panel whose values add up (`sums_to`) and whose period is a day.
    """

    start: AwareDatetime
    volume: float = Field(default=200.0, gt=0, description="searches a day in a typical segment")
    level_sd: float = Field(default=0.02, ge=0, description="daily sd of the log odds of a share")
    seed: int = 0


class ChannelSample(Part):
    """Parameters of the generator of channel counts."""

    start: AwareDatetime
    subscribers: int = Field(gt=0, description="of the channel at `start`")
    seed: int = 0


class BinanceLive(Part):
    """Where live bars of a market are asked for: the exchange's klines."""

    kind: Literal["binance"]
    symbol: str = Field(pattern=r"^[A-Z0-9]+$", description="such as BTCUSDT")
    base_url: str = Field(default="https://api.binance.com", pattern=r"^https?://")


class YahooLive(Part):
    """Where live bars of a listed price are asked for: Yahoo's chart service (unofficial)."""

    kind: Literal["yahoo"]
    symbol: str = Field(min_length=1, description="as Yahoo writes it, such as QQQ, ^VIX, GC=F")
    base_url: str = Field(default="https://query1.finance.yahoo.com", pattern=r"^https?://")


class NaverLive(Part):
    """Where live search shares are asked for: Naver DataLab."""

    kind: Literal["naver"]
    keyword_groups: dict[str, tuple[str, ...]] = Field(
        min_length=1, description="label of the brand -> the words that are searched for"
    )
    decimals: int = Field(default=2, ge=0, description="shares are rounded to so many, as in files")
    base_url: str = Field(default="https://openapi.naver.com", pattern=r"^https?://")

    @field_validator("keyword_groups")
    @classmethod
    def _plain_brands(cls, groups: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {_plain_label(brand): words for brand, words in groups.items()}


class YouTubeLive(Part):
    """Where live channel counts are asked for: the YouTube Data API."""

    kind: Literal["youtube"]
    queries: tuple[str, ...] = Field(min_length=1, description="what videos are searched for")
    base_url: str = Field(default="https://www.googleapis.com", pattern=r"^https?://")


class _SourceBase(Part):
    """What every kind of source has; its raw asset is `raw_<name>`."""

    role: Literal["target", "exogenous"]
    title: str
    unit: str
    period: Duration = Field(description="length of one period: a bar, a day, a week")
    timestamp: Literal["open", "close"] = Field(
        default="open", description="which end of the period the source's timestamp names"
    )
    publication_delay: Duration = timedelta(0)
    calendar: str = Field(
        default="24/7", description="trading calendar by its exchange_calendars name"
    )
    max_age: Duration | None = Field(
        default=None, description="an exogenous value older than this is null"
    )
    plausible: tuple[float, float] = Field(description="smallest and largest credible value")
    start: AwareDatetime = Field(description="first period that is kept, with zone")
    files: tuple[FileSource, ...] = ()

    @model_validator(mode="after")
    def _role_agrees(self) -> Self:
        if self.role == "exogenous" and self.max_age is None:
            raise ValueError("an exogenous source needs `max_age`: how old its value may be")
        if self.role == "target" and self.max_age is not None:
            raise ValueError("`max_age` is for exogenous sources; remove it from the target")
        if self.plausible[0] >= self.plausible[1]:
            raise ValueError(f"`plausible` {self.plausible} must be [low, high] with low < high")
        return self

    @property
    def time_zone(self) -> str:
        """The zone of the source's days and months."""
        return "UTC"

    def series_names(self, name: str) -> tuple[str, ...]:
        """The series of a source called `name`: itself, unless it is a panel."""
        return (name,)


class CandleSource(_SourceBase):
    """Bars of a market: one series."""

    kind: Literal["candles"]
    has_volume: bool = True
    sample: SampleSource | None = None
    live: Annotated[BinanceLive | YahooLive | None, Field(discriminator="kind")] = None


class Total(Part):
    """Which values of a period add up to a constant."""

    total: float = Field(gt=0, description="what they add up to, such as 100")
    within: tuple[Name, ...] = Field(
        min_length=1, description="the keys whose labels make a segment"
    )
    tolerance: float = Field(default=0.03, ge=0, description="rounding that is allowed for")


class ValueSource(_SourceBase):
    """One number a period: a single series, or a panel with one series for each set of labels."""

    kind: Literal["values"]
    zone: Zone = Field(
        default="UTC", description="zone of the source's days; without clock changes"
    )
    keys: dict[Name, tuple[str, ...]] = Field(
        default_factory=dict,
        description="what tells the series of a panel apart: key -> its labels, in order",
    )
    sums_to: Total | None = None
    sample: ShareSample | None = None
    live: NaverLive | None = None

    @field_validator("keys")
    @classmethod
    def _plain_labels(cls, keys: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {key: tuple(_plain_label(label) for label in labels) for key, labels in keys.items()}

    @model_validator(mode="after")
    def _panel_agrees(self) -> Self:
        if self.sums_to is not None:
            unknown = set(self.sums_to.within) - set(self.keys)
            if unknown or set(self.sums_to.within) == set(self.keys):
                raise ValueError(
                    f"`sums_to.within` {list(self.sums_to.within)} must name some of the keys "
                    f"{list(self.keys)}, and leave one whose values are added up"
                )
        offsets = {_offset(self.zone, month) for month in range(1, 13)}
        if len(offsets) > 1:
            raise ValueError(
                f"`zone` {self.zone} changes its clocks, so that its days differ in length; "
                "use a zone without clock changes, such as Asia/Seoul or UTC"
            )
        return self

    @property
    def time_zone(self) -> str:
        """The zone of the source's days and months."""
        return self.zone

    def series_names(self, name: str) -> tuple[str, ...]:
        """Every series of the panel, its labels joined by `SEPARATOR`; `name` without keys."""
        if not self.keys:
            return (name,)
        return tuple(SEPARATOR.join(labels) for labels in itertools.product(*self.keys.values()))

    def segment_of(self, series: str) -> str:
        """The segment whose values add up; the series itself where nothing does."""
        if self.sums_to is None:
            return series
        labels = dict(zip(self.keys, series.split(SEPARATOR), strict=True))
        return SEPARATOR.join(labels[key] for key in self.sums_to.within)


class ChannelSource(_SourceBase):
    """Counts of video channels and their videos, a snapshot at a time."""

    kind: Literal["channels"]
    videos: tuple[FileSource, ...] = Field(
        default=(), description="files of videos; `files` are those of channels"
    )
    sample: ChannelSample | None = None
    live: YouTubeLive | None = None

    @model_validator(mode="after")
    def _is_exogenous(self) -> Self:
        if self.role == "target":
            raise ValueError("channels cannot be a target; use role exogenous")
        return self


Source = CandleSource | ValueSource | ChannelSource
AnySource = Annotated[Source, Field(discriminator="kind")]


def labels_of(series: str, keys: Iterable[str]) -> dict[str, str]:
    """The labels of a series by key; of a series without keys none."""
    names = tuple(keys)
    return dict(zip(names, series.split(SEPARATOR), strict=True)) if names else {}


def _plain_label(label: Any) -> str:  # noqa: ANN401 YAML gives any scalar
    text = unicodedata.normalize("NFC", str(label)).strip()
    if not text or SEPARATOR in text:
        raise ValueError(
            f"label {label!r} must not be empty or hold {SEPARATOR!r}, which separates the labels "
            "of a series; rename it"
        )
    return text


def _offset(zone: str, month: int) -> timedelta | None:
    return datetime(2026, month, 15, tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset()
