"""The asset `features`: the wiring of `feature_set` to Dagster."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

import dagster as dg
import polars as pl

from mlops_assets.features.feature_set import INDEX, compute_features
from mlops_assets.features.information import uninformative
from mlops_assets.features.stepwise import columns_by_design_name
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.orchestration.code_version import fingerprint
from mlops_assets.orchestration.freshness import freshness
from mlops_assets.problem import ForecastProblem


def features_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's feature table."""
    return dg.AssetKey([problem, "features"])


def build_features_asset(problem: ForecastProblem) -> dg.AssetsDefinition:
    """The asset `features`, one row per (series, origin)."""

    @dg.asset(
        key=features_key(problem.name),
        group_name=problem.name,
        ins={"observations": dg.AssetIn(observations_key(problem.name))},
        description=(
            "What could be known at each origin, as numbers: one row per (series, origin). "
            "Targets never live here; calendar features are joined by valid time."
        ),
        owners=list(problem.owners),
        kinds={"parquet", "polars"},
        tags={"stage": "features"},
        code_version=fingerprint("features"),
        freshness_policy=freshness(problem.freshness["features"]),
        io_manager_key="io_manager",
    )
    def features(
        context: dg.AssetExecutionContext, observations: pl.DataFrame
    ) -> dg.MaterializeResult[pl.DataFrame]:
        table = compute_features(observations, problem)
        left_out = uninformative(table, problem)
        for name, reason in left_out.items():
            context.log.info(f"feature {name} carries no information: {reason}")
        return dg.MaterializeResult(value=table, metadata=_metadata(table, left_out))

    return features


def _metadata(table: pl.DataFrame, left_out: dict[str, str]) -> dict[str, dg.MetadataValue]:
    names = columns_by_design_name(c for c in table.columns if c not in INDEX)
    missing = {
        name: table.select(pl.mean_horizontal(pl.col(columns).is_null().mean())).item()
        for name, columns in names.items()
    }
    return {
        "features": dg.MetadataValue.int(len(names)),
        "first_origin": dg.MetadataValue.text(str(table["origin"].min())),
        "newest_origin": dg.MetadataValue.text(str(table["origin"].max())),
        "missing": _two_columns("missing", {n: f"{share:.1%}" for n, share in missing.items()}),
        "left_out": _two_columns("carries no information", left_out),
    }


def _two_columns(heading: str, by_feature: dict[str, str]) -> dg.MetadataValue:
    lines = [f"| {name} | {text} |" for name, text in by_feature.items()]
    table = "\n".join([f"| feature | {heading} |", "|---|---|", *lines])
    return dg.MetadataValue.md(table if lines else "none")
