from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.monitoring.answers.assets import build_prediction_log_asset, prediction_log_key
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.ingestion.market import problem, sample, source
from mlops_assets_tests.serving.logs import row
from serving.log_database import LogDatabase
from serving.settings import ServingSettings

PROBLEM = problem(btc=source(sample=sample()))

pytestmark = pytest.mark.filterwarnings(
    # Dagster falls back to the old attribute for a resource without fields.
    "ignore:The `__fields__` attribute:pydantic.PydanticDeprecatedSince20",
)


def materialize(root: Path) -> dict[str, object]:
    """Metadata of one materialisation into the tables below `root`."""
    result = dg.materialize(
        [build_prediction_log_asset(PROBLEM)],
        resources={"tables": Tables(root=str(root)), "platform": Platform()},
    )
    (event,) = result.asset_materializations_for_node(
        "__".join(prediction_log_key(PROBLEM.name).path)
    )
    return {name: value.value for name, value in event.metadata.items()}


def test_what_the_service_logged_under_its_defaults_is_found_under_the_pipelines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    before = materialize(tmp_path)
    log = LogDatabase(ServingSettings().prediction_log)
    log.open()
    log.insert([row("a", problem=PROBLEM.name, model_name=f"sample.{PROBLEM.name}")])
    after = materialize(tmp_path)
    assert before["summary"] == "no forecast was ever answered: the service's log does not exist"
    assert (before["inserted"], after["inserted"]) == (0, 1)
    assert after["summary"] == "1 new answered forecasts"
    stored = TableStore(str(tmp_path)).read_delta(f"{PROBLEM.name}/prediction_log")
    assert stored["answer_id"].to_list() == ["a"]
