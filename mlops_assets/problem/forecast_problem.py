"""The forecast problem: the one description that every stage reads.

Here: the plain data classes of a problem's YAML file, the rules that make it consistent, and
reading it. Not here: its sources (`sources`), reading the file for Dagster
(`components.forecast_pipeline`), where data is stored (`storage`), or what any of it means
numerically (`features`, `training`, `evaluation`).
"""

from __future__ import annotations

import fnmatch
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from mlops_assets.problem.parts import Duration, Name, Part, ProblemError, Zone
from mlops_assets.problem.rules import Band, Control, Drift, Evaluation, Freshness, Promotion
from mlops_assets.problem.sources import AnySource, Source, ValueSource

_KINDS = ("candles", "values", "channels")


class Target(Part):
    """What is forecast: a column of the target source and the scale it is modelled on."""

    source: Name
    column: Literal["close", "value"] = "close"
    transform: Literal["log_return", "difference", "share"] = Field(
        default="log_return",
        description="what models forecast: the log return from the last value, the difference to "
        "it, or a share of what the segment adds up to",
    )


class FeatureGroup(Part):
    """One family of features; `kind` names a builder of the `features` package."""

    kind: Name
    source: Name
    params: dict[str, Any] = Field(default_factory=dict)


class EventCalendar(Part):
    """Scheduled announcements, known in advance: wall-clock times in a zone."""

    zone: Zone
    time: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    dates: tuple[date, ...] = Field(min_length=1)


class ScaleModel(Part):
    """The volatility forecast by which targets, point forecasts and bands are scaled."""

    features: Name
    alpha: float = Field(gt=0)
    clip_sd: float = Field(default=8.0, gt=0, description="standardised inputs are cut at +- this")
    window: Duration | Literal["all"] = "all"


class Candidate(Part):
    """One recipe to be compared: a model family, its inputs and parameters."""

    family: Name
    baseline: bool = False
    promotable: bool = Field(
        default=True, description="false: for comparison only, the gate never lets it serve"
    )
    enabled: bool = Field(
        default=True, description="false: left out of everything, as if it were not in the file"
    )
    features: Name | None = Field(default=None, description="feature set; some families need none")
    scaled_target: bool = Field(
        default=True, description="divide the target by the forecast scale, where there is one"
    )
    target_clip: float | None = Field(default=None, gt=0)
    reference: str | None = Field(
        default=None, description="feature that is subtracted from the target and added back"
    )
    window: Duration | Literal["all"] = "all"
    params: dict[str, Any] = Field(default_factory=dict)


