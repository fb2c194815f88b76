"""The assets `forecasts` and `published`."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import dagster as dg
import polars as pl

from mlops_assets.evaluation.assets import backtest_key, report_key
from mlops_assets.features.assets import features_key
from mlops_assets.features.design import lay_rows
from mlops_assets.forecasting import live
from mlops_assets.forecasting.snapshot import INPUT_WINDOW, snapshot_files
from mlops_assets.forecasting.watch_tables import read_watch_tables
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.orchestration.clock import Clock, real_now
from mlops_assets.orchestration.freshness import freshness
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.registry import Registry
from mlops_assets.settings import Settings
from mlops_assets.storage.io_manager import table_name
from mlops_assets.storage.publication import publish
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.assets import model_key
from serving.contract.snapshot import Manifest


def forecasts_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's live forecasts."""
    return dg.AssetKey([problem, "forecasts"])


def published_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's published snapshot."""
    return dg.AssetKey([problem, "published"])


_SHOWN_SERIES: Final = 5
"""Series whose newest forecasts Dagster's page shows."""


def build_forecasts_asset(problem: ForecastProblem) -> dg.AssetsDefinition:
    """The asset `forecasts`: champion's and challengers', one row per version, origin and step."""
    key = forecasts_key(problem.name)

    @dg.asset(
        key=key,
        group_name=problem.name,
        ins={
            "features": dg.AssetIn(features_key(problem.name)),
            "backtest": dg.AssetIn(backtest_key(problem.name)),
            "champion": dg.AssetIn(champion_key(problem.name)),
            **{f"model_{c}": dg.AssetIn(model_key(problem.name, c)) for c in problem.candidates},
        },
        description=(
            "Forecasts of the champion and every newest fit with bands, from the model files that "
            "serve. What was said once is never rewritten."
        ),
        owners=list(problem.owners),
        kinds={"onnx", "parquet"},
        tags={"stage": "forecasting"},
        freshness_policy=freshness(problem.freshness["features"]),
        io_manager_key="io_manager",
    )
    def forecasts(
        features: pl.DataFrame,
        backtest: pl.DataFrame,
        champion: pl.DataFrame,
        tables: Tables,
        platform: Platform,
        **models: pl.DataFrame,
    ) -> dg.MaterializeResult[pl.DataFrame]:
        earlier = _earlier(tables.store(), problem)
        new_origins = live.newest_origins(features, earlier)
        rows = lay_rows(new_origins, problem, steps=range(1, problem.horizon + 1))
        registered = pl.concat(models.values())["version"].drop_nulls().to_list()
        versions = dict.fromkeys([champion["version"][-1], *registered])
        loaded = _load(Registry(platform.settings(), problem.name), list(versions))
        new = [live.forecast(one, rows, backtest, problem) for one in loaded]
        said = live.add_new(earlier, new)
        return dg.MaterializeResult(
            value=said, metadata=_forecast_metadata(said, champion["version"][-1], problem)
        )

    return forecasts


_PUBLISHED_FROM: Final = {
    "features": features_key,
    "observations": observations_key,
    "backtest": backtest_key,
    "forecasts": forecasts_key,
    "evaluation_report": report_key,
    "champion": champion_key,
}


