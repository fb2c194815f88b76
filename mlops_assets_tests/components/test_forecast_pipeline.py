from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

import mlops_assets
from mlops_assets.components.forecast_pipeline import (
    ForecastPipeline,
    build_problem_definitions,
    loop_job_name,
)
from mlops_assets.definitions import shared_resources
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.pools import PROBLEM_TAG
from mlops_assets.problem import ProblemError, load_problem
from mlops_assets.settings import Settings
from mlops_assets_tests.end_to_end import planted

pytestmark = pytest.mark.filterwarnings(
    # Dagster's component system reads YAML by a function that pydantic deprecates.
    "ignore:`parse_obj_as` is deprecated:pydantic.PydanticDeprecatedSince20",
)

NAME = "bitcoin_close"
SOURCES = ("btc", "ndx", "vix", "gold")
CANDIDATES = ("last_value", "drift", "ridge", "random_forest", "hist_gradient_boosting", "lstm")


def with_resources(defs: dg.Definitions) -> dg.Definitions:
    """Definitions with what all problems share."""
    resources = shared_resources(Settings(), Clock())
    return dg.Definitions.merge(defs, dg.Definitions(resources=resources))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.Definitions]:
    """What Dagster's component system makes of the shipped `defs.yaml`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MLOPS_DATA", "sample")
        package = Path(mlops_assets.__file__).parent
        yield with_resources(dg.load_from_defs_folder(path_within_project=package))


@pytest.fixture(scope="module")
def specs(shipped: dg.Definitions) -> dict[str, dg.AssetSpec]:
    """The problem's assets by the last part of their key."""
    found = shipped.resolve_all_asset_specs()
    return {spec.key.path[-1]: spec for spec in found if spec.key.path[0] == NAME}


def test_the_shipped_problem_has_the_whole_loop_as_assets(specs: dict[str, dg.AssetSpec]) -> None:
    assert set(specs) == {
        *(f"raw_{source}" for source in SOURCES),
        "observations",
        "features",
        "backtest",
        *(f"model_{candidate}" for candidate in CANDIDATES),
        "evaluation_report",
        "champion",
        "forecasts",
        "live_scores",
        "drift_report",
        "prediction_log",
        "published",
    }


def test_every_asset_explains_itself(specs: dict[str, dg.AssetSpec]) -> None:
    for name, spec in specs.items():
        assert spec.description, name
        assert spec.group_name == NAME, name
        assert list(spec.owners) == ["team:forecasting"], name
        assert 1 <= len(spec.kinds) <= 3, (name, spec.kinds)  # Dagster's page shows three
        assert "stage" in spec.tags, name


def test_the_graph_runs_from_raw_values_to_what_serving_reads(
    specs: dict[str, dg.AssetSpec],
) -> None:
    def upstream(name: str) -> set[str]:
        return {dep.asset_key.path[-1] for dep in specs[name].deps}

    assert upstream("observations") == {f"raw_{source}" for source in SOURCES}
    assert upstream("features") == {"observations"}
    assert upstream("backtest") == {"features", "observations"}
    assert upstream("champion") == {"backtest", *(f"model_{c}" for c in CANDIDATES)}
    assert {"features", "backtest", "champion"} <= upstream("forecasts")
    assert {"forecasts", "live_scores", "drift_report"} <= upstream("published")
    assert "live_scores" not in upstream(
        "champion"
    )  # it reads the table, or the graph were a circle
    assert not any("published" in upstream(name) for name in specs)


def blocking_checks(defs: dg.Definitions) -> dict[str, set[str]]:
    """Names of the blocking checks by asset."""
    found = defaultdict(set)
    for key in defs.resolve_asset_graph().asset_check_keys:
        spec = defs.resolve_asset_graph().get_check_spec(key)
        if key.asset_key.path[0] == NAME and spec.blocking:
            found[key.asset_key.path[-1]].add(key.name)
    return found


def test_checks_stand_where_bad_data_would_spread(shipped: dg.Definitions) -> None:
    blocking = blocking_checks(shipped)

    assert blocking["features"] == {"no_leakage", "unique_keys"}
    assert blocking["backtest"] == {"alignment", "credible"}
    assert blocking["forecasts"] == {"alignment", "sound_numbers"}
    assert {"schema", "unique_keys", "as_known"} <= blocking["observations"]
    assert {"no_conflicting_duplicates", "prices_present"} <= blocking["raw_btc"]
    # A sick exogenous source is a warning: it never stops the target.
    assert not {f"raw_{source}" for source in SOURCES[1:]} & set(blocking)