class ForecastProblem(Part):
    """A forecast problem: what is forecast, from which sources, how often, and by which rules."""

    name: Name
    title: str
    description: str
    owners: tuple[str, ...]
    frequency: Duration
    horizon: int = Field(ge=1, description="steps ahead")
    target: Target
    sources: dict[Name, AnySource]
    events: dict[Name, EventCalendar] = Field(default_factory=dict)
    features: tuple[FeatureGroup, ...]
    feature_sets: dict[Name, tuple[str, ...]] = Field(
        description="named sets of feature columns; `*` matches any run of characters"
    )
    scale: ScaleModel | None = None
    candidates: dict[Name, Candidate]
    band: Band
    evaluation: Evaluation
    promotion: Promotion
    retrain_cron: str
    retrain_cooldown: Duration = Field(
        default=timedelta(days=1), description="drift retrains at most once in so long"
    )
    control: Control = Control()
    drift: Drift | None = Field(default=None, description="without it there is no drift report")
    freshness: dict[Literal["raw", "features", "models"], Freshness]

    @property
    def target_source(self) -> Source:
        """The source whose values are forecast."""
        return self.sources[self.target.source]

    @property
    def zone(self) -> str:
        """The zone in which a date given by hand begins: the target's."""
        return self.target_source.time_zone

    @property
    def series(self) -> tuple[str, ...]:
        """Every series that is forecast, in the order of the target's labels."""
        return self.target_source.series_names(self.target.source)

    @property
    def series_keys(self) -> tuple[str, ...]:
        """What tells the series apart, such as brand, gender, age group; () for a single series."""
        source = self.target_source
        return tuple(source.keys) if isinstance(source, ValueSource) else ()

    def segment_of(self, series: str) -> str:
        """The segment of a series: those with one segment add up to a constant."""
        source = self.target_source
        return source.segment_of(series) if isinstance(source, ValueSource) else series

    @property
    def gate_leads(self) -> tuple[int, ...]:
        """The leads at which a challenger must prove better."""
        return self.promotion.leads or self.evaluation.leads

    @property
    def exogenous(self) -> dict[str, Source]:
        """The other sources, by name, in the order of the file."""
        return {k: s for k, s in self.sources.items() if s.role == "exogenous"}

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the candidates that the others must beat."""
        return tuple(name for name, c in self.candidates.items() if c.baseline)

    @property
    def compared_only(self) -> tuple[str, ...]:
        """Names of the candidates that are on the leaderboard and may never serve."""
        return tuple(name for name, c in self.candidates.items() if not c.promotable)

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

    @field_validator("candidates")
    @classmethod
    def _leave_out_disabled(cls, candidates: dict[str, Candidate]) -> dict[str, Candidate]:
        return {name: candidate for name, candidate in candidates.items() if candidate.enabled}

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        self._check_sources()
        self._check_target()
        for group in self.features:
            if group.source not in (*self.sources, "calendar", "events"):
                raise ValueError(
                    f"features: {group.kind} names source {group.source!r}; "
                    f"use one of {', '.join(self.sources)}, calendar, events"
                )
        if self.scale is not None and self.scale.features not in self.feature_sets:
            raise ValueError(
                f"scale.features {self.scale.features!r} is no feature set; "
                f"use one of {', '.join(self.feature_sets)}"
            )
        self._check_candidates()
        if max(self.evaluation.leads) > self.horizon or min(self.evaluation.leads) < 1:
            raise ValueError(
                f"evaluation.leads {self.evaluation.leads} must lie between 1 and horizon "
                f"{self.horizon}; raise horizon or drop the lead"
            )
        strange = set(self.gate_leads) - set(self.evaluation.leads)
        if strange:
            raise ValueError(
                f"promotion.leads {self.promotion.leads} names {sorted(strange)}, which "
                f"evaluation.leads {self.evaluation.leads} does not; the gate reads evaluated "
                "leads only; add it there or drop it here"
            )
        untried = set(range(1, self.horizon + 1)) - set(self.evaluation.leads)
        if self.band.method == "conformal" and untried:
            raise ValueError(
                f"evaluation.leads {self.evaluation.leads} leave out {sorted(untried)[:5]} of "
                f"horizon {self.horizon}; the conformal band of a lead comes from its own errors; "
                "evaluate every lead, or lower the horizon"
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
        if self.target_source.period != self.frequency:
            raise ValueError(
                f"frequency {self.frequency} differs from the period {self.target_source.period} "
                f"of source {self.target.source!r}; make them equal"
            )

    def _check_target(self) -> None:
        source, target = self.target_source, self.target
        wanted = "close" if source.kind == "candles" else "value"
        if target.column != wanted:
            raise ValueError(
                f"target.column {target.column!r} is no column of kind {source.kind}; "
                f"use {wanted!r}"
            )
        has_total = isinstance(source, ValueSource) and source.sums_to is not None
        if (target.transform == "share") != has_total:
            raise ValueError(
                f"target.transform {target.transform!r} with `sums_to` "
                f"{'set' if has_total else 'missing'} in source {target.source!r}; shares need "
                "`sums_to`, and what sums to a constant is forecast as `share`; correct one of them"
            )
        if (self.band.method == "angular") != (target.transform == "share"):
            raise ValueError(
                f"band.method {self.band.method!r} with target.transform {target.transform!r}; "
                "shares take the angular band, all others the conformal one; correct one of them"
            )
        if self.scale is not None and (
            target.transform != "log_return" or source.kind != "candles"
        ):
            raise ValueError(
                f"scale models the volatility of candles, and the target is a {target.transform} "
                f"of {source.kind}; remove `scale`"
            )

    def _check_candidates(self) -> None:
        for name, candidate in self.candidates.items():
            if candidate.features is not None and candidate.features not in self.feature_sets:
                raise ValueError(
                    f"candidates.{name}.features {candidate.features!r} is no feature set; "
                    f"use one of {', '.join(self.feature_sets)}"
                )
        barred = [n for n, c in self.candidates.items() if c.baseline and not c.promotable]
        if barred:
            raise ValueError(
                f"candidates.{barred[0]} is a baseline with `promotable: false`; a baseline must "
                "be able to serve when nothing proves better; drop one of the two keys"
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
        key = ".".join(_place(fault["loc"])) or "(the whole file)"
        remedy = {
            "extra_forbidden": "no such key; remove it or correct its spelling",
            "missing": "this key is required; add it",
        }.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        shown = "" if fault["type"] in {"missing", "value_error"} else f" = {fault['input']!r:.80}"
        lines.append(f"{path}: {key}{shown}: {remedy}")
    return "\n".join(lines)


def _place(loc: tuple[int | str, ...]) -> list[str]:
    """The keys of a fault as the file has them: pydantic adds the kind of a source as a level."""
    names = [str(part) for part in loc]
    if names[:1] == ["sources"] and len(names) > 2 and names[2] in _KINDS:
        del names[2]
    return names
