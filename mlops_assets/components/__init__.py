"""Dagster components: what a problem's YAML file turns into."""

from mlops_assets.components.forecast_pipeline import ForecastPipeline

__all__ = ["ForecastPipeline"]
