"""A small problem of shares for tests: two segments of three brands, two steps ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from mlops_assets.problem import ForecastProblem

DAY: Final = timedelta(days=1)
ORIGIN: Final = datetime(2026, 3, 1, tzinfo=UTC)
BRANDS: Final = ("a", "b", "c")
GENDERS: Final = ("female", "male")


def share_problem(**changes: Any) -> ForecastProblem:  # noqa: ANN401 any part of a problem
    """A problem of shares; `changes` replace parts of it."""
    source = {
        "kind": "values",
        "role": "target",
        "title": "Shares",
        "unit": "%",
        "period": "1d",
        "plausible": [0, 100],
        "start": "2026-01-01T00:00:00Z",
        "keys": {"brand": list(BRANDS), "gender": list(GENDERS)},
        "sums_to": {"total": 100, "within": ["gender"]},
    }
    described = {
        "name": "small_share",
        "title": "Small shares",
        "description": "Shares for tests.",
        "owners": ["team:tests"],
        "frequency": "1d",
        "horizon": 2,
        "target": {"source": "search", "column": "value", "transform": "share"},
        "sources": {"search": source},
        "features": [
            {"kind": "lagged_value", "source": "search", "params": {"lags": [0]}},
            {"kind": "lead", "source": "calendar"},
        ],
        "feature_sets": {"last": ["search_lag_0"]},
        "candidates": {"last_value": {"family": "feature", "baseline": True, "features": "last"}},
        "band": {
            "method": "angular",
            "window": 30,
            "half_life": 15,
            "count_feature": "log_count",
            "level_feature": "mean",
            "calibration": "30d",
        },
        "evaluation": {
            "refit_every": "7d",
            "anchor": "2026-01-01T00:00:00Z",
            "folds": 2,
            "leads": [1, 2],
        },
        "promotion": {"looks_per_year": 52},
        "retrain_cron": "0 6 * * 1",
        "freshness": {
            stage: {"warn_after": "1d", "fail_after": "2d"}
            for stage in ("raw", "features", "models")
        },
    }
    return ForecastProblem.model_validate({**described, **changes})


def share_rows() -> pl.DataFrame:
    """Design rows without features: every series at one origin, by step and segment."""
    rows = [
        {
            "series": f"{brand}/{gender}",
            "segment": gender,
            "origin": ORIGIN,
            "last_observed": ORIGIN,
            "step": step,
            "valid_time": ORIGIN + step * DAY,
            "last_value": 100 / 3,
        }
        for step in (1, 2)
        for gender in GENDERS
        for brand in BRANDS
    ]
    return pl.DataFrame(rows)
