"""The forecast problem: the one description that every stage reads.

Here: the plain data classes of a problem's YAML file and the rules that make it consistent.
Not here: reading the file for Dagster (`components.forecast_pipeline`), where data is stored
(`storage`), or what any of it means numerically (`features`, `training`, `evaluation`).
"""

from __future__ import annotations

import fnmatch
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|m|h|d|w)\s*$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class ProblemError(ValueError):
    """A problem's YAML file cannot be used; the message names file, key, rule and remedy."""


def parse_duration(value: object) -> object:
    """Turn `"90m"`, `"1h"`, `"7d"` into a timedelta; other objects pass through to pydantic."""
    if isinstance(value, str) and (match := _DURATION.match(value)):
        return timedelta(**{_UNITS[match.group(2)]: float(match.group(1))})
    if isinstance(value, timedelta):
        return value
    raise ValueError(
        f"{value!r} is not a duration; write a number and a unit out of s, m, h, d, w, such as 90m"
    )


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


def known_zone(name: str) -> str:
    """Refuse a time zone that does not exist."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone; use a name such as Asia/Seoul") from error
    return name


Zone = Annotated[str, AfterValidator(known_zone)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileSource(_Part):
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


class SampleSource(_Part):
    """Parameters of the deterministic generator that stands in for the source offline."""

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


class BinanceLive(_Part):
    """Where live bars of a market are asked for: the exchange's klines."""

    kind: Literal["binance"]
    symbol: str = Field(pattern=r"^[A-Z0-9]+$", description="such as BTCUSDT")
    base_url: str = Field(default="https://api.binance.com", pattern=r"^https?://")


class YahooLive(_Part):
    """Where live bars of a listed price are asked for: Yahoo's chart service (unofficial)."""

    kind: Literal["yahoo"]
    symbol: str = Field(min_length=1, description="as Yahoo writes it, such as QQQ, ^VIX, GC=F")
    base_url: str = Field(default="https://query1.finance.yahoo.com", pattern=r"^https?://")


class Source(_Part):
    """One source of bars; its raw asset is `raw_<name>`."""

    kind: Literal["candles"]
    role: Literal["target", "exogenous"]
    title: str
    unit: str
    bar: Duration
    timestamp: Literal["open", "close"] = Field(
        default="open", description="which end of the bar the source's timestamp names"
    )
    publication_delay: Duration = timedelta(0)
    calendar: str = Field(
        default="24/7", description="trading calendar by its exchange_calendars name"
    )
    max_age: Duration | None = Field(
        default=None, description="an exogenous value older than this is null"
    )
    plausible: tuple[float, float] = Field(description="smallest and largest credible price")
    has_volume: bool = True
    start: AwareDatetime = Field(description="first month that is kept, with zone")
    files: tuple[FileSource, ...] = ()
    sample: SampleSource | None = None
    live: BinanceLive | YahooLive | None = Field(default=None, discriminator="kind")

    @model_validator(mode="after")
    def _role_agrees(self) -> Self:
        if self.role == "exogenous" and self.max_age is None:
            raise ValueError("an exogenous source needs `max_age`: how old its value may be")
        if self.role == "target" and self.max_age is not None:
            raise ValueError("`max_age` is for exogenous sources; remove it from the target")
        if self.plausible[0] >= self.plausible[1]:
            raise ValueError(f"`plausible` {self.plausible} must be [low, high] with low < high")
        return self


class Target(_Part):
    """What is forecast: a column of the target source and the scale it is modelled on."""

    source: Name
    column: Literal["close"] = "close"
    transform: Literal["log_return"] = "log_return"


class FeatureGroup(_Part):
    """One family of features; `kind` names a builder of the `features` package."""

    kind: Name
    source: Name
    params: dict[str, Any] = Field(default_factory=dict)


class EventCalendar(_Part):
    """Scheduled announcements, known in advance: wall-clock times in a zone."""

    zone: Zone
    time: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    dates: tuple[date, ...] = Field(min_length=1)


class ScaleModel(_Part):
    """The volatility forecast by which targets, point forecasts and bands are scaled."""

    features: Name
    alpha: float = Field(gt=0)
    clip_sd: float = Field(default=8.0, gt=0, description="standardised inputs are cut at +- this")
    window: Duration | Literal["all"] = "all"


class Candidate(_Part):
    """One recipe to be compared: a model family, its inputs and parameters."""

    family: Name
    baseline: bool = False
    features: Name | None = Field(default=None, description="feature set; baselines need none")
    scaled_target: bool = True
    target_clip: float | None = Field(default=None, gt=0)
    window: Duration | Literal["all"] = "all"
    params: dict[str, Any] = Field(default_factory=dict)


class Band(_Part):
    """The prediction band: a conformal quantile of past scaled errors times the forecast scale."""

    coverage: float = Field(default=0.9, gt=0, lt=1)
    window: int = Field(gt=0, description="number of verified periods behind the quantile")
    calibration: Duration = Field(
        description="out-of-sample folds before the first evaluated one start the quantile"
    )


class Evaluation(_Part):
    """Rolling-origin backtest: refits on a fixed grid, forecasts until the next refit."""

    refit_every: Duration
    anchor: AwareDatetime = Field(description="an instant of the refit grid")
    folds: int = Field(ge=1, description="refits that are evaluated when no start is given")
    loss: Literal["absolute_error", "squared_error"] = "absolute_error"
    guards: tuple[Literal["absolute_error", "squared_error"], ...] = ("squared_error",)
    leads: tuple[int, ...] = (1,)
    credible_rmse_ratio: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="RMSE over the last value's below which a result is a leak until explained",
    )


