"""Thousands of generated requests to every operation of the API.

`MLOPS_SOAK_CASES` (default 5000) sets how many there are at least.
"""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

import pytest

from mlops_assets_tests.serving.api_fuzzing import fuzz, home_of, operations_of
from mlops_assets_tests.serving.whole_world import add_admin, whole_service, whole_world

pytestmark = [pytest.mark.soak, pytest.mark.services, pytest.mark.timeout(0)]

CASES = int(os.environ.get("MLOPS_SOAK_CASES", "5000"))
CASES_AN_EXAMPLE = 1.6
"""Operations without a parameter have no bad input, and few good ones."""


def test_thousands_of_generated_requests_get_documented_answers_and_no_fault_of_the_service(
    tmp_path: Path,
) -> None:
    from mlflow import MlflowClient

    registry = tmp_path / "mlflow.db"
    MlflowClient(f"sqlite:///{registry}").search_registered_models()
    world = whole_world(tmp_path, registry)
    key = add_admin(world)
    with whole_service(world) as client:
        examples = ceil(CASES / len(list(operations_of(client))) / CASES_AN_EXAMPLE)
        outcome = fuzz(client, key=key, examples=examples, secrets=home_of(world.home))
        print(f"{outcome.cases} cases; answers by status: {outcome.by_status}")
        assert outcome.faults == {}
        assert outcome.cases >= CASES
        unanswered = {label for label, _ in outcome.statuses} - {
            label for label, status in outcome.statuses if status == 200
        }
        assert unanswered == set(), "generated input never got past their checks"
        assert client.get("/v1/forecasts/bitcoin_close/latest").status_code == 200
