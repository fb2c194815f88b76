"""Forecasts from a deployment: the newest, from a published origin, or from given features.

Here: pure functions of a deployment, the question and the present instant. Not here: HTTP
(`router`), and the steps to target units, which every path takes from `contract.steps`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from serving.contract.model_card import ModelCard
from serving.deployments import Deployment
from serving.domain_errors import NotReadyError, UnknownNameError, UnusableInputError
from serving.forecasts.schemas import AssumedInput, FeatureForecast, Forecast
from serving.provenance import provenance

FloatArray = npt.NDArray[np.float64]

_SHOWN_ORIGINS = 5


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
        UnusableInputError: a feature is unknown, absent or too large, or the forecast is not
            finite.
    """
    card = deployment.model.card
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
            rule=f"it must be published for {deployment.model.card.problem}",
            remedy="use one of the known series, or leave it out for all",
            known=published,
        )
    return (series,)


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
    """Forecasts of (series, origin) pairs in one call of the model; ValueError if not finite."""
    inputs, card = deployment.snapshot.inputs, deployment.model.card
    rows = [
        (series, row)
        for series, origin in wanted
        for row in range(inputs.rows[series][origin].start, inputs.rows[series][origin].stop)
    ]
    vectors = np.concatenate([deployment.vectors(series, origin) for series, origin in wanted])
    last_value = inputs.last_value[[row for _, row in rows]]
    quantiles = deployment.model.quantiles(vectors, last_value).tolist()
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
        for (series, row), (lower, point, upper) in zip(rows, quantiles, strict=True)
    ]


def _assumed(
    deployment: Deployment, *, series: str | None, given: Mapping[str, float | None]
) -> list[AssumedInput]:
    """The newest published value of each calibration feature that was not given."""
    absent = [name for _, name in deployment.calibration if name not in given]
    candidates = _series(deployment, series)
    if not absent:
        return []
    if len(candidates) > 1:
        raise UnusableInputError(
            value=", ".join(absent),
            rule="calibration differs by series and several are published",
            remedy="name the series, or give these features",
            known=candidates,
        )
    origin = deployment.snapshot.newest_origin(candidates[0])
    published = deployment.calibration_values(candidates[0], origin)
    return [
        AssumedInput(feature=name, value=published[name], series=candidates[0], origin=origin)
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
