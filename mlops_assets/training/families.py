"""The model families by name: the one place where a family is registered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlops_assets.problem import Candidate, ForecastProblem, ProblemError
from mlops_assets.training.baselines import NoParameters, drift, last_value
from mlops_assets.training.composed import AverageParameters, best_feature, feature
from mlops_assets.training.forecaster import Family, FloatArray, Location
from mlops_assets.training.linear import RidgeParameters, ridge
from mlops_assets.training.lstm import LstmParameters, lstm
from mlops_assets.training.parameters import Parameters
from mlops_assets.training.prophet_curve import ProphetParameters, prophet
from mlops_assets.training.transformer import TransformerParameters, transformer
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
        fit: fits a location model; None for what is made of other candidates' fits.
        parameters: what a candidate's `params` may hold.
        needs_features: whether a candidate must name a feature set.
        learns: whether it estimates enough from the training rows to need many of them.
        library: what fits it, a label on Dagster's page; None for our own arithmetic.
    """

    fit: Family | None
    parameters: type[Parameters]
    needs_features: bool = True
    learns: bool = True
    library: str | None = None

    def __call__(
        self, features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]
    ) -> Location:
        """Fit; see `Family`."""
        assert self.fit is not None, "an average is made of its members by `fit.fit_recipe`"
        return self.fit(features, target, params=params)


FAMILIES: Final[dict[str, RegisteredFamily]] = {
    "last_value": RegisteredFamily(last_value, NoParameters, needs_features=False, learns=False),
    "drift": RegisteredFamily(drift, NoParameters, needs_features=False),
    "feature": RegisteredFamily(feature, NoParameters, learns=False),
    "best_feature": RegisteredFamily(best_feature, NoParameters),
    "average": RegisteredFamily(None, AverageParameters, needs_features=False),
    "ridge": RegisteredFamily(ridge, RidgeParameters, library="scikitlearn"),
    "random_forest": RegisteredFamily(random_forest, ForestParameters, library="scikitlearn"),
    "hist_gradient_boosting": RegisteredFamily(
        hist_gradient_boosting, BoostingParameters, library="scikitlearn"
    ),
    "lstm": RegisteredFamily(lstm, LstmParameters, library="jax"),
    "transformer": RegisteredFamily(transformer, TransformerParameters, library="jax"),
    "prophet": RegisteredFamily(prophet, ProphetParameters, library="prophet"),
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
        _check_scale(key, candidate, problem)
        if candidate.family == "average":
            _check_members(key, candidate, problem)


def _check_scale(key: str, candidate: Candidate, problem: ForecastProblem) -> None:
    """On shares the last value and the drift are not differences to the last value."""
    if problem.target.transform == "share" and candidate.family in {"last_value", "drift"}:
        raise ProblemError(
            f"{key}.family {candidate.family!r} forecasts a change from the last value; a share is "
            "forecast as it is; use family `feature` with the lag 0 of the target"
        )


def _check_members(key: str, candidate: Candidate, problem: ForecastProblem) -> None:
    members = AverageParameters.read("average", candidate.params).members
    for member in members:
        other = problem.candidates.get(member)
        if other is None or other.family == "average":
            raise ProblemError(
                f"{key}.params.members names {member!r}; members are other candidates that are no "
                f"averages; use some of "
                f"{', '.join(n for n, c in problem.candidates.items() if c.family != 'average')}"
            )
        if other.scaled_target != candidate.scaled_target:
            raise ProblemError(
                f"{key}.scaled_target is {candidate.scaled_target}, that of its member {member!r} "
                f"{other.scaled_target}; only forecasts on one scale can be averaged; make them "
                "equal"
            )
    if candidate.reference is not None or candidate.target_clip is not None:
        raise ProblemError(
            f"{key}: an average has neither `reference` nor `target_clip`; its members have; "
            "remove them"
        )
