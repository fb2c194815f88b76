"""Forecasts from features that the caller gives by name: one row, or many column by column.

Here: completing them with the newest calibration, and the refusal of what the card does not allow.
Not here: rows of the snapshot (`selection`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from serving.contract.model_card import ModelCard
from serving.contract.steps import FloatArray, Step, needs_segment
from serving.deployments import Deployment
from serving.domain_errors import UnusableInputError
from serving.forecasts.schemas import AssumedInput
from serving.forecasts.selection import SHOWN_SERIES, known_series
from serving.forecasts.work import Computed, Work

_SHOWN_NAMES: Final = 10
_NAMES: Final[WeakKeyDictionary[Deployment, tuple[Sequence[str], frozenset[str]]]] = (
    WeakKeyDictionary()
)
_LARGEST: Final = {name: float(np.finfo(name).max) for name in ("float32", "float64")}


class GivenRow(msgspec.Struct, frozen=True):
    """One row of features."""

    features: Mapping[str, float | None]
    """None is a missing value."""
    last_value: float
    series: str | None = None

    def __call__(self, deployment: Deployment) -> Work:
        """The row as the model of `deployment` takes it.

        Raises:
            UnknownNameError: the series is not published.
            UnusableInputError: forecasts are shares, a feature is unknown, absent or too large, or
                the last value has no logarithm where one is needed.
        """
        names, assumed = _complete(deployment, self.features, self.series)
        features = self.features
        known = {**{a.feature: a.value for a in assumed}, **features} if assumed else features
        row = [known[name] for name in names]
        card = deployment.model.card
        if card.input_type != "float64":
            _refuse_large(card, names, row)
        _refuse_last_value(card, self.last_value)
        # numpy reads None as NaN.
        vector = np.array((row,), dtype=card.input_type)
        last = np.array((self.last_value,))
        return Work(1, partial(_compute, deployment, vector, last, self.series, assumed))


@dataclass(frozen=True, slots=True)
class GivenColumns:
    """Many rows of features, column by column."""

    features: Mapping[str, Sequence[float | None]]
    last_value: Sequence[float]
    series: str | None = None
    max_rows: int = 5000

    def __call__(self, deployment: Deployment) -> Work:
        """The rows as the model of `deployment` takes them.

        Raises:
            UnknownNameError: the series is not published.
            UnusableInputError: there are too many rows, columns differ in length, or what is said
                of one row.
        """
        count = len(self.last_value)
        if count > self.max_rows:
            raise UnusableInputError(
                value=f"{count} rows",
                rule=f"one request may have {self.max_rows}",
                remedy="send them in several requests",
            )
        names, assumed = _complete(deployment, self.features, self.series)
        for name, column in self.features.items():
            if len(column) != count:
                raise UnusableInputError(
                    value=f"feature {name} with {len(column)} values",
                    rule=f"every column must be as long as last_value, which has {count}",
                    remedy="give one value a row; null stands for a missing value",
                )
        card = deployment.model.card
        values = np.empty((count, len(names)))
        constant = {a.feature: a.value for a in assumed}
        for position, name in enumerate(names):
            values[:, position] = np.array(
                self.features.get(name, constant.get(name)), dtype=np.float64
            )
        _refuse_large_columns(card, names, values)
        last = np.array(self.last_value)
        _refuse_last_value(card, float(last.min()))
        return Work(count, partial(_compute, deployment, values, last, self.series, assumed))


def _complete(
    deployment: Deployment, given: Mapping[str, Any], series: str | None
) -> tuple[Sequence[str], Sequence[AssumedInput]]:
    """The features' names in the card's order, and the calibration for those not given."""
    if needs_segment(deployment.model.card.steps):
        _refuse_shares(deployment)
    names, every = _names(deployment)
    if series is not None:
        known_series(deployment, (series,))
    if given.keys() == every:
        return names, ()
    assumed = _assumed(deployment, series=series, given=given)
    _refuse_other_names(deployment, names, given=given, assumed={a.feature for a in assumed})
    return names, assumed


def _names(deployment: Deployment) -> tuple[Sequence[str], frozenset[str]]:
    """The card's features in their order, and as a set; found once for each deployment."""
    found = _NAMES.get(deployment)
    if found is None:
        names = tuple(feature.name for feature in deployment.model.card.features)
        found = _NAMES[deployment] = (names, frozenset(names))
    return found