def build_published_asset(
    problem: ForecastProblem, *, watched_by: Sequence[dg.AssetKey] = ()
) -> dg.AssetsDefinition:
    """The asset `published`: the snapshot that the service reads.

    `watched_by` are assets of the stage after this one whose figures it holds, so they go first.
    """

    @dg.asset(
        key=published_key(problem.name),
        group_name=problem.name,
        ins={name: dg.AssetIn(key(problem.name)) for name, key in _PUBLISHED_FROM.items()},
        deps=list(watched_by),
        description="What serving reads: a versioned snapshot, its manifest written last.",
        owners=list(problem.owners),
        kinds={"parquet", "fastapi"},
        tags={"stage": "forecasting"},
    )
    def published(
        context: dg.AssetExecutionContext,
        clock: Clock,
        tables: Tables,
        platform: Platform,
        features: pl.DataFrame,
        observations: pl.DataFrame,
        backtest: pl.DataFrame,
        forecasts: pl.DataFrame,
        evaluation_report: pl.DataFrame,
        champion: pl.DataFrame,
    ) -> dg.MaterializeResult[None]:
        recent = features.filter(pl.col("origin") > pl.col("origin").max() - INPUT_WINDOW)
        rows = lay_rows(recent, problem, steps=range(1, problem.horizon + 1))
        store, as_of, settings = tables.store(), clock.now(), platform.settings()
        files = snapshot_files(
            problem,
            rows=rows,
            observations=observations,
            backtest=backtest,
            forecasts=forecasts,
            leaderboard=evaluation_report,
            champion=champion,
            watched=read_watch_tables(store, problem.name, namespace=settings.namespace),
            as_of=as_of,
        )
        draft = _draft(problem, settings, store, as_of, context.run.run_id)
        return dg.MaterializeResult(
            metadata=_published_metadata(publish(store, draft, files), settings.api_page)
        )

    return published


def _earlier(store: TableStore, problem: ForecastProblem) -> pl.DataFrame:
    """What was said before; what its check stopped is set aside, to be said anew."""
    table = table_name(forecasts_key(problem.name))
    if not store.exists(table):
        return live.empty()
    sound, stopped = live.split_sound(store.read(table), frequency=problem.frequency)
    if not stopped.is_empty():
        store.write(f"{problem.name}/quarantine_forecasts", stopped)
    return sound


def _load(registry: Registry, versions: list[str]) -> list[live.LoadedVersion]:
    loaded = []
    for version in versions:
        model, card = registry.model(version)
        loaded.append(live.LoadedVersion(version, card.mlflow_run_id, model, card))
    return loaded


def _forecast_metadata(
    said: pl.DataFrame, champion: str, problem: ForecastProblem
) -> dict[str, dg.MetadataValue]:
    newest = said.filter(pl.col("version") == champion).tail(
        problem.horizon * min(len(problem.series), _SHOWN_SERIES)
    )
    lines = [
        f"| {r['series']} | {r['valid_time']:%Y-%m-%d %H:%M} UTC | {r['point']:,.2f} "
        f"| {r['lower']:,.2f} to {r['upper']:,.2f} |"
        for r in newest.iter_rows(named=True)
    ]
    head = (
        f"| series | valid time | point, {problem.target_source.unit} | band |\n|---|---|---|---|"
    )
    return {
        "newest": dg.MetadataValue.md("\n".join([head, *lines])),
        "newest_origin": dg.MetadataValue.text(str(said["origin"].max())),
        "champion_version": dg.MetadataValue.text(champion),
        "versions": dg.MetadataValue.int(said["version"].n_unique()),
    }


def _draft(
    problem: ForecastProblem, settings: Settings, store: TableStore, as_of: datetime, run_id: str
) -> Manifest:
    return Manifest(
        snapshot_id="",
        problem=problem.name,
        title=problem.title,
        unit=problem.target_source.unit,
        as_of=as_of,
        created_at=real_now(),
        frequency_seconds=problem.frequency.total_seconds(),
        horizon=problem.horizon,
        stale_after_seconds=problem.freshness["features"].fail_after.total_seconds(),
        synthetic=settings.data == "sample",
        data_mode=settings.data,
        data_version=store.data_version(table_name(features_key(problem.name))),
        dagster_run_id=run_id,
        registered_model=settings.registered_model(problem.name),
        series_keys=problem.series_keys,
        files={},
    )


def _published_metadata(manifest: Manifest, api: str) -> dict[str, dg.MetadataValue]:
    lines = [f"| {n} | {e.rows or ''} | {e.size_bytes} |" for n, e in manifest.files.items()]
    return {
        "snapshot_id": dg.MetadataValue.text(manifest.snapshot_id),
        "served_as": dg.MetadataValue.url(f"{api}/forecasts/{manifest.problem}/latest"),
        "data_version": dg.MetadataValue.text(manifest.data_version),
        "files": dg.MetadataValue.md(
            "\n".join(["| file | rows | bytes |", "|---|---|---|", *lines])
        ),
    }