def test_every_check_says_what_it_means(shipped: dg.Definitions) -> None:
    graph = shipped.resolve_asset_graph()

    assert graph.asset_check_keys
    for key in graph.asset_check_keys:
        assert graph.get_check_spec(key).description, key


def test_one_job_runs_the_whole_loop_but_what_has_a_rhythm_of_its_own(
    shipped: dg.Definitions, specs: dict[str, dg.AssetSpec]
) -> None:
    job = shipped.resolve_job_def(loop_job_name(NAME))
    apart = {"drift_report", "prediction_log"}

    assert {key.path[-1] for key in job.asset_layer.executable_asset_keys} == set(specs) - apart
    assert job.executor_def is dg.in_process_executor
    checks = set(job.asset_layer.asset_graph.asset_check_keys)
    assert checks == {
        check
        for check in shipped.resolve_asset_graph().asset_check_keys
        if check.asset_key.path[0] == NAME and check.asset_key.path[-1] not in apart
    }


def test_runs_of_the_job_take_turns_with_the_problem_s_other_runs(shipped: dg.Definitions) -> None:
    assert shipped.resolve_job_def(loop_job_name(NAME)).tags == {PROBLEM_TAG: NAME}


def test_every_asset_is_made_by_itself_and_counts_as_late_some_day(
    specs: dict[str, dg.AssetSpec],
) -> None:
    assert [name for name, spec in specs.items() if spec.automation_condition is None] == []
    assert [name for name, spec in specs.items() if spec.freshness_policy is None] == []


def test_each_problem_has_sensors_of_its_own(shipped: dg.Definitions) -> None:
    names = {sensor.name for sensor in shipped.sensors or []}

    assert {f"{NAME}_sources", f"{NAME}_automation"} <= names


def loaded(attributes: dict[str, Any]) -> dg.Definitions:
    """Dagster's component system on a project whose only problem has these attributes."""
    plain = yaml.safe_load(yaml.safe_dump(attributes))
    with create_defs_folder_sandbox() as sandbox:
        sandbox.scaffold_component(
            component_cls=ForecastPipeline,
            defs_path=planted.NAME,
            defs_yaml_contents={
                "type": "mlops_assets.components.forecast_pipeline.ForecastPipeline",
                "attributes": plain,
            },
        )
        with sandbox.build_all_defs() as defs:
            return with_resources(defs)


def test_a_problem_of_ones_own_is_one_yaml_file() -> None:
    keys = {spec.key.path[-1] for spec in loaded(planted.attributes()).resolve_all_asset_specs()}

    assert {"raw_coin", "raw_index", "model_boosting", "published"} <= keys
    assert "raw_btc" not in keys


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"frequenzy": "1h"}, "frequenzy"),
        ({"band": {"coverage": 0.9, "windov": 200, "calibration": "7d"}}, "windov"),
    ],
)
def test_a_misspelt_key_fails_at_load_with_file_and_key(change: dict[str, Any], key: str) -> None:
    with pytest.raises(Exception) as failure:  # noqa: PT011  Dagster wraps it in its own types
        loaded(planted.attributes(**change))

    told = _whole_message(failure.value)
    assert "defs.yaml" in told
    assert key in told


def _whole_message(error: BaseException | None) -> str:
    lines = []
    while error is not None:
        lines.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequenzy": "1h"}, "frequenzy.*no such key; remove it or correct its spelling"),
        ({"horizon": 0}, "horizon = 0: Input should be greater than or equal to 1"),
        ({"frequency": "2h"}, "frequency 2:00:00 differs from the period 1:00:00 of source 'coin'"),
    ],
)
def test_the_command_line_reads_the_same_file_and_names_file_key_and_remedy(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / planted.NAME / "defs.yaml"
    planted.write_yaml(path, planted.attributes(**change))

    with pytest.raises(ProblemError, match=message) as failure:
        load_problem(path)

    assert str(path) in str(failure.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"features": [{"kind": "crystal_ball", "source": "coin"}]},
            r"features\[0\]\.kind 'crystal_ball' is no feature of source 'coin'; use one of",
        ),
        (
            {"candidates": {"x": {"family": "oracle", "baseline": True}}},
            r"candidates\.x\.family 'oracle' is unknown; use one of last_value",
        ),
    ],
)
def test_what_no_stage_can_do_is_refused_when_the_graph_is_built(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    settings = Settings(data="files", data_dir=tmp_path, home=tmp_path)

    with pytest.raises(ProblemError, match=message):
        build_problem_definitions(planted.problem(**change), settings)
