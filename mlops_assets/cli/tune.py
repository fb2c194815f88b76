"""`mlops tune`: parameters of the share filter that fit a span of days best.

A coordinate search: each parameter in turn is tried a step up and down, and a change that lowers
the error is kept. Only observations of the days before `before` are read, so what is found may be
evaluated on the days after. A gain on the searched days is partly chance, the more so the farther
the lead: seven months of days hold only seven that are a month apart. Nothing is written: what is
found is pasted into the problem's file, and proves itself on the days after or is taken back.

Here: the search, its error, and the YAML of what it found. Not here: the filter
(`features.share_filter`), the command's arguments (`cli.main`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import yaml

from mlops_assets.problem import FeatureGroup, ForecastProblem, ProblemError
from mlops_assets.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from mlops_assets.features.share_filter_layout import FloatArray, ShareLayout
    from mlops_assets.features.share_filter_parameters import ShareFilterParameters

KIND: Final = "share_filter"
"""The kind of feature group whose parameters are searched."""

WARM_UP_DAYS: Final = 60
"""Days that are filtered and not scored, unless the first scored day is given."""

FIRST_FACTOR: Final = 1.5
"""The first steps multiply or divide a parameter by it; a round without gain halves the step."""

_LEAST_GAIN: Final = 5e-4
"""A smaller gain, in percentage points, is chance on any span of days."""

_SEARCHED: Final = (
    "mean_sd",
    "level_persistence",
    "common_sd",
    "group_sd",
    "own_sd",
    "shock_persistence",
    "shock_sd",
    "season_sd",
    "weekday_sd",
    "weekday_walk_sd",
    "overdispersion",
    "extra_sd",
    "brand_scale",
)
"""What is searched; the clips and what belongs to the returning surprise hardly matter."""

_PERSISTENCES: Final = ("level_persistence", "shock_persistence")
"""Searched as their distance from 1."""

Path = tuple[str, ...]
"""Where a parameter is: `(own_sd,)` or `(brand_scale, LABEL)`."""

Say = Callable[[str], None]
Score = Callable[["ShareFilterParameters"], "FloatArray"]


@dataclass(frozen=True)
class Tuned:
    """What a search came to.

    Attributes:
        parameters: the best that were found.
        leads: days ahead that were scored.
        before, after: mean absolute error at each lead, percentage points, of the parameters that
            the search began with and of those it found.
    """

    parameters: ShareFilterParameters
    leads: tuple[int, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


def tune_problem(
    settings: Settings,
    problem: ForecastProblem,
    *,
    before: date,
    start: date | None,
    rounds: int,
    with_loadings: bool,
    say: Say,
) -> Tuned:
    """Search the parameters of a problem's share filter on its stored observations.

    Args:
        settings: name the storage.
        problem: names the filter, the leads and the observations.
        before: no observation of this day or a later one is read.
        start: the first day that is scored; default: 60 days after the first observed.
        rounds: how often each parameter is tried.
        with_loadings: search the segments' loadings too.
        say: takes one line at a time.

    Raises:
        ProblemError: the problem has no share filter or no observations yet, or no day is scored.
    """
    group = filter_group(problem)
    layout = _stored_shares(settings, problem, before=before)
    leads = tuple(problem.evaluation.leads)
    score = error_of(layout, leads=leads, start=start)

    from mlops_assets.features.share_filter_parameters import parameters_of

    parameters = parameters_of(group.params)
    first = score(parameters)
    say(f"{described(leads, first)}, as in the problem's file")
    paths = searched_paths(parameters, layout, with_loadings=with_loadings)
    found = coordinate_search(
        parameters, paths, score=lambda p: float(score(p).mean()), rounds=rounds, say=say
    )
    return Tuned(found, leads, tuple(first.tolist()), tuple(score(found).tolist()))


def filter_group(problem: ForecastProblem) -> FeatureGroup:
    """The problem's share filter.

    Raises:
        ProblemError: it has none, or several.
    """
    groups = [group for group in problem.features if group.kind == KIND]
    if len(groups) != 1:
        raise ProblemError(
            f"{problem.name}: {len(groups)} of its feature groups are of kind {KIND}; the search "
            f"needs one; name a problem that forecasts shares, or correct `features`"
        )
    return groups[0]


def error_of(layout: ShareLayout, *, leads: Sequence[int], start: date | None) -> Score:
    """The function from parameters to the mean absolute error at each lead, percentage points.

    Every lead is scored on the same days: those of `layout` from `start` on.

    Args:
        layout: shares of the days that may be used.
        leads: days ahead.
        start: the first day that is scored; default: 60 days after the first.

    Raises:
        ProblemError: no day is left, or one of them cannot be forecast at the longest lead.
    """
    import numpy as np

    from mlops_assets.features.counts import recover_counts
    from mlops_assets.features.share_filter import START_DAYS, forecast_layout

    first = layout.days[0].astype(date)
    earliest = first + timedelta(days=START_DAYS - 1 + max(leads))
    start = start or first + timedelta(days=max(WARM_UP_DAYS, START_DAYS - 1 + max(leads)))
    if not earliest <= start <= layout.days[-1].astype(date):
        raise ProblemError(
            f"the first scored day {start} must lie between {earliest}, which the first forecast "
            f"{max(leads)} days ahead is for, and {layout.days[-1]}, the last that may be used; "
            "give another `--from` or a later `--before`"
        )
    counts, shares = recover_counts(layout.values), 100 * layout.fractions()
    scored = np.arange(int(np.searchsorted(layout.days, np.datetime64(start))), len(layout.days))

    def score(parameters: ShareFilterParameters) -> FloatArray:
        forecasts = 100 * forecast_layout(layout, counts, parameters, horizon=max(leads))
        errors = [np.abs(forecasts[scored - lead, lead - 1] - shares[scored]) for lead in leads]
        return np.array([float(np.nanmean(error)) for error in errors])

    return score


def coordinate_search(
    start: ShareFilterParameters,
    paths: Sequence[Path],
    *,
    score: Callable[[ShareFilterParameters], float],
    rounds: int,
    say: Say,
) -> ShareFilterParameters:
    """Try each parameter a step up and down, keep what lowers the score, and begin again.

    Args:
        start: where the search begins.
        paths: places of parameters, such as `(own_sd,)` or `(brand_scale, LABEL)`.
        score: to be lowered.
        rounds: how often each parameter is tried; a round without gain halves the step.
        say: is told of each improvement.
    """
    best, lowest, factor = start, score(start), FIRST_FACTOR
    for _ in range(rounds):
        at_first = lowest
        for path in paths:
            for step in (factor, 1 / factor):
                moved = stepped(best, path, step)
                if (tried := score(moved)) < lowest - _LEAST_GAIN:
                    best, lowest = moved, tried
                    say(f"{lowest:.4f}  {'.'.join(path)} = {value_at(best, path):.4g}")
                    break
        if lowest >= at_first - _LEAST_GAIN:
            factor **= 0.5
    return best


def searched_paths(
    parameters: ShareFilterParameters, layout: ShareLayout, *, with_loadings: bool
) -> list[Path]:
    """Places of what is searched; a parameter that is 0 stays so, as no factor moves it."""
    given = parameters.model_dump()
    paths: list[Path] = []
    for name in _SEARCHED:
        if name == "brand_scale":
            paths += [(name, str(brand)) for brand in layout.brands]
        elif isinstance(given[name], dict):
            paths += [(name, key) for key in given[name]]
        elif given[name] > 0:
            paths.append((name,))
    return paths + [("loadings", str(name)) for name in layout.segments if with_loadings]


def stepped(parameters: ShareFilterParameters, path: Path, factor: float) -> ShareFilterParameters:
    """The parameters with one of them multiplied; a persistence moves by its distance from 1."""
    name, *label = path
    old = value_at(parameters, path)
    new = min(max(1 - (1 - old) * factor, 0.0), 0.999) if name in _PERSISTENCES else old * factor
    moved = {**getattr(parameters, name), label[0]: new} if label else new
    return parameters.model_copy(update={name: moved})


def value_at(parameters: ShareFilterParameters, path: Path) -> float:
    """One of the parameters; a label that is not mentioned has 1."""
    name, *label = path
    value = getattr(parameters, name)
    return float(value.get(label[0], 1.0) if label else value)


def parameters_yaml(parameters: ShareFilterParameters, group: FeatureGroup) -> str:
    """The entry of a problem's `features` with these parameters, less those at their default."""
    params: dict[str, Any] = _rounded(parameters.model_dump(exclude_defaults=True))
    entry = {"kind": group.kind, "source": group.source, "params": params}
    return yaml.safe_dump([entry], allow_unicode=True, sort_keys=False, width=96)


