"""The checks of `forecasts`: honest stamps and sound numbers, before anything is published."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import polars as pl

from mlops_assets.evaluation.alignment import copier_is_shifted, misaligned
from mlops_assets.forecasting.assets import forecasts_key
from mlops_assets.forecasting.live import is_finite
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.storage.io_manager import table_name


def build_forecast_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """Blocking: `alignment` and `sound_numbers`."""
    key = forecasts_key(problem.name)
    meaning = {
        "alignment": "max(known_at) <= origin < valid_time; a copier is one step late.",
        "sound_numbers": "Every forecast is a number inside its band.",
    }

    @dg.multi_asset_check(
        name=f"{problem.name}__forecasts_checks",
        specs=[
            dg.AssetCheckSpec(name, asset=key, description=text, blocking=True)
            for name, text in meaning.items()
        ],
    )
    def check_forecasts(clock: Clock, tables: Tables) -> Iterator[dg.AssetCheckResult]:
        store = tables.store()
        # What a run with a later clock has said rests on observations that this one cannot see.
        said = store.read(table_name(key)).filter(pl.col("origin") <= clock.now())
        observations = store.read(table_name(observations_key(problem.name)))
        faults = misaligned(said, frequency=problem.frequency)
        faults += copier_is_shifted(
            said, observations, frequency=problem.frequency, column=problem.target.column
        )
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="alignment",
            passed=not faults,
            description=" ".join(faults) or "Every stamp is honest.",
        )
        sound = is_finite(said)
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="sound_numbers",
            passed=sound,
            description="Every forecast is a number inside its band."
            if sound
            else "A forecast is not finite or lies outside its band; nothing is published; look "
            "at the version that made it",
        )

    return [check_forecasts]
