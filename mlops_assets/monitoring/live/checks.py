"""The check of `live_scores`: whether the tests of the champion's forecasts stay quiet."""

from __future__ import annotations

import dagster as dg

from mlops_assets.monitoring.control import faults
from mlops_assets.monitoring.live.assets import live_scores_key
from mlops_assets.orchestration.resources import Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.control_state import control_table


def build_live_scores_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """Warning: `control`."""

    @dg.asset_check(
        asset=live_scores_key(problem.name),
        name="control",
        description="The champion's live forecasts are no worse than its opponents' and its "
        "bands cover what they promise.",
    )
    def control(tables: Tables) -> dg.AssetCheckResult:
        rows = tables.store().read(control_table(problem.name))
        found = faults(rows, problem)
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            description=" ".join(found) or "No test of the champion's live forecasts alarms.",
            metadata={"e_values": {r["test"]: r["e_value"] for r in rows.iter_rows(named=True)}},
        )

    return [control]
