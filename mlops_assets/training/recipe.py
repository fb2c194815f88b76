"""The identity of a recipe: candidate, parameters, feature columns and code.

Two fits with the same recipe id differ by their cutoff and data alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from mlops_assets.features.feature_set import group_columns
from mlops_assets.orchestration.code_version import fingerprint
from mlops_assets.problem import Candidate, FeatureGroup, ForecastProblem, ScaleModel


@dataclass(frozen=True)
class Recipe:
    """One candidate with everything that decides its fits but cutoff and data.

    Attributes:
        name: the candidate's name in the YAML.
        candidate: family, parameters and window.
        scale: the volatility model's parameters.
        features: columns of the location model, in order.
        scale_features: columns of the volatility model, in order.
        groups: the feature groups that make these columns, with their parameters.
    """

    problem: str
    name: str
    candidate: Candidate
    scale: ScaleModel
    features: tuple[str, ...]
    scale_features: tuple[str, ...]
    groups: tuple[FeatureGroup, ...] = ()

    @property
    def recipe_id(self) -> str:
        """16 hex digits over everything above and the code."""
        content = {
            "problem": self.problem,
            "name": self.name,
            "candidate": self.candidate.model_dump(mode="json"),
            "scale": self.scale.model_dump(mode="json"),
            "features": self.features,
            "scale_features": self.scale_features,
            "groups": [group.model_dump(mode="json") for group in self.groups],
            "code": code_version(),
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def columns(self) -> tuple[str, ...]:
        """All feature columns the model file needs, each once, in a stable order."""
        return tuple(dict.fromkeys((*self.features, *self.scale_features)))


def build_recipes(problem: ForecastProblem, columns: list[str]) -> dict[str, Recipe]:
    """The recipes of a problem, by candidate name.

    Args:
        problem: names the candidates and feature sets.
        columns: feature columns that exist, in their order.

    Raises:
        ProblemError: a feature set matches no column.
    """
    made = group_columns(problem)
    scale_features = tuple(problem.feature_columns(problem.scale.features, columns))
    recipes = {}
    for name, candidate in problem.candidates.items():
        features: tuple[str, ...] = ()
        if candidate.features is not None:
            features = tuple(problem.feature_columns(candidate.features, columns))
        used = {*features, *scale_features}
        recipes[name] = Recipe(
            problem=problem.name,
            name=name,
            candidate=candidate,
            scale=problem.scale,
            features=features,
            scale_features=scale_features,
            groups=tuple(group for group, names in made if used.intersection(names)),
        )
    return recipes


def code_version() -> str:
    """Fingerprint of the feature and training code, 12 hex digits."""
    return fingerprint("features", "training")
