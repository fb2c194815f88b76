from __future__ import annotations

import httpx
import pytest

from mlops_assets_tests.serving.published import HOUR, MODEL_NAME, NOW, World, model_files
from mlops_assets_tests.serving.running import served, started, until
from serving.app import create_app
from serving.health import service


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/forecasts/bitcoin_close/latest"),
        ("GET", "/models/bitcoin_close"),
        ("POST", "/predict"),
        ("GET", "/health/ready"),
    ],
)
def test_before_anything_is_published_the_answer_is_503_with_what_to_run(
    world: World, method: str, path: str
) -> None:
    with started(world) as client:
        body = {"problem": "bitcoin_close"} if method == "POST" else None
        answer = client.request(method, path, json=body)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "5"
        assert "`mlops run bitcoin_close`" in answer.json()["remedy"]
        health = client.get("/health").json()
        assert (health["live"], health["ready"], health["status"]) == (True, False, "not_ready")
        assert "`mlops run bitcoin_close`" in health["reasons"][0]
        assert health["problems"] == []
        assert client.get("/health/live").json() == {"live": True}


def test_a_snapshot_without_a_champion_is_not_ready_and_says_what_is_missing(world: World) -> None:
    world.publish()
    with started(world) as client:

        def reasons() -> list[str]:
            problems = client.get("/health").json()["problems"]
            return problems[0]["reasons"] if problems else []

        until(lambda: any("alias champion" in r for r in reasons()), what="the alias is missed")
        answer = client.get("/health/ready")
        assert answer.status_code == 503
        assert "alias champion" in answer.json()["rule"]
        assert "alias champion" in client.get("/forecasts/bitcoin_close/latest").json()["rule"]


def test_health_names_model_version_ages_and_snapshot(client: httpx.Client) -> None:
    health = client.get("/health").json()
    assert (health["live"], health["ready"], health["status"]) == (True, True, "ok")
    (problem,) = health["problems"]
    assert problem["reasons"] == []
    assert problem["model"] == {
        "name": MODEL_NAME,
        "version": "1",
        "alias": "champion",
        "candidate": "by_hand",
        "refit_at": "2026-03-02T10:00:00Z",
        "refit_age_seconds": 9000.0,  # asked at 12:30
    }
    assert problem["snapshot"] == {
        "snapshot_id": "20260302T120000Z-00000001",
        "as_of": "2026-03-02T12:00:00Z",
        "age_seconds": 1800.0,
        "stale": False,
        "synthetic": True,
    }
    assert client.get("/health/ready").json() == {"ready": True}


def test_a_refused_version_is_degraded_with_the_reason_while_the_old_one_serves(
    world: World,
) -> None:
    world.register(model_files(-0.1))
    world.publish()
    with served(world) as client:
        world.register(model_files(-0.2, unit="EUR"))

        def status() -> str:
            return str(client.get("/health").json()["status"])

        until(lambda: status() == "degraded", what="the misfit is noticed")
        (problem,) = client.get("/health").json()["problems"]
        assert (problem["status"], problem["ready"]) == ("degraded", True)
        assert "'unit': 'EUR'" in problem["reasons"][0]
        assert problem["model"]["version"] == "1"
        assert client.get("/forecasts/bitcoin_close/latest").status_code == 200


def test_a_registry_that_is_gone_is_degraded_and_forecasts_go_on(world: World) -> None:
    world.register(model_files())
    world.publish()
    with served(world) as client:
        world.database.unlink()
        until(
            lambda: client.get("/health").json()["status"] == "degraded",
            what="the registry is missed",
        )
        health = client.get("/health").json()
        assert "registry does not answer" in health["reasons"][0]
        assert str(world.home) not in str(health)
        assert client.get("/forecasts/bitcoin_close/latest").status_code == 200


def test_a_follower_that_has_stopped_means_no_longer_alive(world: World) -> None:
    app = create_app(world.settings, clock=lambda: NOW)
    parts = app.state.parts
    stopped = [poller.name for poller in parts.pollers if not poller.running]
    assert stopped == ["snapshots", "models", "keys"]  # nothing was started
    health = service.health(parts.deployments, stopped=stopped, now=NOW + HOUR)
    assert not health.live
    assert "the follower of models has stopped; restart the service" in health.reasons
