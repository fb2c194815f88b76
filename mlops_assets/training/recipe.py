"""The identity of a recipe: candidate, parameters, feature columns and code.

Two fits with the same recipe id differ by their cutoff and data alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from mlops_assets.features.design import feature_columns
from mlops_assets.features.feature_set import group_columns
from mlops_assets.features.information import uninformative
from mlops_assets.orchestration.code_version import fingerprint
from mlops_assets.problem import (
    Candidate,
    FeatureGroup,
    ForecastProblem,
    ProblemError,
    ScaleModel,
)
from mlops_assets.training.composed import AverageParameters

_NO_PART_OF_A_FIT: Final = {"promotable", "enabled"}
"""Keys of a candidate that say what becomes of its fits, and not what they are."""


@dataclass(frozen=True)
class Recipe:
    """One candidate with everything that decides its fits but cutoff and data.

    Attributes:
        name: the candidate's name in the YAML.
        candidate: family, parameters and window.
        scale: the volatility model's parameters; None where the problem has none.
        features: columns of the location model, in order; with a reference, it is among them; of
            an average, those of its members.
        scale_features: columns of the volatility model, in order.
        groups: the feature groups that make these columns, with their parameters.
        members: of an average, weight and recipe of each.
    """

    problem: str
    name: str
    candidate: Candidate
    scale: ScaleModel | None
    features: tuple[str, ...]
    scale_features: tuple[str, ...]
    groups: tuple[FeatureGroup, ...] = ()
    members: tuple[tuple[float, Recipe], ...] = ()

    @property
    def recipe_id(self) -> str:
        """16 hex digits over everything above and the code."""
        content = {
            "problem": self.problem,
            "name": self.name,
            "candidate": self.candidate.model_dump(mode="json", exclude=_NO_PART_OF_A_FIT),
            "scale": self.scale.model_dump(mode="json") if self.scale else None,
            "features": self.features,
            "scale_features": self.scale_features,
            "groups": [group.model_dump(mode="json") for group in self.groups],
            "members": [[weight, member.recipe_id] for weight, member in self.members],
            "code": code_version(),
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def columns(self) -> tuple[str, ...]:
        """All feature columns the model file needs, each once, in a stable order."""
        return tuple(dict.fromkeys((*self.features, *self.scale_features)))


def build_recipes(
    problem: ForecastProblem, columns: list[str], *, left_out: Collection[str] = ()
) -> dict[str, Recipe]:
    """The recipes of a problem, by candidate name.

    Args:
        problem: names the candidates and feature sets.
        columns: feature columns that exist, in their order.
        left_out: those of them that carry no information: no recipe uses them.

    Raises:
        ProblemError: a feature set matches no column, or holds nothing that carries information.
    """
    made = group_columns(problem)
    averages = {n for n, c in problem.candidates.items() if c.family == "average"}
    single = {
        name: _single(problem, name, columns, made, left_out)
        for name in problem.candidates
        if name not in averages
    }
    return {
        name: _average(problem, name, single) if name in averages else single[name]
        for name in problem.candidates
    }


def recipes_of(
    problem: ForecastProblem, features: pl.DataFrame, rows: pl.DataFrame
) -> dict[str, Recipe]:
    """The recipes on a feature table, without what carries no information in it.

    Args:
        problem: names candidates and feature sets.
        features: the feature table, which tells what carries information.
        rows: design rows made of it, which have the feature columns.

    Raises:
        ProblemError: see `build_recipes`.
    """
    left_out = uninformative(features, problem)
    return build_recipes(problem, feature_columns(rows), left_out=left_out)


def _single(
    problem: ForecastProblem,
    name: str,
    columns: list[str],
    made: list[tuple[FeatureGroup, list[str]]],
    left_out: Collection[str],
) -> Recipe:
    candidate = problem.candidates[name]
    features = _columns_of(problem, candidate.features, columns, left_out)
    if candidate.reference is not None:
        if candidate.reference not in columns:
            raise ProblemError(
                f"{problem.name}: candidates.{name}.reference {candidate.reference!r} is no "
                f"feature; use one of {', '.join(columns[:8])} ..."
            )
        features = tuple(dict.fromkeys((*features, candidate.reference)))
    scale = problem.scale
    scale_features = _columns_of(problem, scale.features if scale else None, columns, left_out)
    used = {*features, *scale_features}
    return Recipe(
        problem=problem.name,
        name=name,
        candidate=candidate,
        scale=scale,
        features=features,
        scale_features=scale_features,
        groups=tuple(group for group, names in made if used.intersection(names)),
    )


def _columns_of(
    problem: ForecastProblem,
    feature_set: str | None,
    columns: list[str],
    left_out: Collection[str],
) -> tuple[str, ...]:
    if feature_set is None:
        return ()
    found = problem.feature_columns(feature_set, columns)
    kept = tuple(column for column in found if column not in left_out)
    if not kept:
        raise ProblemError(
            f"{problem.name}: no feature of feature_sets.{feature_set} carries information "
            f"({', '.join(found[:8])} are missing or constant throughout); a set needs one that "
            "does; look at the source's data, or name another feature"
        )
    return kept


def _average(problem: ForecastProblem, name: str, single: Mapping[str, Recipe]) -> Recipe:
    candidate = problem.candidates[name]
    weights = AverageParameters.read("average", candidate.params).members
    total = sum(weights.values())
    members = tuple((weight / total, single[member]) for member, weight in weights.items())
    recipes = [recipe for _, recipe in members]
    return Recipe(
        problem=problem.name,
        name=name,
        candidate=candidate,
        scale=problem.scale,
        features=tuple(dict.fromkeys(c for recipe in recipes for c in recipe.features)),
        scale_features=recipes[0].scale_features,
        groups=_each_once(group for recipe in recipes for group in recipe.groups),
        members=members,
    )


def _each_once(groups: Iterable[FeatureGroup]) -> tuple[FeatureGroup, ...]:
    kept: list[FeatureGroup] = []
    for group in groups:
        if group not in kept:
            kept.append(group)
    return tuple(kept)


def code_version() -> str:
    """Fingerprint of the feature and training code, 12 hex digits."""
    return fingerprint("features", "training")
