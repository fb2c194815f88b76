"""A code location whose day is quick: two small problems on sample data, on a clock that runs.

Dagster's own processes load it. Time is real for Dagster and 240 times as fast for the problems,
and always in the past. The file that MLOPS_TEST_STOPPED names stops the sources while it exists:
they then know nothing after the instant that is written in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import polars as pl

from mlops_assets.components.forecast_pipeline import build_problem_definitions
from mlops_assets.definitions import shared_definitions
from mlops_assets.ingestion import sample
from mlops_assets.orchestration.clock import Clock, real_now
from mlops_assets.problem import ForecastProblem
from mlops_assets.settings import load_settings
from mlops_assets_tests.end_to_end.unattended.problems import share_problem, walk_problem

SPEED: Final = 240.0
BEGAN: Final = datetime.fromisoformat(os.environ["MLOPS_TEST_BEGAN"])
"""Real instant at which the quick clock showed `START`."""
START: Final = BEGAN - timedelta(days=2)


class QuickClock(Clock):
    """Shows `START` at `BEGAN` and runs `SPEED` times as fast as time."""

    def now(self) -> datetime:
        """An instant of the quick day, at most the real one."""
        if self.fixed_at:
            return super().now()
        return min(START + SPEED * (real_now() - BEGAN), real_now())


def stopping(fetch: Callable[..., pl.DataFrame]) -> Callable[..., pl.DataFrame]:
    """The sample's `fetch`, blind to what came after the sources were stopped."""
    flag = Path(os.environ["MLOPS_TEST_STOPPED"])

    def blind(*args: Any, fetched_at: datetime, **kwargs: Any) -> pl.DataFrame:  # noqa: ANN401
        stopped = datetime.fromisoformat(flag.read_text()) if flag.exists() else None
        rows = fetch(*args, fetched_at=fetched_at, **kwargs)
        if stopped is None:
            return rows
        return rows.filter(pl.col("known_at") <= stopped.astimezone(UTC))

    return blind


def problems() -> list[ForecastProblem]:
    """What this location forecasts."""
    return [walk_problem(START), share_problem(START)]


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    sample.fetch = stopping(sample.fetch)
    settings, described = load_settings(), problems()
    return dg.Definitions.merge(
        *(build_problem_definitions(problem, settings) for problem in described),
        shared_definitions(described, settings, QuickClock()),
    )
