"""The component that turns a problem's YAML into its asset graph, checks, automation and job.

It calls the builders of the stages and decides nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
from pydantic import BaseModel

from mlops_assets.automation.conditions import automate
from mlops_assets.automation.sensors import build_automation_sensors
from mlops_assets.evaluation.assets import build_backtest_asset, build_report_asset
from mlops_assets.evaluation.checks import build_backtest_checks
from mlops_assets.features.assets import build_features_asset
from mlops_assets.features.checks import build_feature_checks
from mlops_assets.features.feature_set import check_feature_sets, check_groups
from mlops_assets.forecasting.assets import build_forecasts_asset, build_published_asset
from mlops_assets.forecasting.checks import build_forecast_checks
from mlops_assets.ingestion.assets import build_observations_asset, build_raw_assets
from mlops_assets.ingestion.checks import build_observation_checks, build_raw_checks
from mlops_assets.monitoring.answers.assets import build_prediction_log_asset, prediction_log_key
from mlops_assets.monitoring.drift.assets import build_drift_asset, drift_key
from mlops_assets.monitoring.drift.checks import build_drift_checks
from mlops_assets.monitoring.live.assets import build_live_scores_asset, live_scores_key
from mlops_assets.monitoring.live.checks import build_live_scores_checks
from mlops_assets.orchestration.mlflow_run import mlflow_key, mlflow_resource
from mlops_assets.orchestration.pools import PROBLEM_TAG
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.assets import build_champion_asset
from mlops_assets.settings import Settings, load_settings
from mlops_assets.training.assets import build_model_assets
from mlops_assets.training.checks import build_model_checks
from mlops_assets.training.families import check_families
from mlops_assets.training.tracking import ensure_experiment


@dataclass
class ForecastPipeline(dg.Component):
    """A forecast problem: the whole loop from raw values to the published champion."""

    problem: ForecastProblem

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The YAML's `attributes` are a `ForecastProblem`."""
        return ForecastProblem

    @classmethod
    def load(
        cls, attributes: BaseModel | None, context: dg.ComponentLoadContext
    ) -> ForecastPipeline:
        """The component of checked attributes."""
        assert isinstance(attributes, ForecastProblem)
        return cls(problem=attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of this problem."""
        return build_problem_definitions(self.problem, load_settings())


def loop_job_name(problem: str) -> str:
    """Name of the job that runs a problem's whole loop."""
    return f"{problem}_loop"


def build_assets(problem: ForecastProblem) -> list[dg.AssetsDefinition]:
    """The assets of a problem, in the order of the graph."""
    watched_by = [live_scores_key(problem.name)]
    drift = []
    if problem.drift is not None:
        watched_by.append(drift_key(problem.name))
        drift.append(build_drift_asset(problem))
    return [
        *build_raw_assets(problem),
        build_observations_asset(problem),
        build_features_asset(problem),
        build_backtest_asset(problem),
        *build_model_assets(problem),
        build_report_asset(problem),
        build_champion_asset(problem),
        build_forecasts_asset(problem),
        build_live_scores_asset(problem),
        *drift,
        build_prediction_log_asset(problem),
        build_published_asset(problem, watched_by=watched_by),
    ]


def apart_from_the_loop(problem: str) -> list[dg.AssetKey]:
    """What has a rhythm of its own: a day's drift report, the answers of the service."""
    return [drift_key(problem), prediction_log_key(problem)]


def build_problem_definitions(problem: ForecastProblem, settings: Settings) -> dg.Definitions:
    """Assets, checks, automation, job and MLflow resource of one problem.

    Raises:
        ProblemError: a feature kind, a parameter or a family does not exist, or a cron expression
            is none.
        SettingsError: the pace of automation is no cron expression.
    """
    check_groups(problem)
    check_feature_sets(problem)
    check_families(problem)
    assets = automate(problem, build_assets(problem), pace=settings.automation_pace)
    keys = {key for asset in assets for key in asset.keys}
    job = dg.define_asset_job(
        loop_job_name(problem.name),
        selection=dg.AssetSelection.groups(problem.name)
        - dg.AssetSelection.assets(*keys.intersection(apart_from_the_loop(problem.name))),
        description=f"{problem.title}: everything from raw values to the published champion.",
        executor_def=dg.in_process_executor,
        tags={PROBLEM_TAG: problem.name},
    )
    return dg.Definitions(
        assets=assets,
        asset_checks=[
            *build_raw_checks(problem),
            *build_observation_checks(problem),
            *build_feature_checks(problem),
            *build_backtest_checks(problem),
            *build_model_checks(problem),
            *build_forecast_checks(problem),
            *build_live_scores_checks(problem),
            *(build_drift_checks(problem) if problem.drift is not None else ()),
        ],
        jobs=[job],
        sensors=build_automation_sensors(problem, settings, keys),
        resources={
            mlflow_key(problem.name): mlflow_resource(
                settings, problem.name, prepare=lambda: ensure_experiment(settings, problem.name)
            )
        },
    )
