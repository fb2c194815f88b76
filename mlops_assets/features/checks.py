"""The checks of `features`: they read back what was written. The evaluator is `leakage`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import dagster as dg
import polars as pl

from mlops_assets.features.assets import features_key
from mlops_assets.features.leakage import Leak, find_leaks, probe_origins
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.orchestration.resources import Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.storage.io_manager import table_name

PROBES: Final = {"candles": 24, "values": 8}
"""Origins at which the table is computed again, by kind of target: a leak of a slow feature, such
as a day's extreme, changes one value in six only. A table of three years of hourly bars takes
0.1 s each; a year of a panel with a filter of all its series takes a second, and every probe looks
at all of them."""

_MEANING: Final = {
    "no_leakage": "Recomputed with the future removed, nothing changes.",
    "unique_keys": "One row per (series, origin).",
}


def build_feature_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """The checks of `features`, both blocking."""
    key = features_key(problem.name)

    @dg.multi_asset_check(
        name=f"{problem.name}__features_checks",
        specs=[
            dg.AssetCheckSpec(name, asset=key, description=meaning, blocking=True)
            for name, meaning in _MEANING.items()
        ],
    )
    def check_features(tables: Tables) -> Iterator[dg.AssetCheckResult]:
        store = tables.store()
        features = store.read(table_name(key))
        observations = store.read(table_name(observations_key(problem.name)))
        origins = probe_origins(features, count=PROBES[problem.target_source.kind])
        leaks = find_leaks(features, observations, problem, origins=origins)
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="no_leakage",
            passed=not leaks,
            description=_told(leaks, len(origins)),
        )
        repeated = features.filter(pl.struct("series", "origin").is_duplicated())
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name="unique_keys",
            passed=repeated.is_empty(),
            description=f"{len(repeated)} rows share a (series, origin); one row may have it.",
        )

    return [check_features]


def _told(leaks: list[Leak], probes: int) -> str:
    if not leaks:
        return f"{probes} origins computed again from what was known then: nothing changed."
    return (
        f"{len(leaks)} values know the future, first: {leaks[0]}. A feature may use rows up to its "
        "origin only; correct its builder in mlops_assets/features and materialise again."
    )
