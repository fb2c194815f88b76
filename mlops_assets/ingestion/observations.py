"""Observations: the target's rows with what was known of the other sources at that moment.

Here: the versions visible at an instant and the as-of join. Not here: anything computed from
them (`features`), the tier of a channel (`channel_tier`), and which version a given origin sees (it
picks `known_at <= origin`).

The table is bitemporal: a row that was corrected is there once per version, each with the span
`[known_at, superseded_at)` in which it was the newest one known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from mlops_assets.ingestion.channel_tier import largest_known, tier_of
from mlops_assets.ingestion.periods import panel_series
from mlops_assets.ingestion.sources import SourceError, span_of
from mlops_assets.problem import ChannelSource, ForecastProblem, Source, ValueSource
from mlops_assets.tables.layouts import layout_of
from mlops_assets.tables.raw import PERIOD
from mlops_assets.tables.schema import TableSchema

_WORTH: Final = {"candles": "close", "values": "value"}
"""Kind -> the column that an exogenous source of that kind adds."""


@dataclass(frozen=True)
class ObservationFinding:
    """What a check of the observations found; `message` gives value, rule and remedy."""

    name: str
    passed: bool
    message: str


def observe(
    target: pl.DataFrame,
    exogenous: Mapping[str, pl.DataFrame],
    problem: ForecastProblem,
    as_of: datetime,
) -> pl.DataFrame:
    """The target's versions known by `as_of`, each with the exogenous values known with it.

    Args:
        target: the target's raw table (schema `raw` of its layout).
        exogenous: raw tables by source name; a source without rows gives nulls.
        problem: its sources say from when rows are kept and how old a value may be.
        as_of: rows known later are invisible.

    Returns:
        Grain (series, valid_time, known_at), sorted by valid_time, known_at and series, schema
        `schema_of`. Values of `{e}` are those of its newest row known at `known_at`; they are null
        when that row is older than its maximum age, never taken from the future.

    Raises:
        SourceError: an exogenous source is a panel.
    """
    rows = _visible(target, problem.target_source, as_of)
    next_version = pl.col("known_at").shift(-1).over(PERIOD, order_by="known_at")
    rows = rows.with_columns(superseded_at=next_version).sort("known_at", "valid_time")
    for name, source in problem.exogenous.items():
        raw = exogenous.get(name, layout_of(source.kind).raw.empty())
        known = newest_known(_visible(raw, source, as_of), name=name, source=source)
        rows = _join_as_of(rows, known, name=name, max_age=source.max_age)
    return schema_of(problem).conform(rows).sort("valid_time", "known_at", "series")


def schema_of(problem: ForecastProblem) -> TableSchema:
    """The schema of a problem's observations."""
    exogenous = [(name, layout_of(source.kind)) for name, source in problem.exogenous.items()]
    return layout_of(problem.target_source.kind).observations(exogenous)


def newest_known(rows: pl.DataFrame, *, name: str, source: Source) -> pl.DataFrame:
    """What a source adds, at each instant at which that changes.

    Of bars and values it is the newest: a late correction of an older row does not displace a newer
    row, a correction of the newest does, so an event counts when its valid time equals the largest
    seen so far. Of channels it is the tier of the largest one.

    Returns:
        `known_at` (unique, ascending), `{name}_valid_time`, `{name}_value`.

    Raises:
        SourceError: the source is a panel, which has no one value.
    """
    valid_time = pl.col("valid_time").alias(f"{name}_valid_time")
    if isinstance(source, ChannelSource):
        tier = tier_of(pl.col("subscribers")).alias(f"{name}_value")
        return largest_known(rows).select("known_at", valid_time, tier)
    if isinstance(source, ValueSource) and source.keys:
        raise SourceError(
            f"{name}: an exogenous source with keys {', '.join(source.keys)}; only a single series "
            "can be joined to a target; remove `keys`, and give each series that is needed a "
            "source of its own"
        )
    events = rows.sort("known_at", "valid_time")
    events = events.filter(pl.col("valid_time") == pl.col("valid_time").cum_max())
    return events.unique("known_at", keep="last", maintain_order=True).select(
        "known_at", valid_time, pl.col(_WORTH[source.kind]).alias(f"{name}_value")
    )


def judge(
    observations: pl.DataFrame, problem: ForecastProblem, *, now: datetime
) -> list[ObservationFinding]:
    """Judge the stored observations: `schema`, `unique_keys`, `as_known`.

    Args:
        observations: the stored table.
        problem: whose observations they are.
        now: the instant that the run believes in; nothing in the table may be known later.
    """
    schema = schema_of(problem)
    violations = schema.violations(observations)
    fits = ObservationFinding(
        "schema",
        not violations,
        f"observations: {'; '.join(violations[:3]) or 'columns and types as described'}; "
        "the table must fit its schema; materialise observations again",
    )
    if violations:
        return [fits, *(_unreadable(name) for name in ("unique_keys", "as_known"))]
    repeated = observations.filter(pl.struct(schema.key).is_duplicated())
    later = observations.filter(pl.col("known_at") > now)["known_at"].sort()
    return [
        fits,
        ObservationFinding(
            "unique_keys",
            repeated.is_empty(),
            f"observations: {len(repeated)} rows share {schema.key}; a version of a period is one "
            "row; look for duplicates in the target's raw table",
        ),
        ObservationFinding(
            "as_known",
            later.is_empty(),
            f"observations: {len(later)} rows were known only after the clock's {now} "
            f"(last: {later[-1] if len(later) else 'none'}); a row known later must be "
            "invisible; look for a run with a later clock on these tables",
        ),
    ]


def _unreadable(name: str) -> ObservationFinding:
    return ObservationFinding(
        name, False, f"observations: {name} cannot be judged while `schema` fails; mend that first"
    )


def _visible(raw: pl.DataFrame, source: Source, as_of: datetime) -> pl.DataFrame:
    """Rows known by `as_of` that open at the source's start or later, of series it still has."""
    opens = pl.col("valid_time") - span_of(source)
    rows = raw.filter((pl.col("known_at") <= as_of) & (opens >= source.start))
    if isinstance(source, ValueSource) and source.keys:
        return rows.filter(pl.col("series").is_in(panel_series(source)))
    return rows


def _join_as_of(
    rows: pl.DataFrame, known: pl.DataFrame, *, name: str, max_age: timedelta | None
) -> pl.DataFrame:
    """Backward as-of join on `known_at`, m:1 since `known` has one row per instant."""
    joined = rows.join_asof(known, on="known_at", strategy="backward")
    value, valid_time, age = f"{name}_value", f"{name}_valid_time", f"{name}_age_hours"
    elapsed = pl.col("known_at") - pl.col(valid_time)
    fresh = elapsed <= max_age
    return joined.with_columns(
        (elapsed.dt.total_microseconds() / 3_600_000_000).alias(age),
        pl.when(fresh).then(value).alias(value),
        pl.when(fresh).then(valid_time).alias(valid_time),
    )
