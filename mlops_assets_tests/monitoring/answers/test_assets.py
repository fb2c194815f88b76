from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.ingestion.assets import observations_key
from mlops_assets.monitoring.answers.assets import build_prediction_log_asset, prediction_log_key
from mlops_assets.monitoring.answers.variants import VARIANTS, variants_table
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.storage.io_manager import table_name
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.ingestion.market import HOUR, MAY, fetched, problem, sample, source
from mlops_assets_tests.serving.logs import row, write
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
        resources={
            "tables": Tables(root=str(root)),
            "platform": Platform(),
            "clock": Clock(fixed_at="2025-05-02T00:00:00+00:00"),
        },
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
    write(
        ServingSettings().prediction_log,
        row("a", problem=PROBLEM.name, model_name=f"sample.{PROBLEM.name}"),
    )
    after = materialize(tmp_path)
    assert before["summary"] == "no forecast was ever answered: the service's log does not exist"
    assert (before["inserted"], after["inserted"]) == (0, 1)
    assert after["summary"] == "1 new answered forecasts"
    stored = TableStore(str(tmp_path)).read_delta(f"{PROBLEM.name}/prediction_log")
    assert stored["answer_id"].to_list() == ["a"]


def test_variants_are_compared_with_what_came_true_and_kept_beside_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    store = TableStore(str(tmp_path))
    # The bar that opens at midnight closes, and is known, at one.
    store.write(
        table_name(observations_key(PROBLEM.name)),
        fetched((MAY + HOUR, 100.0)).with_columns(superseded_at=None),
    )
    said = {
        "problem": PROBLEM.name,
        "model_name": f"sample.{PROBLEM.name}",
        "series": "btc",
        "kind": "latest",
        "origin": MAY,
        "valid_time": MAY + HOUR,
        "candidate": "ridge",
        "lower": 90.0,
        "upper": 110.0,
    }
    write(
        ServingSettings().prediction_log,
        row("a", **said, point=103.0, alias="champion", version="1"),
        row("b", **said, point=101.0, alias="challenger", version="2", returned=False),
    )
    shown = materialize(tmp_path)
    variants = store.read(variants_table(PROBLEM.name))
    assert variants.schema == VARIANTS
    assert variants.select("alias", "mae", "loss_difference").rows() == [
        ("champion", 3.0, None),
        ("challenger", 1.0, -2.0),
    ]
    assert shown["verified"] == 2
    lines = str(shown["variants"]).splitlines()
    assert lines[2].startswith("| champion | 1 | `ridge` | yes | 1 | 1 | 3 | 3 | 100.0% |")
    assert lines[3] == (
        "| challenger | 2 | `ridge` | shadow | 1 | 1 | 1 | 1 | 100.0% | 1 | -2 | 1 | 1 "
        "| undecided |"
    )


def test_before_anything_was_observed_there_are_no_variants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    shown = materialize(tmp_path)
    assert (shown["variants"], shown["verified"]) == ("No variant has answered yet.", 0)
    assert TableStore(str(tmp_path)).read(variants_table(PROBLEM.name)).is_empty()
