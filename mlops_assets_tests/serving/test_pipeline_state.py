from __future__ import annotations

import httpx

from mlops_assets_tests.serving.published import AS_OF, HOUR, Row, World, model_files
from mlops_assets_tests.serving.running import served, until
from mlops_assets_tests.serving.test_instrumentation import samples

FIGURES: Row = {
    "as_of": AS_OF.isoformat(),
    "newest_valid_time": (AS_OF - HOUR).isoformat(),
    "observations_rows": 9000,
    "champion": {
        "candidate": "ridge",
        "version": "7",
        "since": (AS_OF - 24 * HOUR).isoformat(),
    },
    "live": {"n": 672, "mae": 210.5, "coverage": 0.88},
    "control": {"alarm": True},
    "drift": {"share_drifted": 0.25, "concept_drift": False},
}


def pipeline_samples(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """The samples of the pipeline."""
    return {key: value for key, value in samples(client).items() if key[0].startswith("pipeline_")}


def test_the_figures_of_the_newest_snapshot_are_gauges(world: World) -> None:
    world.register(model_files())
    world.publish(monitoring=FIGURES)
    with served(world) as client:  # at 12:30, half an hour after AS_OF
        found = pipeline_samples(client)
    problem = "bitcoin_close"
    assert found == {
        ("pipeline_data_age_seconds", problem): 5400,
        ("pipeline_observations_rows", problem): 9000,
        ("pipeline_champion_age_seconds", problem): 88200,
        ("pipeline_champion_info", "ridge", problem, "7"): 1,
        ("pipeline_live_forecasts", problem): 672,
        ("pipeline_live_mae", problem): 210.5,
        ("pipeline_live_coverage", problem): 0.88,
        ("pipeline_control_alarm", problem): 1,
        ("pipeline_drift_share", problem): 0.25,
        ("pipeline_concept_drift", problem): 0,
    }


def test_what_a_problem_does_not_watch_has_no_sample(world: World) -> None:
    world.register(model_files())
    world.publish(monitoring=FIGURES | {"live": None, "control": None, "drift": None})
    with served(world) as client:
        found = {name for name, *_ in pipeline_samples(client)}
    assert found == {
        "pipeline_data_age_seconds",
        "pipeline_observations_rows",
        "pipeline_champion_age_seconds",
        "pipeline_champion_info",
    }


def test_a_snapshot_from_before_there_were_figures_is_served_without_them(world: World) -> None:
    world.register(model_files())
    world.publish()
    with served(world) as client:
        assert client.get("/forecasts/bitcoin_close/latest").status_code == 200
        assert pipeline_samples(client) == {}


def test_figures_that_cannot_be_read_refuse_the_snapshot_and_the_last_one_serves(
    world: World,
) -> None:
    world.register(model_files())
    first = world.publish(monitoring=FIGURES)
    with served(world) as client:
        world.publish(monitoring={"as_of": "yesterday"})
        until(lambda: client.get("/health").json()["status"] == "degraded", what="a refusal")
        (problem,) = client.get("/health").json()["problems"]
    assert problem["snapshot"]["snapshot_id"] == first
    assert "monitoring.json is not readable as contract version" in problem["reasons"][0]
