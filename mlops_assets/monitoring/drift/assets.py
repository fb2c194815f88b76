"""The asset `drift_report`: what arrives now against what the champion was trained on."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

from datetime import datetime
from typing import Final

import dagster as dg
import polars as pl

from mlops_assets.evaluation.assets import backtest_key
from mlops_assets.features.assets import features_key
from mlops_assets.forecasting.assets import forecasts_key
from mlops_assets.monitoring.drift.columns import champion_forecasts, compared_columns
from mlops_assets.monitoring.drift.errors import share_of_error
from mlops_assets.monitoring.drift.page import draw, page_link, page_path, store_page
from mlops_assets.monitoring.drift.report import SCHEMA, DriftReport, Reference, judge
from mlops_assets.monitoring.drift.wording import column_table, errors_text, summary
from mlops_assets.monitoring.live.assets import live_scores_key
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import Drift, ForecastProblem, ProblemError
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.registry import Registry
from mlops_assets.storage.files import FileStore
from mlops_assets.storage.io_manager import table_name
from mlops_assets.storage.tables import TableStore

_DESCRIPTION: Final = (
    "Features, target and predictions of the newest stretch against the champion's training "
    "window, each with a threshold from its own past, and ADWIN over the champion's errors."
)


def drift_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's drift reports."""
    return dg.AssetKey([problem, "drift_report"])


def build_drift_asset(problem: ForecastProblem) -> dg.AssetsDefinition:
    """The asset `drift_report`, one row per (report, column).

    Raises:
        ProblemError: the problem has no `drift`.
    """
    drift = drift_of(problem)
    key = drift_key(problem.name)

    @dg.asset(
        key=key,
        group_name=problem.name,
        ins={
            "features": dg.AssetIn(features_key(problem.name)),
            "backtest": dg.AssetIn(backtest_key(problem.name)),
            "forecasts": dg.AssetIn(forecasts_key(problem.name)),
            "champion": dg.AssetIn(champion_key(problem.name)),
        },
        deps=[live_scores_key(problem.name)],  # read when it is there: a new problem has none
        description=_DESCRIPTION,
        owners=list(problem.owners),
        kinds={"parquet", "evidently"},
        tags={"stage": "monitoring"},
        io_manager_key="io_manager",
    )
    def drift_report(
        features: pl.DataFrame,
        backtest: pl.DataFrame,
        forecasts: pl.DataFrame,
        champion: pl.DataFrame,
        clock: Clock,
        tables: Tables,
        platform: Platform,
    ) -> dg.MaterializeResult[pl.DataFrame]:
        store, as_of = tables.store(), clock.now()
        registry = Registry(platform.settings(), problem.name)
        reference = training_window(registry, champion["version"][-1])
        said = champion_forecasts(backtest, forecasts, reference.recipe_id)
        shares = share_of_error(
            backtest, _scores(store, problem), problem, recipe_id=reference.recipe_id, as_of=as_of
        )
        compared = compared_columns(features, said, problem, drift)
        report = judge(compared, shares, reference, drift, frequency=problem.frequency, as_of=as_of)
        table = _with_page(store, report, problem)
        return dg.MaterializeResult(value=table, metadata=_metadata(report, table, store.files))

    return drift_report


def drift_of(problem: ForecastProblem) -> Drift:
    """The problem's rules of drift.

    Raises:
        ProblemError: it has none.
    """
    if problem.drift is None:
        raise ProblemError(
            f"{problem.name} has no `drift`, and a drift report needs features, `current` and a "
            "budget of false alarms; add `drift` to its defs.yaml, or build no report for it"
        )
    return problem.drift


def training_window(registry: Registry, version: str) -> Reference:
    """What a registered version was trained on, from its card."""
    _, card = registry.model(version)
    return Reference(
        version=version,
        recipe_id=card.recipe_id,
        training_start=card.training_start,
        refit_at=card.refit_at,
    )


def _scores(store: TableStore, problem: ForecastProblem) -> pl.DataFrame | None:
    """Live forecasts that have come true; None before the first."""
    table = table_name(live_scores_key(problem.name))
    return store.read(table) if store.exists(table) else None


def _with_page(store: TableStore, report: DriftReport, problem: ForecastProblem) -> pl.DataFrame:
    """The history of reports with this one; a repeat at one instant replaces the earlier."""
    path = page_path(problem.name, report.as_of) if report.judged else None
    history = _earlier(store, problem, report.as_of)
    table = pl.concat([history, report.as_frame(path)]).sort("as_of", maintain_order=True)
    return table if path is None else store_page(store.files, table, path, draw(report))


def _earlier(store: TableStore, problem: ForecastProblem, as_of: datetime) -> pl.DataFrame:
    table = table_name(drift_key(problem.name))
    if not store.exists(table):
        return pl.DataFrame(schema=SCHEMA)
    return store.read(table).filter(pl.col("as_of") != as_of)


def _metadata(
    report: DriftReport, table: pl.DataFrame, files: FileStore
) -> dict[str, dg.MetadataValue]:
    rows = table.filter(pl.col("as_of") == report.as_of)
    page = rows["report"][0]
    link = {} if page is None else {"page": dg.MetadataValue.url(page_link(files, page))}
    return {
        "summary": dg.MetadataValue.md(summary(rows)),
        "columns": dg.MetadataValue.md(column_table(rows)),
        "errors": dg.MetadataValue.md(errors_text(report.errors)),
        "share_drifted": dg.MetadataValue.float(report.share_drifted),
        "concept_drift": dg.MetadataValue.int(int(report.concept_drift)),
        "report": dg.MetadataValue.text(page or "none"),
        **link,
    }
