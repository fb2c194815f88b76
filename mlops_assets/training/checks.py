"""The check of `model_<candidate>`: was the fit good enough to be registered?

It does not block: an insane fit is a normal outcome, the gate leaves it out and says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from mlops_assets.orchestration.resources import Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.storage.io_manager import table_name
from mlops_assets.training.assets import model_key


def build_model_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """One check for each model, in one operation."""
    keys = [model_key(problem.name, name) for name in problem.candidates]

    @dg.multi_asset_check(
        name=f"{problem.name}__model_checks",
        specs=[
            dg.AssetCheckSpec(
                "sane_and_equal_to_its_export",
                asset=key,
                description="Finite, plausible on its newest rows, and the same in ONNX.",
            )
            for key in keys
        ],
    )
    def check_models(tables: Tables) -> Iterator[dg.AssetCheckResult]:
        store = tables.store()
        for key in keys:
            fault = store.read(table_name(key))["fault"][0]
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name="sane_and_equal_to_its_export",
                passed=fault is None,
                description=fault or "Sane on its newest rows; ONNX and Python agree.",
            )

    return [check_models]
