"""The assets `model_<candidate>`: one final fit for each recipe, logged and registered."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

from datetime import datetime

import dagster as dg
import polars as pl

from mlops_assets.features.assets import features_key
from mlops_assets.features.design import training_rows
from mlops_assets.ingestion.assets import observations_key, raw_key
from mlops_assets.orchestration.freshness import freshness
from mlops_assets.orchestration.mlflow_run import mlflow_key
from mlops_assets.orchestration.pools import TRAINING_POOL
from mlops_assets.problem import ForecastProblem
from mlops_assets.settings import Settings
from mlops_assets.storage.io_manager import table_name
from mlops_assets.training.families import FAMILIES
from mlops_assets.training.final_fit import FinalFit, fit_and_register
from mlops_assets.training.model_card import Provenance
from mlops_assets.training.recipe import code_version, recipes_of
from mlops_assets.training.tracking import run_link


def model_key(problem: str, candidate: str) -> dg.AssetKey:
    """Asset key of a candidate's final fit."""
    return dg.AssetKey([problem, f"model_{candidate}"])


def build_model_assets(problem: ForecastProblem) -> list[dg.AssetsDefinition]:
    """One asset for each candidate."""
    return [_model_asset(problem, name) for name in problem.candidates]


def _model_asset(problem: ForecastProblem, name: str) -> dg.AssetsDefinition:
    candidate = problem.candidates[name]
    role = "baseline" if candidate.baseline else "candidate"
    library = FAMILIES[candidate.family].library
    key = model_key(problem.name, name)

    @dg.asset(
        key=key,
        group_name=problem.name,
        ins={
            "features": dg.AssetIn(features_key(problem.name)),
            "observations": dg.AssetIn(observations_key(problem.name)),
        },
        description=(
            f"{role.capitalize()} `{name}`, fitted up to the newest origin: ONNX with its card, "
            "registered in MLflow."
        ),
        owners=list(problem.owners),
        kinds={"onnx", "mlflow", *({library} if library else ())},
        tags={"stage": "training", "role": role},
        metadata={"retrain_cron": problem.retrain_cron, "family": candidate.family},
        code_version=code_version(),
        pool=TRAINING_POOL,
        freshness_policy=freshness(problem.freshness["models"]),
        io_manager_key="io_manager",
        required_resource_keys={mlflow_key(problem.name), "clock", "tables", "platform"},
    )
    def model(
        context: dg.AssetExecutionContext,
        features: pl.DataFrame,
        observations: pl.DataFrame,
    ) -> dg.MaterializeResult[pl.DataFrame]:
        rows = training_rows(features, observations, problem)
        recipe = recipes_of(problem, features, rows)[name]
        done = fit_and_register(
            recipe,
            rows,
            problem,
            refit_at=newest_origin(features),
            provenance=_provenance(context, problem),
            settings=context.resources.platform.settings(),
            fits=context.resources.tables.fits(),
        )
        return dg.MaterializeResult(
            value=done.as_frame(), metadata=_metadata(done, context.resources.platform.settings())
        )

    return model


def newest_origin(features: pl.DataFrame) -> datetime:
    """The cutoff of a final fit: nothing newer is known, and it may forecast from here on."""
    newest = features["origin"].max()
    assert isinstance(newest, datetime)
    return newest


def _provenance(context: dg.AssetExecutionContext, problem: ForecastProblem) -> Provenance:
    store, settings = context.resources.tables.store(), context.resources.platform.settings()
    keys = {f"raw_{s}": raw_key(problem.name, s) for s in problem.sources}
    keys["observations"] = observations_key(problem.name)
    keys["features"] = features_key(problem.name)
    return Provenance(
        as_of=context.resources.clock.now(),
        data_versions={name: store.data_version(table_name(key)) for name, key in keys.items()},
        dagster_run_id=context.run.run_id,
        synthetic=settings.data == "sample",
    )


def _metadata(done: FinalFit, settings: Settings) -> dict[str, dg.MetadataValue]:
    return {
        "version": dg.MetadataValue.text(done.version or "not registered"),
        "refit_at": dg.MetadataValue.text(done.refit_at.isoformat()),
        "recipe_id": dg.MetadataValue.text(done.recipe_id),
        "mlflow_run": dg.MetadataValue.md(run_link(settings, done.run_id)),
        "training_rows": dg.MetadataValue.int(done.training_rows),
        "data_version": dg.MetadataValue.text(done.data_version),
        "tail_error_ratio": dg.MetadataValue.float(done.tail_ratio or float("nan")),
        "parity_differing_share": dg.MetadataValue.float(
            float("nan") if done.parity_share is None else done.parity_share
        ),
    }
