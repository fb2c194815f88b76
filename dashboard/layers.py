"""Forecasts that are laid over a chart: which, and their rows.

Here: whose forecasts a layer is, how they are asked for, and how well they did. Not here: how they
are drawn (`market_chart`) and chosen (`market`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Final, Literal

from dashboard.api import ApiRefusalError, Document
from dashboard.questions import Parameter, ask, ask_all
from dashboard.stamps import instant, written

Kind = Literal["champion", "candidate", "version"]

PALETTE: Final = (
    "#4c78a8", "#b279a2", "#e0a100", "#72b7b2", "#9d755d", "#ff9da6", "#54a24b", "#8a8ad6",
)  # fmt: skip
"""Colours of layers: told apart on white and on black, none of them a candle's."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Whose forecasts: the champion's of each time, a candidate's, or a version's."""

    kind: Kind
    name: str = ""
    """The candidate or the version; empty for the champion."""
    label: str = ""
    """What people read."""
    colour: str = PALETTE[0]

    @property
    def key(self) -> str:
        """What tells it from other layers."""
        return f"{self.kind}-{self.name}"


@dataclass(frozen=True, slots=True)
class Span:
    """Which stretch of one series is shown."""

    problem: str
    series: str
    since: datetime
    """First origin."""
    before: datetime | None
    """Origins end before this; None is open."""
    step: int = 1

    @property
    def query(self) -> dict[str, Parameter]:
        """Series and interval as parameters of an address."""
        ends = None if self.before is None else written(self.before)
        return {"series": self.series, "from": written(self.since), "to": ends}


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How forecasts did where the outcome is known; errors in the problem's unit."""

    n: int
    mae: float
    rmse: float
    coverage: float
    """Share of outcomes inside the band, 0 to 1."""
    mae_last_value: float
    """Of saying the last value, on the same rows."""


def free_colour(layers: Sequence[Layer]) -> str:
    """The first colour that no layer has; they begin anew when all are taken."""
    taken = {layer.colour for layer in layers}
    return next((c for c in PALETTE if c not in taken), PALETTE[len(layers) % len(PALETTE)])


def rows_of(layer: Layer, span: Span) -> list[Document]:
    """The layer's forecasts with origin in the span, ascending by origin.

    Champions' and candidates' are as they were made. A version of which none were published is
    asked what it says from each origin that it has not seen.

    Raises:
        ApiRefusalError: there are none.
    """
    root = f"/v1/forecasts/{span.problem}"
    query = {**span.query, "step": span.step}
    if layer.kind == "champion":
        return list(ask_all(f"{root}/champion", **query)["rows"])
    try:
        return list(ask_all(f"{root}/history", **query, **{layer.kind: layer.name})["rows"])
    except ApiRefusalError as refusal:
        if layer.kind != "version" or refusal.status != 404:
            raise
    return _computed(layer.name, span)


def accuracy(rows: Sequence[Document], values: Mapping[datetime, float]) -> Accuracy | None:
    """How forecasts did; None where nothing came true.

    Args:
        rows: forecasts of the API.
        values: valid time -> the value that was observed.
    """
    scored = [
        (row, values[instant(row["valid_time"])], values[instant(row["last_observed"])])
        for row in rows
        if row["point"] is not None
        and instant(row["valid_time"]) in values
        and instant(row["last_observed"]) in values
    ]
    if not scored:
        return None
    n = len(scored)
    errors = [row["point"] - actual for row, actual, _ in scored]
    return Accuracy(
        n=n,
        mae=sum(abs(error) for error in errors) / n,
        rmse=sqrt(sum(error * error for error in errors) / n),
        coverage=sum(row["lower"] <= actual <= row["upper"] for row, actual, _ in scored) / n,
        mae_last_value=sum(abs(last - actual) for _, actual, last in scored) / n,
    )


def _computed(version: str, span: Span) -> list[Document]:
    """What a version says from origins that are no earlier than the end of its training data."""
    served = ask(f"/v1/models/{span.problem}", version=version)
    since = max(span.since, instant(served["refit_at"]))
    if span.before is not None and span.before <= since:
        return []
    query = {**span.query, "from": written(since), "horizon": span.step, "version": version}
    found = ask(f"/v1/forecasts/{span.problem}", **query)["forecasts"]
    return [row for row in found if row["step"] == span.step]
