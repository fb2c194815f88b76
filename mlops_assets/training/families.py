"""The model families by name: the one place where a family is registered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlops_assets.problem import ForecastProblem, ProblemError
from mlops_assets.training.baselines import NoParameters, drift, last_value
from mlops_assets.training.forecaster import Family, FloatArray, Location
from mlops_assets.training.linear import RidgeParameters, ridge
from mlops_assets.training.parameters import Parameters
from mlops_assets.training.trees import (
    BoostingParameters,
    ForestParameters,
    hist_gradient_boosting,
    random_forest,
)


@dataclass(frozen=True)
class RegisteredFamily:
    """A family with what is checked before anything is fitted.

    Attributes:
        fit: fits a location model.
        parameters: what a candidate's `params` may hold.
        needs_features: whether a candidate must name a feature set.
    """

    fit: Family
    parameters: type[Parameters]
    needs_features: bool = True

    def __call__(
        self, features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]
    ) -> Location:
        """Fit; see `Family`."""
        return self.fit(features, target, params=params)


FAMILIES: Final[dict[str, RegisteredFamily]] = {
    "last_value": RegisteredFamily(last_value, NoParameters, needs_features=False),
    "drift": RegisteredFamily(drift, NoParameters, needs_features=False),
    "ridge": RegisteredFamily(ridge, RidgeParameters),
    "random_forest": RegisteredFamily(random_forest, ForestParameters),
    "hist_gradient_boosting": RegisteredFamily(hist_gradient_boosting, BoostingParameters),
}


def check_families(problem: ForecastProblem) -> None:
    """Refuse candidates that no family can fit.

    Raises:
        ProblemError: a family is unknown, its parameters do not fit, or it lacks a feature set;
            the message names the candidate, the key and the remedy.
    """
    for name, candidate in problem.candidates.items():
        key = f"{problem.name}: candidates.{name}"
        family = FAMILIES.get(candidate.family)
        if family is None:
            raise ProblemError(
                f"{key}.family {candidate.family!r} is unknown; use one of {', '.join(FAMILIES)}"
            )
        if family.needs_features != (candidate.features is not None):
            rule = "needs a feature set; add" if family.needs_features else "takes none; remove"
            raise ProblemError(f"{key}: family {candidate.family!r} {rule} the key `features`")
        try:
            family.parameters.read(candidate.family, candidate.params)
        except ProblemError as error:
            raise ProblemError(f"{key}: {error}") from error
