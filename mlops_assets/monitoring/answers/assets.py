"""The asset `prediction_log`: what the service answered, brought into the tables."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

from datetime import datetime

import dagster as dg
import polars as pl

from mlops_assets.ingestion.assets import observations_key
from mlops_assets.monitoring.answers.collecting import Collected, collect_answers
from mlops_assets.monitoring.answers.reading import LogReader
from mlops_assets.monitoring.answers.variants import compare_variants, no_variants, variants_table
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.storage.io_manager import table_name
from mlops_assets.storage.tables import TableStore


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
            "from the service's log. Delta, by the month of the answer. Beside it lies the table "
            "of variants: who answered, in the open or as a shadow, compared with the champion."
        ),
        owners=list(problem.owners),
        kinds={"deltalake", "fastapi"},
        tags={"stage": "monitoring"},
    )
    def prediction_log(
        tables: Tables, platform: Platform, clock: Clock
    ) -> dg.MaterializeResult[None]:
        settings, store = platform.settings(), tables.store()
        reader = LogReader(
            address=settings.prediction_log,
            problem=problem.name,
            model_name=settings.registered_model(problem.name),
        )
        collected = collect_answers(reader, store, table_name(key))
        variants = _variants(store, problem, as_of=clock.now())
        store.write(variants_table(problem.name), variants)
        return dg.MaterializeResult(
            metadata=_metadata(collected, table_name(key)) | _variant_metadata(variants, problem)
        )

    return prediction_log


def _variants(store: TableStore, problem: ForecastProblem, *, as_of: datetime) -> pl.DataFrame:
    """The variants; none before there are observations.

    These are read by name, since a dependency would make the log wait for them.
    """
    observations = table_name(observations_key(problem.name))
    if not store.exists(observations):
        return no_variants()
    answers = store.scan_delta(table_name(prediction_log_key(problem.name)))
    return compare_variants(answers, store.read(observations), problem, as_of=as_of)


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


def _variant_metadata(
    variants: pl.DataFrame, problem: ForecastProblem
) -> dict[str, dg.MetadataValue]:
    """The table of variants, and how many answers came true (once each)."""
    return {
        "variants": dg.MetadataValue.md(_variants_table(variants, problem.target_source.unit)),
        "verified": dg.MetadataValue.int(int(variants["n"].sum())),
    }


def _variants_table(variants: pl.DataFrame, unit: str) -> str:
    if variants.is_empty():
        return "No variant has answered yet."
    lines = [
        f"| alias | version | candidate | returned | answers | n | MAE, {unit} | RMSE, {unit} "
        f"| coverage | common periods | loss difference, {unit} | e-value better | e-value worse "
        "| verdict |",
        f"|{'---|' * 14}",
    ]
    for row in variants.iter_rows(named=True):
        figures = [_shown(row[name], ",.4g") for name in ("mae", "rmse")]
        compared = [
            _shown(row["loss_difference"], "+,.4g"),
            *(_shown(row[f"{side}_e_value"], ",.3g") for side in ("better", "worse")),
        ]
        who = [row["alias"] or "none", row["version"], f"`{row['candidate']}`"]
        cells = [
            *who,
            "yes" if row["returned"] else "shadow",
            f"{row['answers']:,}",
            f"{row['n']:,}",
            *figures,
            _shown(row["coverage"], ".1%"),
            f"{row['common']:,}",
            *compared,
            row["verdict"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
