"""The check `drift` of `drift_report`: a warning that automation answers with a retraining."""

from __future__ import annotations

import dagster as dg

from mlops_assets.monitoring.drift.assets import drift_key
from mlops_assets.monitoring.drift.wording import is_alarm, newest_rows, summary
from mlops_assets.orchestration.resources import Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.storage.io_manager import table_name


def build_drift_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """Warning: `drift`, on the newest report."""
    key = drift_key(problem.name)

    @dg.asset_check(
        name="drift",
        asset=key,
        description=(
            "No column is beyond its calibrated threshold, and the champion's errors have not "
            "risen. The thresholds share the budget of false alarms, so one column is enough."
        ),
    )
    def check_drift(tables: Tables) -> dg.AssetCheckResult:
        rows = newest_rows(tables.store().read(table_name(key)))
        alarm = is_alarm(rows)
        remedy = (
            f" Retraining is requested by automation, at most once in {problem.retrain_cooldown}; "
            "look at the report for what changed."
        )
        return dg.AssetCheckResult(
            passed=not alarm,
            severity=dg.AssetCheckSeverity.WARN,
            description=summary(rows) + (remedy if alarm else ""),
        )

    return [check_drift]
