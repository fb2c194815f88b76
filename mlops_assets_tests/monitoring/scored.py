"""Hand-made live forecasts, observations and verdicts for tests of live scores and control."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from mlops_assets.forecasting import live
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.champion import HISTORY
from mlops_assets_tests.evaluation.frames import HOUR, START, small_problem

TIME = pl.Datetime("us", "UTC")


def problem(**control: float) -> ForecastProblem:
    """An hourly problem with three candidates; `control` are the rules of its control."""
    whole = small_problem().model_dump()
    whole["candidates"] = {
        "last_value": {"family": "last_value", "baseline": True},
        "drift": {"family": "drift", "baseline": True},
        "ridge": {"family": "ridge", "features": "volatility"},
        "forest": {"family": "forest", "features": "volatility"},
    }
    whole["control"] = control
    return ForecastProblem.model_validate(whole)


def at(hour: int) -> datetime:
    """The instant so many hours after `START`."""
    return START + hour * HOUR


def observed(actuals: Sequence[float], *, delay: timedelta = timedelta(0)) -> pl.DataFrame:
    """First versions of bars whose close at hour k is the k-th value."""
    times = [at(k) for k in range(len(actuals))]
    values = {name: [float(a) for a in actuals] for name in ("open", "high", "low", "close")}
    return pl.DataFrame(
        {
            "series": ["coin"] * len(times),
            "valid_time": times,
            "known_at": [t + delay for t in times],
            "superseded_at": pl.Series([None] * len(times), dtype=TIME),
            **values,
            "volume": [1.0] * len(times),
        },
        schema_overrides={"valid_time": TIME, "known_at": TIME},
    )


def said(
    version: str,
    candidate: str,
    points: Mapping[int, float],
    *,
    half_width: float = 1.0,
    recipe_id: str | None = None,
) -> pl.DataFrame:
    """What a version says at step 1: origin hour -> point; bands are point +- half width."""
    origins = [at(hour) for hour in points]
    values = list(points.values())
    given = {
        "problem": ["coin_close"] * len(origins),
        "version": [version] * len(origins),
        "candidate": [candidate] * len(origins),
        "recipe_id": [recipe_id or f"{candidate}-1"] * len(origins),
        "series": ["coin"] * len(origins),
        "origin": origins,
        "last_observed": origins,
        "valid_time": [origin + HOUR for origin in origins],
        "step": [1] * len(origins),
        "max_known_at": origins,
        "last_value": [100.0] * len(origins),
        "point": values,
        "lower": [value - half_width for value in values],
        "upper": [value + half_width for value in values],
        "nominal_coverage": [0.9] * len(origins),
    }
    rest = {name: [None] * len(origins) for name in live.SCHEMA if name not in given}
    return pl.DataFrame({**given, **rest}, schema_overrides=live.SCHEMA).select(*live.SCHEMA)


def verdict(
    hour: float,
    version: str,
    candidate: str,
    *,
    strongest: str = "last_value",
    recipe_id: str | None = None,
) -> dict[str, Any]:
    """One verdict's row: `version` holds the alias from `hour` on."""
    record = {"recipe_id": recipe_id or f"{candidate}-1", "strongest_baseline": strongest}
    return {
        "as_of": START + hour * HOUR,
        "decision": "promote",
        "candidate": candidate,
        "version": version,
        "verdict": json.dumps(record),
    }


def history(*verdicts: Mapping[str, Any]) -> pl.DataFrame:
    """Verdicts in the order in which they were written."""
    rows = [{**dict.fromkeys(HISTORY), **row} for row in verdicts]
    return pl.DataFrame(rows, schema=HISTORY)
