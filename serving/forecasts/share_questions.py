"""Shares asked for as people do: a day, an age group, a gender and a brand.

Here: which problem, series, origin and step such words mean. Not here: how a row is forecast
(`selection`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

from serving.deployments import Deployment, Deployments
from serving.domain_errors import ServingError, UnknownNameError, UnusableInputError
from serving.forecasts.schemas import ShareQuestion
from serving.forecasts.selection import Pair, Selection, refuse_seen
from serving.forecasts.work import Computed, Placed, Work

KEYS: Final = frozenset({"age_group", "gender", "brand"})
_DECADE: Final = re.compile(r"(\d+)s")
_SHOWN_DAYS: Final = 40


def problem_of_shares(deployments: Deployments) -> str:
    """The published problem whose series have an age group, a gender and a brand.

    Raises:
        UnknownNameError: there is none.
        UnusableInputError: there are several.
    """
    found = [
        problem
        for problem in deployments.problems
        if (snapshot := deployments.newest_snapshot(problem)) is not None
        and set(snapshot.manifest.series_keys) == KEYS
    ]
    if not found:
        raise UnknownNameError(
            value=", ".join(sorted(KEYS)),
            rule="a published problem must have series by these keys, and none has",
            remedy="ask one of the known problems by its name, or materialise a problem of shares",
            known=deployments.problems,
        )
    if len(found) > 1:
        raise UnusableInputError(
            value=", ".join(sorted(KEYS)),
            rule=f"{len(found)} published problems have series by these keys",
            remedy="ask one of them by its name under /v1/forecasts",
            known=found,
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class ShareOfDay:
    """The share of one brand in one group on one day, from the newest origin that forecasts it."""

    asked: ShareQuestion

    def __call__(self, deployment: Deployment) -> Work:
        """The row of the snapshot that is meant.

        Raises:
            UnknownNameError: a label is not published, or no origin forecasts that day.
            UnusableInputError: it is no date, or the model has seen past that day's origins.
        """
        series = _series(deployment, self.asked)
        day = _day(self.asked.date)
        inputs, refit_at = deployment.snapshot.inputs, deployment.model.card.refit_at
        days = {
            (origin, inputs.step[row]): day_of(deployment, inputs.valid_time[row])
            for origin, found in inputs.rows[series].items()
            for row in range(found.start, found.stop)
        }
        places = [place for place, found in days.items() if found == day]
        if not places:
            known = sorted({found for (origin, _), found in days.items() if origin >= refit_at})
            raise UnknownNameError(
                value=f"date {day.isoformat()}",
                rule=f"forecasts of {series} are published for the days from "
                f"{known[0].isoformat()} to {known[-1].isoformat()}",
                remedy="use one of the known dates",
                known=[found.isoformat() for found in known[:_SHOWN_DAYS]],
            )
        origin, step = max(places)
        refuse_seen(deployment, origin)
        pair: Pair = (series, origin)
        whole = Selection(horizon=step).of(
            deployment, [pair], partial(_no_forecast, self.asked.date)
        )
        return Work(whole.rows, partial(_last, whole))


def day_of(deployment: Deployment, valid_time: datetime) -> date:
    """The day of the source's zone that ends at a valid time.

    The middle of a day is on the same date in UTC as in any zone less than half a day away, so the
    zone need not be known.
    """
    period = timedelta(seconds=deployment.snapshot.manifest.frequency_seconds)
    return (valid_time - period / 2).date()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UnusableInputError(
            value=f"date {text}", rule="there is no such day", remedy="give it as YYYY-MM-DD"
        ) from error


def _series(deployment: Deployment, asked: ShareQuestion) -> str:
    """The series with these labels."""
    keys = deployment.snapshot.manifest.series_keys
    labels = [tuple(series.split("/")) for series in deployment.snapshot.series]
    given = {"age_group": asked.age_group, "gender": asked.gender, "brand": asked.brand}
    return "/".join(
        _label(key, given[key], sorted({label[position] for label in labels}))
        for position, key in enumerate(keys)
    )


def _label(key: str, given: str, known: Sequence[str]) -> str:
    """The known label that is meant: the same, or the only one that begins so."""
    name = unicodedata.normalize("NFC", given)
    if name in known:
        return name
    decade = _DECADE.fullmatch(name)
    stem = decade[1] if decade else name
    found = [
        label
        for label in known
        if label.startswith(stem) and not (decade and label[len(stem) :][:1].isdigit())
    ]
    if len(found) != 1:
        raise UnknownNameError(
            value=f"{key} {given}",
            rule="it must be a label of the published series, or begin as only one of them does",
            remedy="use a known label",
            known=known,
        )
    return found[0]


def _last(whole: Work) -> Computed:
    """The last of the steps that were computed."""
    computed = whole.compute()
    placed = computed.placed
    assert placed is not None, "forecasts from the snapshot are placed"
    return Computed(
        computed.quantiles[-1:],
        Placed(
            placed.series[-1:],
            placed.origin[-1:],
            placed.last_observed[-1:],
            placed.valid_time[-1:],
            placed.step[-1:],
        ),
    )


def _no_forecast(day: str, error: ValueError) -> ServingError:
    return UnusableInputError(
        value=f"date {day}",
        rule=f"published inputs must give a finite forecast: {error}",
        remedy="use another date",
    )
