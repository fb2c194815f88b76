"""The asset `prediction_log`: what the service answered, brought into the tables."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

import dagster as dg

from mlops_assets.monitoring.answers.collecting import Collected, collect_answers
from mlops_assets.monitoring.answers.reading import LogReader
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.storage.io_manager import table_name


def prediction_log_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's answered forecasts."""
    return dg.AssetKey([problem, "prediction_log"])


def build_prediction_log_asset(problem: ForecastProblem) -> dg.AssetsDefinition:
    """The asset `prediction_log`, one row per answered forecast."""
    key = prediction_log_key(problem.name)

    @dg.asset(
        key=key,
        group_name=problem.name,
        description=(
            "Every forecast that the service answered, with what it rested on, added once each "
            "from the service's log. Delta, by the month of the answer."
        ),
        owners=list(problem.owners),
        kinds={"deltalake", "fastapi"},
        tags={"stage": "monitoring"},
    )
    def prediction_log(tables: Tables, platform: Platform) -> dg.MaterializeResult[None]:
        settings = platform.settings()
        reader = LogReader(
            address=settings.prediction_log,
            problem=problem.name,
            model_name=settings.registered_model(problem.name),
        )
        collected = collect_answers(reader, tables.store(), table_name(key))
        return dg.MaterializeResult(metadata=_metadata(collected, table_name(key)))

    return prediction_log


def _metadata(collected: Collected, table: str) -> dict[str, dg.MetadataValue]:
    newest = collected.newest_answered_at
    said = (
        f"{collected.inserted} new answered forecasts"
        if collected.log_exists
        else "no forecast was ever answered: the service's log does not exist"
    )
    return {
        "summary": dg.MetadataValue.md(said),
        "inserted": dg.MetadataValue.int(collected.inserted),
        "read_again": dg.MetadataValue.int(collected.repeated),
        "newest_answered_at": dg.MetadataValue.text("none" if newest is None else str(newest)),
        "table": dg.MetadataValue.text(table),
    }