def _compute(
    deployment: Deployment,
    vectors: FloatArray,
    last_value: FloatArray,
    series: str | None,
    assumed: Sequence[AssumedInput],
) -> Computed:
    """Forecasts of rows of features.

    Raises:
        UnusableInputError: one is not finite.
    """
    try:
        quantiles = deployment.model.quantiles(vectors, last_value)
    except ValueError as error:
        raise UnusableInputError(
            value=f"features of problem {deployment.model.card.problem}",
            rule=f"they must give a finite forecast: {error}",
            remedy="give plausible values in the units of the card; this model may need "
            "some that are null",
        ) from error
    return Computed(quantiles, series=series, assumed=assumed)


def _refuse_shares(deployment: Deployment) -> NoReturn:
    raise UnusableInputError(
        value=f"features of problem {deployment.model.card.problem}",
        rule=f"its forecasts are shares ({Step.SHARE_OF_SEGMENT.value}), and the features of "
        "one series give no sum to divide by",
        remedy="give a known series, and an origin if it is not the newest, instead of "
        "features and last_value",
        known=deployment.snapshot.series[:SHOWN_SERIES],
    )


def _refuse_last_value(card: ModelCard, smallest: float) -> None:
    if smallest <= 0 and Step.INVERSE_LOG_RETURN in card.steps:
        raise UnusableInputError(
            value=f"last_value {smallest!r}",
            rule=f"it must be greater than 0, since the model of {card.problem} forecasts its "
            "logarithm's change",
            remedy="give the newest known target value in target units",
        )


def _refuse_large(card: ModelCard, names: Sequence[str], row: Sequence[float | None]) -> None:
    largest = _LARGEST[card.input_type]
    for name, value in zip(names, row, strict=True):
        if value is not None and not -largest <= value <= largest:
            raise _too_large(card, name, value)


def _refuse_large_columns(card: ModelCard, names: Sequence[str], values: FloatArray) -> None:
    too_large = np.abs(values) > _LARGEST[card.input_type]
    if too_large.any():
        row, position = np.argwhere(too_large)[0].tolist()
        raise _too_large(card, f"{names[position]} of row {row}", float(values[row, position]))


def _too_large(card: ModelCard, name: str, value: float) -> UnusableInputError:
    return UnusableInputError(
        value=f"feature {name} = {value!r}",
        rule=f"it must fit {card.input_type}",
        remedy="give it in the unit of the card",
    )


def _assumed(
    deployment: Deployment, *, series: str | None, given: Collection[str]
) -> list[AssumedInput]:
    """The newest published value of each calibration feature that was not given."""
    absent = [name for name in deployment.calibration if name not in given]
    if not absent:
        return []
    candidates = known_series(deployment, None if series is None else (series,))
    if len(candidates) > 1:
        raise UnusableInputError(
            value=", ".join(absent),
            rule="calibration differs by series and several are published",
            remedy="name the series, or give these features",
            known=candidates[:SHOWN_SERIES],
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


def _refuse_other_names(
    deployment: Deployment,
    names: Sequence[str],
    *,
    given: Collection[str],
    assumed: Collection[str],
) -> None:
    """Refuse features the card does not name, and a gap in those it does."""
    version = deployment.model.registered.version
    if unknown := sorted(set(given) - set(names)):
        raise UnusableInputError(
            value=f"features {', '.join(unknown[:_SHOWN_NAMES])}",
            rule=f"the served model, version {version}, has no such feature",
            remedy="leave them out; the card at /models/{problem} lists the features",
            known=names,
        )
    absent = [name for name in names if name not in given and name not in assumed]
    if absent:
        more = " ..." if len(absent) > _SHOWN_NAMES else ""
        raise UnusableInputError(
            value=f"features {', '.join(absent[:_SHOWN_NAMES])}{more}",
            rule=f"all {len(names)} features of the served model are needed, by name",
            remedy="add them; null stands for a missing value",
            known=names,
        )
