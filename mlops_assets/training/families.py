"""The model families by name: the one place where a family is registered."""

from __future__ import annotations

from typing import Final

from mlops_assets.problem import ForecastProblem, ProblemError
from mlops_assets.training.baselines import drift, last_value
from mlops_assets.training.forecaster import Family
from mlops_assets.training.linear import ridge
from mlops_assets.training.trees import hist_gradient_boosting, random_forest

FAMILIES: Final[dict[str, Family]] = {
    "last_value": last_value,
    "drift": drift,
    "ridge": ridge,
    "random_forest": random_forest,
    "hist_gradient_boosting": hist_gradient_boosting,
}


def check_families(problem: ForecastProblem) -> None:
    """Refuse candidates of an unknown family.

    Raises:
        ProblemError: names the candidate and the families there are.
    """
    for name, candidate in problem.candidates.items():
        if candidate.family not in FAMILIES:
            raise ProblemError(
                f"{problem.name}: candidates.{name}.family {candidate.family!r} is unknown; "
                f"use one of {', '.join(FAMILIES)}"
            )
