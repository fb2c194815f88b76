"""Forecasts from a deployment: the newest, from a published origin, or from given features.

Here: pure functions of a deployment, the question and the present instant. Not here: HTTP
(`router`), and the steps to target units, which every path takes from `contract.steps`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from serving.contract.model_card import ModelCard
from serving.contract.steps import FloatArray, Step, needs_segment
from serving.deployments import Deployment
from serving.domain_errors import NotReadyError, UnknownNameError, UnusableInputError
from serving.forecasts.schemas import AssumedInput, FeatureForecast, Forecast
from serving.provenance import provenance

_SHOWN_ORIGINS = 5
_SHOWN_SERIES = 10


def latest(deployment: Deployment, *, series: str | None, now: datetime) -> list[Forecast]:
    """Forecasts from each series' newest origin.

    Raises:
        UnknownNameError: the series is not published.
        NotReadyError: the published inputs give no finite forecast.
    """
    snapshot = deployment.snapshot
    wanted = [(name, snapshot.newest_origin(name)) for name in _series(deployment, series)]
    try:
        return _forecasts(deployment, wanted, now=now)
    except ValueError as error:
        raise NotReadyError(
            value=f"snapshot {snapshot.manifest.snapshot_id}",
            rule=f"its newest inputs must give a finite forecast: {error}",
            remedy="materialise `features`, `forecasts` and `published`",
        ) from error


def from_origin(
    deployment: Deployment, *, series: str | None, origin: datetime, now: datetime
) -> list[Forecast]:
    """Forecasts from a published origin that the model has not seen past.

    Raises:
        UnknownNameError: the series, or the origin, is not published.
        UnusableInputError: the model was fitted on data later than the origin, or the inputs of the
            origin give no finite forecast.
    """
    rows = deployment.snapshot.inputs.rows
    wanted = [(name, origin) for name in _series(deployment, series) if origin in rows[name]]
    if not wanted:
        published = sorted({o for name in _series(deployment, series) for o in rows[name]})
        raise UnknownNameError(
            value=f"origin {origin.isoformat()}",
            rule=f"it must be one of the {len(published)} published origins from "
            f"{published[0].isoformat()} to {published[-1].isoformat()}",
            remedy="use a known origin, or leave it out for the newest",
            known=[o.isoformat() for o in published[-_SHOWN_ORIGINS:]],
        )
    _refuse_seen(deployment, origin)
    try:
        return _forecasts(deployment, wanted, now=now)
    except ValueError as error:
        raise UnusableInputError(
            value=f"origin {origin.isoformat()}",
            rule=f"its published inputs must give a finite forecast: {error}",
            remedy="use another origin",
        ) from error


def from_features(
    deployment: Deployment,
    *,
    series: str | None,
    features: Mapping[str, float | None],
    last_value: float,
    now: datetime,
) -> FeatureForecast:
    """A forecast from features given by name; None is a missing value.

    Raises:
        UnknownNameError: the series is not published.
        UnusableInputError: the problem's forecasts are shares, a feature is unknown, absent or too
            large, or the forecast is not finite.
    """
    card = deployment.model.card
    _refuse_shares(deployment)
    assumed = _assumed(deployment, series=series, given=features)
    _refuse_other_names(deployment, given=features, assumed=assumed)
    vector = _vector(card, {**{a.feature: a.value for a in assumed}, **features})
    try:
        (quantiles,) = deployment.model.quantiles(vector, np.array([last_value])).tolist()
    except ValueError as error:
        raise UnusableInputError(
            value=f"features of problem {card.problem}",
            rule=f"they must give a finite forecast: {error}",
            remedy="give plausible values in the units of the card; this model may need "
            "some that are null",
        ) from error
    lower, point, upper = quantiles
    return FeatureForecast(
        problem=card.problem,
        point=point,
        lower=lower,
        upper=upper,
        nominal_coverage=card.nominal_coverage,
        unit=card.unit,
        last_value=last_value,
        assumed=assumed,
        **provenance(deployment, now).model_dump(),
    )


def _series(deployment: Deployment, series: str | None) -> Sequence[str]:
    """The series asked for: one, or all."""
    published = deployment.snapshot.series
    if series is None:
        return published
    if series not in published:
        raise UnknownNameError(
            value=f"series {series}",
            rule=f"it must be one of the {len(published)} published series of "
            f"{deployment.model.card.problem}",
            remedy="use a known series, or leave it out for all",
            known=published[:_SHOWN_SERIES],
        )
    return (series,)


def _refuse_shares(deployment: Deployment) -> None:
    card = deployment.model.card
    if needs_segment(card.steps):
        raise UnusableInputError(
            value=f"features of problem {card.problem}",
            rule=f"its forecasts are shares ({Step.SHARE_OF_SEGMENT.value}), and the features of "
            "one series give no sum to divide by",
            remedy="give a known series, and an origin if it is not the newest, instead of "
            "features and last_value",
            known=deployment.snapshot.series[:_SHOWN_SERIES],
        )


def _refuse_seen(deployment: Deployment, origin: datetime) -> None:
    refit_at = deployment.model.card.refit_at
    if origin < refit_at:
        raise UnusableInputError(
            value=f"origin {origin.isoformat()}",
            rule=f"version {deployment.model.registered.version} was fitted on data up to "
            f"{refit_at.isoformat()}, so it has seen what came after that origin",
            remedy="use an origin from then on, leave it out for the newest, or ask the backtest, "
            "which holds forecasts of versions fitted before",
        )


def _forecasts(
    deployment: Deployment, wanted: Sequence[tuple[str, datetime]], *, now: datetime
) -> list[Forecast]:
    """Forecasts of (series, origin) pairs in one call of the model.

    Raises:
        ValueError: one is not finite, or a share lacks series of its segment.
    """
    inputs, card = deployment.snapshot.inputs, deployment.model.card
    quantiles = _quantiles(deployment, wanted)
    source = provenance(deployment, now).model_dump()
    return [
        Forecast(
            problem=card.problem,
            series=series,
            origin=inputs.origin[row],
            last_observed=inputs.last_observed[row],
            valid_time=inputs.valid_time[row],
            step=inputs.step[row],
            point=point,
            lower=lower,
            upper=upper,
            nominal_coverage=card.nominal_coverage,
            unit=card.unit,
            **source,
        )
        for (series, origin) in wanted
        for row, (lower, point, upper) in zip(
            inputs.at(series, origin).tolist(), quantiles[series, origin].tolist(), strict=True
        )
    ]


def _quantiles(
    deployment: Deployment, wanted: Sequence[tuple[str, datetime]]
) -> dict[tuple[str, datetime], FloatArray]:
    """Shape (steps, 3) in target units for each (series, origin) pair and what it adds up with."""
    inputs = deployment.snapshot.inputs
    shares = needs_segment(deployment.model.card.steps)
    computed = _with_siblings(deployment, wanted) if shares else wanted
    blocks = [inputs.at(series, origin) for series, origin in computed]
    rows = np.concatenate(blocks)
    segment = inputs.segments.code[rows] if shares else None
    quantiles = deployment.model.quantiles(
        deployment.vectors(rows), inputs.last_value[rows], segment
    )
    ends = np.cumsum([len(block) for block in blocks])[:-1]
    return dict(zip(computed, np.split(quantiles, ends), strict=True))


def _with_siblings(
    deployment: Deployment, wanted: Sequence[tuple[str, datetime]]
) -> list[tuple[str, datetime]]:
    """The pairs with every series of their segments, so that one alone is forecast as among all."""
    segments, rows = deployment.snapshot.inputs.segments, deployment.snapshot.inputs.rows
    for series, origin in wanted:
        if not segments.complete[rows[series][origin]].all():
            raise ValueError(
                f"at {origin.isoformat()} the segment of {series} lacks series or steps, and "
                f"shares need all of {', '.join(segments.siblings[series][:_SHOWN_SERIES])}"
            )
    every = {(sibling, origin) for name, origin in wanted for sibling in segments.siblings[name]}
    return sorted(every)


def _assumed(
    deployment: Deployment, *, series: str | None, given: Mapping[str, float | None]
) -> list[AssumedInput]:
    """The newest published value of each calibration feature that was not given."""
    absent = [name for name in deployment.calibration if name not in given]
    candidates = _series(deployment, series)
    if not absent:
        return []
    if len(candidates) > 1:
        raise UnusableInputError(
            value=", ".join(absent),
            rule="calibration differs by series and several are published",
            remedy="name the series, or give these features",
            known=candidates[:_SHOWN_SERIES],
        )
    origin = deployment.snapshot.newest_origin(candidates[0])
    rows = deployment.snapshot.inputs.at(candidates[0], origin)
    if len(rows) > 1:
        raise UnusableInputError(
            value=", ".join(absent),
            rule=f"calibration differs by step and {len(rows)} are published",
            remedy="give these features",
        )
    return [
        AssumedInput(
            feature=name,
            value=float(deployment.calibration[name][rows[0]]),
            series=candidates[0],
            origin=origin,
        )
        for name in absent
    ]


def _vector(card: ModelCard, values: Mapping[str, float | None]) -> FloatArray:
    """The model's input, shape (1, features), from values by name; None is missing."""
    names = [feature.name for feature in card.features]
    row = [np.nan if (value := values[name]) is None else value for name in names]
    vector = np.array([row], dtype=np.float64)
    too_large = np.abs(vector[0]) > np.finfo(card.input_type).max
    if too_large.any():
        name = names[int(np.argmax(too_large))]
        raise UnusableInputError(
            value=f"feature {name} = {values[name]!r}",
            rule=f"it must fit {card.input_type}",
            remedy="give it in the unit of the card",
        )
    return vector


def _refuse_other_names(
    deployment: Deployment, *, given: Mapping[str, float | None], assumed: Sequence[AssumedInput]
) -> None:
    """Refuse features the card does not name, and a gap in those it does."""
    names = [feature.name for feature in deployment.model.card.features]
    if unknown := sorted(set(given) - set(names)):
        raise UnusableInputError(
            value=f"features {', '.join(unknown[:10])}",
            rule=f"the served model, version {deployment.model.registered.version}, has no such "
            "feature",
            remedy="leave them out; the card at /models/{problem} lists the features",
            known=names,
        )
    absent = [n for n in names if n not in given and n not in {a.feature for a in assumed}]
    if absent:
        raise UnusableInputError(
            value=f"features {', '.join(absent[:10])}{' ...' if len(absent) > 10 else ''}",
            rule=f"all {len(names)} features of the served model are needed, by name",
            remedy="add them; null stands for a missing value",
            known=names,
        )
