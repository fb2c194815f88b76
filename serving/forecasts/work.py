"""What a question comes to once a deployment is chosen: rows to compute, and the columns computed.

Here: the three forms that every question shares, so that a shadow can be asked what its champion
was. Not here: the questions themselves (`selection`, `features`, `share_questions`).

What is made for every request is a msgspec structure, which costs a tenth of a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from serving.contract.steps import FloatArray
from serving.deployments import Deployment
from serving.forecasts.schemas import AssumedInput


@dataclass(frozen=True, slots=True)
class Placed:
    """Where forecasts from the snapshot belong: one entry for each forecast in every column."""

    series: Sequence[str]
    origin: Sequence[datetime]
    last_observed: Sequence[datetime]
    valid_time: Sequence[datetime]
    step: Sequence[int]


class Computed(msgspec.Struct, frozen=True):
    """Forecasts of one question."""

    quantiles: FloatArray
    """Shape (forecasts, 3): lower, point, upper in target units."""
    placed: Placed | None = None
    """None for forecasts from features, which are of no origin."""
    series: str | None = None
    """The series that was named beside features."""
    assumed: Sequence[AssumedInput] = ()
    """Inputs that were taken from the snapshot since they were not given."""


class Work(msgspec.Struct, frozen=True):
    """A question that fits a deployment."""

    rows: int
    """Rows that the model is called with."""
    compute: Callable[[], Computed]
    """Calls the model.

    Raises:
        ServingError: the inputs give no finite forecast.
    """


Question = Callable[[Deployment], Work]
"""Prepares the work for a deployment.

Raises:
    ServingError: the deployment has no answer to it.
"""