class Promotion(_Part):
    """The gate's error rates."""

    first_look_alpha: float = Field(default=0.05, gt=0, lt=1)
    yearly_error_budget: float = Field(default=0.05, gt=0, lt=1)
    looks_per_year: int = Field(ge=1)
    guard_alpha: float = Field(default=0.05, gt=0, lt=1)


class Freshness(_Part):
    """When an asset counts as late."""

    warn_after: Duration
    fail_after: Duration

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.warn_after >= self.fail_after:
            raise ValueError("`warn_after` must be shorter than `fail_after`")
        return self


class ForecastProblem(_Part):
    """A forecast problem: what is forecast, from which sources, how often, and by which rules."""

    name: Name
    title: str
    description: str
    owners: tuple[str, ...]
    frequency: Duration
    horizon: int = Field(ge=1, description="steps ahead")
    target: Target
    sources: dict[Name, Source]
    events: dict[Name, EventCalendar] = Field(default_factory=dict)
    features: tuple[FeatureGroup, ...]
    feature_sets: dict[Name, tuple[str, ...]] = Field(
        description="named sets of feature columns; `*` matches any run of characters"
    )
    scale: ScaleModel
    candidates: dict[Name, Candidate]
    band: Band
    evaluation: Evaluation
    promotion: Promotion
    retrain_cron: str
    freshness: dict[Literal["raw", "features", "models"], Freshness]

    @property
    def target_source(self) -> Source:
        """The source whose values are forecast."""
        return self.sources[self.target.source]

    @property
    def exogenous(self) -> dict[str, Source]:
        """The other sources, by name, in the order of the file."""
        return {k: s for k, s in self.sources.items() if s.role == "exogenous"}

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the candidates that the others must beat."""
        return tuple(name for name, c in self.candidates.items() if c.baseline)

    def feature_columns(self, feature_set: str, available: list[str]) -> list[str]:
        """The columns of `available` that belong to a feature set, in the order of `available`.

        Raises:
            ProblemError: a pattern of the set matches no column.
        """
        patterns = self.feature_sets[feature_set]
        for pattern in patterns:
            if not fnmatch.filter(available, pattern):
                raise ProblemError(
                    f"{self.name}: feature_sets.{feature_set} names {pattern!r}, which matches no "
                    f"feature; have {', '.join(available[:8])} ...; correct the pattern"
                )
        return [c for c in available if any(fnmatch.fnmatchcase(c, p) for p in patterns)]

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        self._check_sources()
        for group in self.features:
            if group.source not in (*self.sources, "calendar", "events"):
                raise ValueError(
                    f"features: {group.kind} names source {group.source!r}; "
                    f"use one of {', '.join(self.sources)}, calendar, events"
                )
        if self.scale.features not in self.feature_sets:
            raise ValueError(
                f"scale.features {self.scale.features!r} is no feature set; "
                f"use one of {', '.join(self.feature_sets)}"
            )
        self._check_candidates()
        if max(self.evaluation.leads) > self.horizon:
            raise ValueError(
                f"evaluation.leads {self.evaluation.leads} reach past horizon {self.horizon}; "
                "raise horizon or drop the lead"
            )
        return self

    def _check_sources(self) -> None:
        if self.target.source not in self.sources:
            raise ValueError(
                f"target.source {self.target.source!r} is not in sources; "
                f"use one of {', '.join(self.sources)}"
            )
        targets = [name for name, s in self.sources.items() if s.role == "target"]
        if targets != [self.target.source]:
            raise ValueError(
                f"sources with role target are {targets}, target.source is "
                f"{self.target.source!r}; exactly that one must have role target"
            )
        if self.target_source.bar != self.frequency:
            raise ValueError(
                f"frequency {self.frequency} differs from the bar {self.target_source.bar} of "
                f"source {self.target.source!r}; make them equal"
            )

    def _check_candidates(self) -> None:
        for name, candidate in self.candidates.items():
            if candidate.features is not None and candidate.features not in self.feature_sets:
                raise ValueError(
                    f"candidates.{name}.features {candidate.features!r} is no feature set; "
                    f"use one of {', '.join(self.feature_sets)}"
                )
        if not self.baselines:
            raise ValueError(
                "candidates: none is a baseline; set `baseline: true` on at least one, "
                "since every promotion is measured against the strongest baseline"
            )


def load_problem(path: Path) -> ForecastProblem:
    """Read a problem's `defs.yaml`.

    Raises:
        ProblemError: the file is no YAML mapping with `attributes`, or a key is unknown, missing
            or contradicts another; the message names the file, the key, the rule and the remedy.
    """
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
        raise ProblemError(
            f"{path}: has no mapping `attributes`; write `type:` and `attributes:` as in "
            "`mlops new NAME` prints"
        )
    try:
        return ForecastProblem.model_validate(document["attributes"])
    except ValidationError as error:
        raise ProblemError(describe_errors(path, error)) from error


def describe_errors(path: Path | str, error: ValidationError) -> str:
    """One line per fault of a problem file: file, key, rule and remedy."""
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"]) or "(the whole file)"
        remedy = {
            "extra_forbidden": "no such key; remove it or correct its spelling",
            "missing": "this key is required; add it",
        }.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        shown = "" if fault["type"] in {"missing", "value_error"} else f" = {fault['input']!r:.80}"
        lines.append(f"{path}: {key}{shown}: {remedy}")
    return "\n".join(lines)


def floor_to_grid(instant: datetime, *, anchor: datetime, every: timedelta) -> datetime:
    """The latest instant of the grid `anchor + k * every` that is not after `instant` (UTC)."""
    return anchor.astimezone(UTC) + ((instant - anchor) // every) * every
