from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import httpx
from prometheus_client.multiprocess import MultiProcessCollector

from mlops_assets_tests.serving.commanded import Command, commanded
from mlops_assets_tests.serving.published import World, model_files
from mlops_assets_tests.serving.running import until
from mlops_assets_tests.serving.test_instrumentation import samples

LIVE = ("serving_requests_total", "GET", "/health/live", "200")
TIMED = ("serving_request_seconds_count", "", "/health/live", "")
REQUESTS = 60


def answered_by(file: Path) -> int:
    """Requests to /health/live that one worker has counted."""
    families = MultiProcessCollector.merge([str(file)])  # type: ignore[no-untyped-call]  # theirs
    return sum(
        int(sample.value)
        for family in families
        for sample in family.samples
        if sample.name == LIVE[0] and sample.labels["route"] == LIVE[2]
    )


def ask_until_each_worker_has_answered(command: Command) -> int:
    """Ask on connections of their own, so that the workers share them; returns how often."""
    asked = Counter[str]()

    def shared() -> bool:
        assert httpx.get(f"{command.address}/health/live").status_code == 200
        asked["live"] += 1
        files = [*command.scratch.glob("serving-metrics-*/counter_*.db")]
        return asked["live"] >= REQUESTS and len([f for f in files if answered_by(f)]) == 2

    until(shared, what="both workers have answered")
    return asked["live"]


def test_two_workers_count_every_request_once_and_a_killed_one_loses_nothing(
    world: World, tmp_path: Path
) -> None:
    world.register(model_files())
    world.publish()
    with commanded(world, tmp_path, API_WORKERS="2") as command:
        until(lambda: len(command.workers) == 2, what="two workers run")
        asked = ask_until_each_worker_has_answered(command)
        # Whichever worker answers, it tells the same.
        for _ in range(5):
            with httpx.Client(base_url=command.address) as client:
                found = samples(client)
            assert found[LIVE] == asked
            assert found[TIMED] == asked
            assert found["serving_prediction_log_queue_rows",] == 0
            assert found["serving_degraded", "bitcoin_close"] == 0
        before = set(command.workers)
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(set(command.workers) - before) == 1, what="another worker took over")
        until(command.is_ready, what="the service answers")
        with httpx.Client(base_url=command.address) as client:
            assert samples(client)[LIVE] == asked
            gauges = {
                int(file.stem.rpartition("_")[2])
                for file in command.scratch.glob("serving-metrics-*/gauge_live*.db")
            }
            assert min(before) not in gauges
        assert command.stop() == 0
    assert list(command.scratch.glob("serving-metrics-*")) == []


def test_forecasts_of_two_workers_are_all_logged_and_counted(world: World, tmp_path: Path) -> None:
    import sqlite3

    world.register(model_files())
    world.publish()
    with commanded(world, tmp_path, API_WORKERS="2") as command:
        latest = f"{command.address}/forecasts/bitcoin_close/latest"
        given = 0

        def enough() -> bool:
            """A worker that has just begun says 503 until it has its model."""
            nonlocal given
            given += httpx.get(latest).status_code == 200
            return given == REQUESTS

        until(enough, what="both workers have answered")
        with httpx.Client(base_url=command.address) as client:
            assert samples(client)["serving_forecasts_total", "bitcoin_close", "1"] == REQUESTS
        command.stop()
    with sqlite3.connect(world.home / "sample" / "prediction_log.db") as log:
        (rows,) = log.execute("SELECT count(DISTINCT request_id) FROM prediction_log").fetchone()
    log.close()
    assert rows == REQUESTS
