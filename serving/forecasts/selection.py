"""Forecasts from origins of the snapshot: which rows a question means, and what they give.

Here: the newest origin, one origin, a range of origins; horizon, siblings of shares, and the limit
on rows. Not here: features of the caller's own (`features`) and the steps to target units, which
every path takes from `contract.steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import numpy as np

from serving.contract.steps import IntArray, needs_segment
from serving.deployments import Deployment
from serving.domain_errors import (
    NotReadyError,
    ServingError,
    UnknownNameError,
    UnusableInputError,
)
from serving.forecasts.work import Computed, Placed, Work

_SHOWN_ORIGINS: Final = 5
SHOWN_SERIES: Final = 10

Pair = tuple[str, datetime]
"""A series and one of its published origins."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked of the snapshot; with neither origin nor range, the newest origins."""

    series: Sequence[str] | None = None
    origin: datetime | None = None
    begin: datetime | None = None
    end: datetime | None = None
    horizon: int | None = None
    max_rows: int = 5000

    def __call__(self, deployment: Deployment) -> Work:
        """The rows of `deployment` that are meant.

        Raises:
            UnknownNameError: a series, or an origin, is not published.
            UnusableInputError: the model was fitted on data later than an origin, the horizon is
                longer than the model's, or there are more rows than one answer may have.
        """
        names = known_series(deployment, self.series)
        _refuse_horizon(deployment, self.horizon)
        if self.begin is not None:
            pairs = _in_range(deployment, names, begin=self.begin, end=self.end)
        elif self.origin is not None:
            pairs = _at_origin(deployment, names, self.origin)
        else:
            newest = deployment.snapshot.newest_origin
            return self.of(
                deployment, [(n, newest(n)) for n in names], partial(_no_news, deployment)
            )
        return self.of(deployment, pairs, partial(_no_forecast, pairs))

    def of(
        self,
        deployment: Deployment,
        pairs: Sequence[Pair],
        refusal: Callable[[ValueError], ServingError],
    ) -> Work:
        """The work for pairs that are published; `refusal` says what a row without result means.

        Raises:
            UnusableInputError: there are more rows than one answer may have.
        """
        rows = _rows(deployment, pairs, self.horizon)
        if len(rows) > self.max_rows:
            raise UnusableInputError(
                value=f"{len(rows)} forecasts",
                rule=f"one answer may have {self.max_rows}",
                remedy="ask for fewer series, a shorter horizon or a shorter range of origins",
            )
        return Work(len(rows), partial(_compute, deployment, pairs, rows, self.horizon, refusal))


def known_series(deployment: Deployment, series: Sequence[str] | None) -> Sequence[str]:
    """The series asked for, each once, in the order of the snapshot; None means all.

    Raises:
        UnknownNameError: one is not published.
    """
    published = deployment.snapshot.inputs.rows
    if series is None:
        return deployment.snapshot.series
    for name in series:
        if name not in published:
            raise UnknownNameError(
                value=f"series {name}",
                rule=f"it must be one of the {len(published)} published series of "
                f"{deployment.model.card.problem}",
                remedy="use a known series, or leave it out for all",
                known=deployment.snapshot.series[:SHOWN_SERIES],
            )
    return sorted(set(series))


def refuse_seen(deployment: Deployment, origin: datetime) -> None:
    """Refuse an origin that the model has seen past.

    Raises:
        UnusableInputError: the model was fitted on data later than the origin.
    """
    refit_at = deployment.model.card.refit_at
    if origin < refit_at:
        raise UnusableInputError(
            value=f"origin {origin.isoformat()}",
            rule=f"version {deployment.model.registered.version} was fitted on data up to "
            f"{refit_at.isoformat()}, so it has seen what came after that origin",
            remedy="use an origin from then on, leave it out for the newest, or ask the backtest, "
            "which holds forecasts of versions fitted before",
        )


def _refuse_horizon(deployment: Deployment, horizon: int | None) -> None:
    longest = deployment.model.card.horizon
    if horizon is not None and horizon > longest:
        raise UnusableInputError(
            value=f"horizon {horizon}",
            rule=f"version {deployment.model.registered.version} forecasts {longest} steps ahead",
            remedy=f"use 1 to {longest}, or leave it out for all",
        )


def _at_origin(deployment: Deployment, names: Sequence[str], origin: datetime) -> list[Pair]:
    rows = deployment.snapshot.inputs.rows
    pairs = [(name, origin) for name in names if origin in rows[name]]
    if not pairs:
        raise _unknown_origin(deployment, names, f"origin {origin.isoformat()}")
    refuse_seen(deployment, origin)
    return pairs


