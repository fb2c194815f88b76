from __future__ import annotations

import importlib.util
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import yaml
from alembic.script import ScriptDirectory
from dagster._core.instance.config import PoolGranularity

from mlops_assets.cli import stores
from mlops_assets.orchestration.pools import PROBLEM_TAG
from mlops_assets.settings import Settings


def write_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))


def test_the_newest_revision_is_the_one_alembic_finds() -> None:
    spec = importlib.util.find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    migrations = ScriptDirectory(str(Path(spec.origin).parent / "store" / "db_migrations"))
    assert stores.mlflow_schema_head() == migrations.get_current_head()


@pytest.mark.parametrize("newest", [True, False])
def test_a_store_is_current_only_at_the_newest_revision(tmp_path: Path, newest: bool) -> None:
    path = tmp_path / "mlflow.db"
    write_revision(path, stores.mlflow_schema_head() if newest else "451aebb31d03")
    assert stores.mlflow_schema_is_current(f"sqlite:///{path}") is newest


def test_a_store_that_does_not_exist_yet_is_not_current(tmp_path: Path) -> None:
    assert not stores.mlflow_schema_is_current(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_a_database_that_does_not_answer_is_named_with_its_setting(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'no folder' / 'mlflow.db'}"
    with pytest.raises(stores.StoreError, match="MLOPS_MLFLOW_TRACKING_URI"):
        stores.mlflow_schema_is_current(uri)


@pytest.mark.services
def test_fresh_stores_are_prepared_once_and_then_left_alone(settings: Settings) -> None:
    told: list[str] = []
    stores.prepare(settings, told.append)
    assert told == ["Preparing MLflow's store", "Preparing Dagster's store"]
    database = settings.namespace / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert {"experiments", "runs", "registered_models", "alembic_version"} <= tables
    stores.prepare(settings, told.append)
    assert len(told) == 2


def test_dagster_accepts_the_configuration_and_keeps_its_state_in_its_home(
    tmp_path: Path,
) -> None:
    stores.write_dagster_configuration(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.telemetry_enabled is False
        assert instance.get_concurrency_config().run_queue_config is not None
        assert instance.get_runs_count() == 0
    assert (tmp_path / "storage" / "history" / "runs.db").exists()
    limits = yaml.safe_load((tmp_path / "dagster.yaml").read_text(encoding="utf-8"))
    assert limits["concurrency"]["runs"]["max_concurrent_runs"] == 2


def test_runs_of_one_problem_take_turns_and_so_do_trainings(tmp_path: Path) -> None:
    stores.write_dagster_configuration(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        found = instance.get_concurrency_config()
    assert found.run_queue_config is not None
    assert found.run_queue_config.tag_concurrency_limits == [
        {"key": PROBLEM_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    ]
    assert found.pool_config.default_pool_limit == 1
    assert found.pool_config.pool_granularity == PoolGranularity.RUN


def test_an_edited_dagster_configuration_is_put_right(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: true}\n", encoding="utf-8")
    stores.write_dagster_configuration(tmp_path)
    written = yaml.safe_load((tmp_path / "dagster.yaml").read_text(encoding="utf-8"))
    assert written["telemetry"] == {"enabled": False}
