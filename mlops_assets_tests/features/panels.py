"""Small panels of daily shares in Korea time and their problems: what these tests share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from mlops_assets.features.bars import FloatArray
from mlops_assets.features.panel import Panel, panel_on_grid
from mlops_assets.problem import ForecastProblem
from mlops_assets_tests.features.series import group

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, 15, tzinfo=UTC)
"""End of the first day: 2024-01-02 00:00 in Seoul, so that it is the Monday 2024-01-01 there."""

SERIES = ("가/여", "가/남", "나/여", "나/남")
"""Two brands within two groups, as `panel_problem` names them."""


def day(number: int) -> datetime:
    """End of the day with this number."""
    return START + number * DAY


def panel_problem(
    *groups: dict[str, Any],
    horizon: int = 8,
    season: int = 7,
    transform: str = "share",
    keys: Mapping[str, Sequence[str]] | None = None,
) -> ForecastProblem:
    """A daily problem `tea_share`: target `tea` in Korea time and the exogenous source `rain`.

    The two brands of a group add up to 100, unless another transform than share is asked for.
    """
    share = transform == "share"
    labels = {"brand": ["가", "나"], "party": ["여", "남"]} if keys is None else keys
    angular = {"method": "angular", "half_life": 45, "count_feature": "n", "level_feature": "m"}
    source = {"kind": "values", "unit": "%", "period": "1d", "start": START - DAY}
    return ForecastProblem.model_validate(
        {
            "name": "tea_share",
            "title": "Tea",
            "description": "For tests.",
            "owners": ["team:tests"],
            "frequency": "1d",
            "horizon": horizon,
            "target": {"source": "tea", "column": "value", "transform": transform},
            "sources": {
                "tea": {
                    **source,
                    "role": "target",
                    "title": "Tea",
                    "plausible": [0, 100],
                    "zone": "Asia/Seoul",
                    "keys": labels,
                    **({"sums_to": {"total": 100, "within": ["party"]}} if share else {}),
                },
                "rain": {
                    **source,
                    "role": "exogenous",
                    "title": "Rain",
                    "plausible": [0, 500],
                    "max_age": "3d",
                },
            },
            "features": list(groups),
            "feature_sets": {"all": ["*"]},
            "candidates": {"last_value": {"family": "last_value", "baseline": True}},
            "band": {"window": 90, "calibration": "10d", **(angular if share else {})},
            "evaluation": {
                "refit_every": "7d",
                "anchor": START,
                "folds": 2,
                "season": season,
                "leads": list(range(1, horizon + 1)),
            },
            "promotion": {"looks_per_year": 52},
            "retrain_cron": "0 6 * * 1",
            "freshness": {"features": {"warn_after": "2d", "fail_after": "4d"}},
        }
    )


def random_shares(days: int, *, seed: int = 0) -> FloatArray:
    """Shares (days, 4) in percent, in the order of `SERIES`; each party's two add up to 100."""
    first = np.random.default_rng(seed).uniform(20, 80, (days, 2)).round(2)
    return np.hstack([first, 100 - first])


def observed(
    values: Sequence[Sequence[float]] | FloatArray, series: Sequence[str] = SERIES
) -> pl.DataFrame:
    """Observations of a panel (days, series), each known at the end of its day.

    NaN is a missing row. `rain` is the number of the day, known six hours before the day's end.
    """
    instant = pl.Datetime("us", "UTC")
    rows = [
        {"series": name, "number": number, "value": float(value)}
        for number, of_day in enumerate(values)
        for name, value in zip(series, of_day, strict=True)
        if not np.isnan(value)
    ]
    ends = (START + pl.col("number") * DAY).cast(instant)
    return pl.DataFrame(rows).select(
        "series",
        valid_time=ends,
        known_at=ends,
        superseded_at=pl.lit(None, dtype=instant),
        assumed=pl.lit(value=True),
        value="value",
        rain_value=pl.col("number").cast(pl.Float64),
        rain_valid_time=ends - timedelta(hours=6),
        rain_age_hours=pl.lit(6.0),
    )


def restated(
    observations: pl.DataFrame, series: str, number: int, value: float, *, known_at: datetime
) -> pl.DataFrame:
    """The same with a second version of one value, known later, when it rained 99."""
    chosen = (pl.col("series") == series) & (pl.col("valid_time") == day(number))
    instant = pl.lit(known_at).cast(pl.Datetime("us", "UTC"))
    new = observations.filter(chosen).with_columns(
        value=pl.lit(value), known_at=instant, rain_value=pl.lit(99.0)
    )
    old = observations.with_columns(
        superseded_at=pl.when(chosen).then(instant).otherwise("superseded_at")
    )
    return pl.concat([old, new])


def came_late(
    observations: pl.DataFrame, numbers: Collection[int], *, series: str, known_at: datetime
) -> pl.DataFrame:
    """The same with some values of one series known only at a later instant."""
    chosen = (pl.col("series") == series) & pl.col("valid_time").is_in([day(k) for k in numbers])
    instant = pl.lit(known_at).cast(pl.Datetime("us", "UTC"))
    return observations.with_columns(known_at=pl.when(chosen).then(instant).otherwise("known_at"))


def panel_of(
    values: Sequence[Sequence[float]] | FloatArray, problem: ForecastProblem | None = None
) -> Panel:
    """A panel of four series from its values (days, series)."""
    return panel_on_grid(observed(values), panel_problem() if problem is None else problem)


PANEL_KINDS = (
    group("lagged_value", "tea", lags=[0, 1, 6]),
    group("rolling_mean", "tea", windows=[3, 28]),
    group("rolling_sd", "tea", windows=[7]),
    group("exponential_mean", "tea", alphas=[0.05, 0.3]),
    group("seasonal_value", "tea", season=7),
    group("seasonal_mean", "tea", season=7, count=3),
    group("segment_one_hot", "tea"),
    group("segment_count", "tea", rate=0.1),
    group("share_filter", "tea", group_sd={"party": 0.01}),
    group("as_of_value", "rain"),
    group("as_of_channel_tier", "rain"),
    group("as_of_age", "rain"),
)
"""Every kind of observed feature of a panel."""