def _in_range(
    deployment: Deployment, names: Sequence[str], *, begin: datetime, end: datetime | None
) -> list[Pair]:
    if end is not None and begin >= end:
        raise UnusableInputError(
            value=f"from {begin.isoformat()} to {end.isoformat()}",
            rule="the interval [from, to) needs an end after its start",
            remedy="give an earlier `from` or a later `to`",
        )
    rows = deployment.snapshot.inputs.rows
    pairs = [
        (name, origin)
        for name in names
        for origin in rows[name]
        if begin <= origin and (end is None or origin < end)
    ]
    if not pairs:
        until = "" if end is None else f" to {end.isoformat()}"
        raise _unknown_origin(deployment, names, f"origins from {begin.isoformat()}{until}")
    refuse_seen(deployment, min(origin for _, origin in pairs))
    return pairs


def _unknown_origin(deployment: Deployment, names: Sequence[str], value: str) -> UnknownNameError:
    rows = deployment.snapshot.inputs.rows
    published = sorted({origin for name in names for origin in rows[name]})
    return UnknownNameError(
        value=value,
        rule=f"it must be one of the {len(published)} published origins from "
        f"{published[0].isoformat()} to {published[-1].isoformat()}",
        remedy="use a known origin, or leave it out for the newest",
        known=[o.isoformat() for o in published[-_SHOWN_ORIGINS:]],
    )


def _rows(deployment: Deployment, pairs: Sequence[Pair], horizon: int | None) -> IntArray:
    """The snapshot's rows of the pairs, in their order."""
    inputs = deployment.snapshot.inputs
    if len(pairs) == 1:
        rows = inputs.at(*pairs[0])
    else:
        rows = np.concatenate([inputs.at(series, origin) for series, origin in pairs])
    if horizon is None or horizon >= deployment.model.card.horizon:
        return rows
    within = [row for row in rows.tolist() if inputs.step[row] <= horizon]
    return np.array(within, dtype=np.int64)


def _compute(
    deployment: Deployment,
    pairs: Sequence[Pair],
    rows: IntArray,
    horizon: int | None,
    refusal: Callable[[ValueError], ServingError],
) -> Computed:
    """Forecasts of rows, in their order.

    Raises:
        ServingError: as `refusal` says, when a forecast is not finite or a share lacks series.
    """
    inputs = deployment.snapshot.inputs
    try:
        if needs_segment(deployment.model.card.steps):
            every = _rows(deployment, _with_siblings(deployment, pairs), horizon)
            # `every` ascends, since pairs and rows are sorted by series, origin and step.
            segment, keep = inputs.segments.code[every], np.searchsorted(every, rows)
        else:
            every, segment, keep = rows, None, None
        quantiles = deployment.model.quantiles(
            deployment.vectors(every), inputs.last_value[every], segment
        )
    except ValueError as error:
        raise refusal(error) from error
    chosen = rows.tolist()
    placed = Placed(
        series=[s for s, o in pairs for _ in range(_count(deployment, s, o, horizon))],
        origin=[inputs.origin[row] for row in chosen],
        last_observed=[inputs.last_observed[row] for row in chosen],
        valid_time=[inputs.valid_time[row] for row in chosen],
        step=[inputs.step[row] for row in chosen],
    )
    return Computed(quantiles if keep is None else quantiles[keep], placed)


def _count(deployment: Deployment, series: str, origin: datetime, horizon: int | None) -> int:
    """How many steps of a pair are within the horizon."""
    inputs = deployment.snapshot.inputs
    found = inputs.rows[series][origin]
    if horizon is None:
        return int(found.stop - found.start)
    return sum(1 for step in inputs.step[found] if step <= horizon)


def _with_siblings(deployment: Deployment, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with every series of their segments, so that one alone is forecast as among all."""
    segments, rows = deployment.snapshot.inputs.segments, deployment.snapshot.inputs.rows
    for series, origin in pairs:
        if not segments.complete[rows[series][origin]].all():
            raise ValueError(
                f"at {origin.isoformat()} the segment of {series} lacks series or steps, and "
                f"shares need all of {', '.join(segments.siblings[series][:SHOWN_SERIES])}"
            )
    every = {(sibling, origin) for name, origin in pairs for sibling in segments.siblings[name]}
    return sorted(every)


def _no_news(deployment: Deployment, error: ValueError) -> ServingError:
    return NotReadyError(
        value=f"snapshot {deployment.snapshot.manifest.snapshot_id}",
        rule=f"its newest inputs must give a finite forecast: {error}",
        remedy="materialise `features`, `forecasts` and `published`",
    )


def _no_forecast(pairs: Sequence[Pair], error: ValueError) -> ServingError:
    origins = sorted({origin for _, origin in pairs})
    last = f" to {origins[-1].isoformat()}" if len(origins) > 1 else ""
    return UnusableInputError(
        value=f"origin {origins[0].isoformat()}{last}",
        rule=f"published inputs must give a finite forecast: {error}",
        remedy="use other origins",
    )
