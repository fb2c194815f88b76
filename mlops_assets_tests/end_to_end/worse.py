"""A champion made worse on purpose: its recipe, fitted as ever, with a location that is off."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import mlflow
import polars as pl

from mlops_assets.features.design import add_targets, calendar_columns, feature_columns, lay_rows
from mlops_assets.features.information import uninformative
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.registry import RegisteredVersion, Registry
from mlops_assets.training.final_fit import newest_rows, with_tail_calibration
from mlops_assets.training.fit import FittedRecipe, fit_recipe
from mlops_assets.training.forecaster import FloatArray, Location
from mlops_assets.training.model_card import Provenance, build_card, build_example
from mlops_assets.training.onnx_export import export, require_parity
from mlops_assets.training.onnx_graph import GraphBuilder
from mlops_assets.training.recipe import build_recipes
from mlops_assets.training.tracking import ModelRun
from mlops_assets_tests.end_to_end.world import World
from serving.contract.model_card import ModelCard


@dataclass(frozen=True)
class Shifted:
    """A location plus a constant, in units of the forecast scale where the recipe has them."""

    location: Location
    by: float

    def predict(self, features: FloatArray) -> FloatArray:
        return self.location.predict(features) + self.by

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        location = self.location.add_to_graph(graph, features)
        return graph.node("Add", location, graph.constant_column(location, self.by))

    def describe(self) -> dict[str, float | int | str]:
        return self.location.describe()


def register_worse(world: World, problem: ForecastProblem, *, by: float) -> RegisteredVersion:
    """Make the newest fit of the champion's recipe one whose location is shifted.

    Tags and card are like any version's, and the model's asset names it, so that forecasting anew
    with the newest fit mends nothing. The pipeline itself refuses to register so bad a fit
    (`final_fit.require_sane`).

    Args:
        world: entered, with a champion.
        problem: its problem.
        by: shift in standard deviations of an hour's return.
    """
    registry = Registry(world.settings, problem.name)
    holder = registry.holder()
    assert holder is not None
    _, card = registry.model(holder.version)
    rows = _rows(world, problem)
    fitted = _fitted(world, problem, holder, rows, by=by)
    laid = with_tail_calibration(fitted, newest_rows(rows, origins=problem.band.window), problem)
    model = export(fitted, problem)
    require_parity(model, fitted, laid, problem)
    tags = {
        "candidate": holder.candidate,
        "recipe_id": holder.recipe_id,
        "as_of": holder.as_of.isoformat(),
        "data_version": holder.data_version,
    }
    mlflow.set_tracking_uri(world.settings.tracking_uri)
    mlflow.set_experiment(world.settings.registered_model(problem.name))
    with mlflow.start_run(), ModelRun("worse", tags) as run:
        worse = build_card(
            problem,
            fitted,
            model_sha256=hashlib.sha256(model).hexdigest(),
            example=build_example(model, fitted, laid, problem),
            advance=frozenset(calendar_columns(problem)),
            provenance=_provenance(card).of_run(run.run_id),
        )
        version = run.register(world.settings, worse, model, tags).version
    asset = f"{problem.name}/model_{holder.candidate}"
    world.store.write(asset, world.store.read(asset).with_columns(version=pl.lit(version)))
    return next(v for v in registry.versions() if v.version == version)


def _fitted(
    world: World,
    problem: ForecastProblem,
    holder: RegisteredVersion,
    rows: pl.DataFrame,
    *,
    by: float,
) -> FittedRecipe:
    left_out = uninformative(world.table("features"), problem)
    recipe = build_recipes(problem, feature_columns(rows), left_out=left_out)[holder.candidate]
    assert recipe.recipe_id == holder.recipe_id
    fitted = fit_recipe(recipe, rows, refit_at=holder.as_of)
    assert fitted.is_scaled
    return replace(fitted, location=Shifted(fitted.location, by))


def _rows(world: World, problem: ForecastProblem) -> pl.DataFrame:
    features, observations = world.table("features"), world.table("observations")
    return add_targets(lay_rows(features, problem, steps=[1]), observations, problem)


def _provenance(card: ModelCard) -> Provenance:
    return Provenance(
        as_of=card.as_of,
        data_versions=card.data_versions,
        dagster_run_id=card.dagster_run_id,
        synthetic=card.synthetic,
    )