def described(leads: Sequence[int], errors: Sequence[float] | FloatArray) -> str:
    """Errors in a line: `2.9411 (1: 2.5047, 7: 2.8319, 28: 3.4866)`."""
    each = ", ".join(f"{lead}: {error:.4f}" for lead, error in zip(leads, errors, strict=True))
    return f"{sum(errors) / len(leads):.4f} ({each})"


def _rounded(params: dict[str, Any]) -> dict[str, Any]:
    """The numbers with three significant digits, which is more than a span of days can tell."""
    return {
        name: _rounded(value)
        if isinstance(value, dict)
        else (float(f"{value:.3g}") if isinstance(value, float) else value)
        for name, value in params.items()
    }


def _stored_shares(settings: Settings, problem: ForecastProblem, *, before: date) -> ShareLayout:
    """The current observations of the periods that begin before a day."""
    from mlops_assets.features.panel import panel_on_grid
    from mlops_assets.features.share_filter_layout import lay_out_shares

    rows = _observations(settings, problem)
    rows = rows.filter(rows["superseded_at"].is_null())
    starts = (rows["valid_time"] - problem.frequency).dt.convert_time_zone(problem.zone)
    rows = rows.filter(starts.dt.date() < before)
    if rows.is_empty():
        raise ProblemError(
            f"{problem.name}: no observation is of a day before {before}; give a later `--before`"
        )
    return lay_out_shares(panel_on_grid(rows, problem))


def _observations(settings: Settings, problem: ForecastProblem) -> pl.DataFrame:
    from mlops_assets.ingestion.assets import observations_key
    from mlops_assets.storage.io_manager import table_name
    from mlops_assets.storage.tables import TableMissingError, TableStore

    try:
        return TableStore(settings.storage).read(table_name(observations_key(problem.name)))
    except TableMissingError as error:
        raise ProblemError(
            f"{problem.name}: has no observations in {settings.storage} yet; "
            f"run `mlops run {problem.name}` first"
        ) from error
