"""What feature groups of a problem make: known kinds, fitting parameters, names of columns.

Here: the checks of a problem's `features` and `feature_sets` against the builders there are. Not
here: their values (`feature_set`, `design`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from mlops_assets.features.bars import Bars
from mlops_assets.features.builders import BUILDERS
from mlops_assets.features.calendar import KINDS as CALENDAR_KINDS
from mlops_assets.features.calendar import LEAD, LEAD_COLUMN, columns_of_group
from mlops_assets.features.panel import Panel, probe_panel
from mlops_assets.features.panel_builders import PANEL_BUILDERS
from mlops_assets.features.stepwise import columns_by_design_name
from mlops_assets.problem import FeatureGroup, ForecastProblem, ProblemError

_OF_EXOGENOUS: Final = "as_of_"
"""Kinds whose name begins so read an exogenous source; all others read the target."""

_GIVEN: Final = ("bars", "panel", "source")
"""Parameters of builders that are not the YAML's."""


def check_groups(problem: ForecastProblem) -> None:
    """Refuse feature groups that no builder can make.

    Raises:
        ProblemError: a kind is unknown, or its parameters do not fit; the message says which.
    """
    for position, group in enumerate(problem.features):
        key = f"{problem.name}: features[{position}]"
        if group.source == "events":
            continue
        known = CALENDAR_KINDS if group.source == "calendar" else _kinds_of(problem, group.source)
        if group.kind not in known:
            raise ProblemError(
                f"{key}.kind {group.kind!r} is no feature of source {group.source!r}; "
                f"use one of {', '.join(known)}"
            )
        if group.source == "calendar":
            _refuse_parameters(key, group, wanted=set(), optional=set())
        else:
            _check_parameters(key, group, problem)


def check_feature_sets(problem: ForecastProblem) -> None:
    """Refuse feature sets that name a feature no group makes.

    Raises:
        ProblemError: names the set, the pattern and some of the features there are.
    """
    made = [name for _, names in group_columns(problem) for name in names]
    for feature_set in problem.feature_sets:
        problem.feature_columns(feature_set, made)


def group_columns(problem: ForecastProblem) -> list[tuple[FeatureGroup, list[str]]]:
    """Each feature group with the columns it makes in design rows, in the order of the file."""
    probe = _probe(problem)
    made: list[tuple[FeatureGroup, list[str]]] = []
    for group in problem.features:
        if group.source == "calendar" and group.kind == LEAD:
            names = [LEAD_COLUMN]
        elif group.source in {"calendar", "events"}:
            names = list(columns_of_group(probe.valid_time, group, problem))
        else:
            names = list(columns_by_design_name(_columns_of(probe, group, problem)))
        made.append((group, names))
    return made


def probed_columns(problem: ForecastProblem) -> list[str]:
    """Names of the features in a problem's feature table, one for each step where they differ."""
    probe = _probe(problem)
    observed = (group for group in problem.features if group.source in problem.sources)
    return [name for group in observed for name in _columns_of(probe, group, problem)]


def _builders(problem: ForecastProblem) -> Mapping[str, Callable[..., Any]]:
    return BUILDERS if problem.target_source.kind == "candles" else PANEL_BUILDERS


def _kinds_of(problem: ForecastProblem, source: str) -> list[str]:
    """Kinds of features that a source can have."""
    exogenous = source in problem.exogenous
    return [kind for kind in _builders(problem) if kind.startswith(_OF_EXOGENOUS) == exogenous]


def _columns_of(probe: Bars | Panel, group: FeatureGroup, problem: ForecastProblem) -> list[str]:
    with np.errstate(all="ignore"):
        return list(_builders(problem)[group.kind](probe, group.source, **group.params))


def _probe(problem: ForecastProblem) -> Bars | Panel:
    """The shortest history, to ask builders for the names of their columns."""
    if problem.target_source.kind != "candles":
        return probe_panel(problem)
    price = np.array([1.0, 1.0])
    start = np.datetime64("2024-01-01T00:00", "us")
    return Bars(
        series="",
        frequency=problem.frequency,
        valid_time=np.array([start, start + np.timedelta64(problem.frequency)]),
        open=price,
        high=price,
        low=price,
        close=price,
        volume=price,
        exogenous=dict.fromkeys(problem.exogenous, (price, price)),
    )


def _check_parameters(key: str, group: FeatureGroup, problem: ForecastProblem) -> None:
    """Names by the builder's signature, values by asking the builder itself."""
    signature = inspect.signature(_builders(problem)[group.kind])
    named = {name: p for name, p in signature.parameters.items() if name not in _GIVEN}
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in named.values()):
        optional = {name for name, p in named.items() if p.default is not inspect.Parameter.empty}
        _refuse_parameters(key, group, wanted=set(named) - optional, optional=optional)
    try:
        _columns_of(_probe(problem), group, problem)
    except ValueError as error:
        raise ProblemError(f"{key}.params: {error}") from error


def _refuse_parameters(
    key: str, group: FeatureGroup, *, wanted: set[str], optional: set[str]
) -> None:
    given = set(group.params)
    if wanted <= given <= wanted | optional:
        return
    allowed = f" and may have {sorted(optional)}" if optional else ""
    raise ProblemError(
        f"{key}.params has {sorted(given)}; {group.kind} takes exactly "
        f"{sorted(wanted)}{allowed}; correct the keys"
    )
