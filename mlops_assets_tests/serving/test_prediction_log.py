from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from mlops_assets_tests.serving.published import MODEL_NAME, NOW, ORIGINS, World, model_files
from mlops_assets_tests.serving.running import is_ready, started, until
from mlops_assets_tests.serving.test_deployments import model, snapshot
from mlops_assets_tests.serving.test_instrumentation import samples
from serving.contract.prediction_log import COLUMNS, Asked
from serving.deployments import Deployment
from serving.log_database import LogDatabase
from serving.log_metrics import LogMetrics
from serving.prediction_log import Answered, PredictionLog

LATEST = "/forecasts/bitcoin_close/latest"
FEATURES = {"ret": 0.002, "vol": 0.006, "band_quantile": 1.5}


@pytest.fixture
def ready_world(world: World) -> World:
    """A world with a champion and a snapshot."""
    world.register(model_files(-0.1))
    world.publish()
    return world


@contextmanager
def served_with(world: World, **changes: object) -> Iterator[httpx.Client]:
    """The ready service with some settings changed."""
    settings = world.settings.model_copy(update=changes)
    with started(world, settings=settings) as client:
        until(lambda: is_ready(client), what="the service is ready")
        yield client


def logged(world: World) -> list[dict[str, Any]]:
    """The rows of the log, oldest first; none before there is a log."""
    if not world.prediction_log.exists():
        return []
    with closing(sqlite3.connect(world.prediction_log)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            found = connection.execute("SELECT * FROM prediction_log ORDER BY id").fetchall()
        except sqlite3.OperationalError:
            return []  # the file is there, its table not yet
    return [dict(row) for row in found]


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Another program holds the log's write lock."""
    with closing(sqlite3.connect(world.prediction_log, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def answer_once(client: httpx.Client, world: World) -> None:
    """Let the log come into being."""
    client.get(LATEST).raise_for_status()
    until(lambda: len(logged(world)) == 1, what="the first row is written")


def ask(client: httpx.Client, times: int, *, threads: int = 1) -> list[httpx.Response]:
    """The same question again and again, from several threads."""

    def several(_: int) -> list[httpx.Response]:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            return [own.get(LATEST) for _ in range(times)]

    with ThreadPoolExecutor(threads) as pool:
        return [answer for answers in pool.map(several, range(threads)) for answer in answers]


def test_a_row_repeats_the_answer_and_says_what_it_rests_on(ready_world: World) -> None:
    with served_with(ready_world) as client:
        (said,) = client.get(LATEST, headers={"X-Request-Id": "mine-1"}).json()["forecasts"]
    (row,) = logged(ready_world)
    assert set(row) == {"id", *COLUMNS}
    assert len(row.pop("answer_id")) == 32
    assert row == {
        "id": 1,
        "answered_at": "2026-03-02 12:30:00.000000",
        "request_id": "mine-1",
        "problem": "bitcoin_close",
        "series": "btc",
        "origin": "2026-03-02 12:00:00.000000",
        "valid_time": "2026-03-02 13:00:00.000000",
        "step": 1,
        "point": said["point"],
        "lower": said["lower"],
        "upper": said["upper"],
        "nominal_coverage": 0.9,
        "model_name": MODEL_NAME,
        "version": "1",
        "alias": "champion",
        "candidate": "by_hand",
        "recipe_id": "r1",
        "data_version": "data-1",
        "run_id": "mlflow-run",
        "synthetic": 1,
        "stale": 0,
        "kind": "latest",
        "caller": "",
        "returned": 1,
    }


def test_each_way_to_ask_is_logged_under_its_kind(ready_world: World) -> None:
    origin = ORIGINS[2].isoformat()
    with served_with(ready_world) as client:
        for question in (
            {},
            {"origin": origin},
            {"features": FEATURES, "last_value": 59800.0, "series": "btc"},
            {"features": FEATURES, "last_value": 59800.0},
        ):
            answer = client.post("/predict", json={"problem": "bitcoin_close", **question})
            assert answer.status_code == 200
    assert [(row["kind"], row["series"], row["step"]) for row in logged(ready_world)] == [
        ("latest", "btc", 1),
        ("origin", "btc", 1),
        ("features", "btc", None),
        ("features", None, None),
    ]


def test_an_error_is_no_answer_and_leaves_no_log(ready_world: World) -> None:
    with served_with(ready_world) as client:
        client.get("/forecasts/ether/latest")
    assert not ready_world.prediction_log.exists()


def test_under_concurrent_load_every_answer_is_one_row(ready_world: World) -> None:
    with served_with(ready_world) as client:
        answers = ask(client, 100, threads=8)
        until(
            lambda: samples(client)["serving_prediction_log_queue_rows",] == 0,
            what="the queue is empty",
        )
        found = samples(client)
    assert {answer.status_code for answer in answers} == {200}
    rows = logged(ready_world)
    assert sorted(row["request_id"] for row in rows) == sorted(
        answer.headers["X-Request-Id"] for answer in answers
    )
    assert found["serving_prediction_log_rows_total",] == len(rows) == 800
    assert found["serving_prediction_log_lag_seconds",] == 0


def test_a_graceful_restart_loses_and_repeats_nothing(ready_world: World) -> None:
    asked = []
    for _ in range(2):
        with served_with(ready_world) as client:
            asked += [answer.headers["X-Request-Id"] for answer in ask(client, 30)]
    assert [row["request_id"] for row in logged(ready_world)] == asked
    assert [row["id"] for row in logged(ready_world)] == list(range(1, 61))


def test_while_the_database_is_locked_answers_go_on_and_none_is_lost_or_doubled(
    ready_world: World,
) -> None:
    with served_with(ready_world) as client:
        answer_once(client, ready_world)
        with locked(ready_world):
            answers = ask(client, 20, threads=4)
            until(
                lambda: samples(client)["serving_prediction_log_write_errors_total",] >= 1,
                what="an attempt fails",
            )
            assert samples(client)["serving_prediction_log_queue_rows",] == 80
            assert samples(client)["serving_prediction_log_lag_seconds",] > 0
            health = client.get("/health").json()
            assert (health["ready"], health["status"]) == (True, "degraded")
            assert "the prediction log does not take rows" in health["reasons"][0]
        until(lambda: client.get("/health").json()["status"] == "ok", what="the log is back")
    assert {answer.status_code for answer in answers} == {200}
    asked = {answer.headers["X-Request-Id"] for answer in answers}
    rows = logged(ready_world)[1:]
    assert len(rows) == 80
    assert {row["request_id"] for row in rows} == asked


def test_a_lock_that_ends_while_the_service_stops_loses_nothing(ready_world: World) -> None:
    held = threading.Event()

    def lock_until_the_service_stops(address: httpx.URL) -> None:
        def refuses() -> bool:
            try:
                httpx.get(address)
            except httpx.TransportError:
                return True
            return False

        with locked(ready_world):
            held.set()
            until(refuses, what="the service no longer listens")

    with ThreadPoolExecutor(1) as pool:
        with served_with(ready_world) as client:
            answer_once(client, ready_world)
            done = pool.submit(lock_until_the_service_stops, client.base_url)
            held.wait()
            answers = ask(client, 10)
        done.result()
    assert {answer.status_code for answer in answers} == {200}
    assert len(logged(ready_world)) == 11


def test_a_full_queue_makes_answers_wait_and_then_takes_them(ready_world: World) -> None:
    with served_with(
        ready_world, prediction_log_queue_rows=1, prediction_log_wait_seconds=50.0
    ) as client:
        answer_once(client, ready_world)
        with ThreadPoolExecutor(1) as pool:
            with locked(ready_world):
                answers = pool.submit(ask, client, 1, threads=3)
                until(
                    lambda: samples(client)["serving_prediction_log_waited_total",] == 2,
                    what="two answers wait while one is in the queue",
                )
            assert {answer.status_code for answer in answers.result()} == {200}
    assert len(logged(ready_world)) == 4


def test_an_answer_that_finds_no_room_in_time_is_refused_and_not_logged(
    ready_world: World,
) -> None:
    with served_with(
        ready_world, prediction_log_queue_rows=1, prediction_log_wait_seconds=0.05
    ) as client:
        answer_once(client, ready_world)
        with locked(ready_world):
            assert client.get(LATEST).status_code == 200
            refused = client.get(LATEST)
            found = samples(client)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert refused.json()["type"] == "/docs#not-logged"
    assert "1 forecasts wait to be logged and 1 may" in refused.json()["rule"]
    assert found["serving_prediction_log_refused_total",] == 1
    assert found["serving_forecasts_total", "bitcoin_close", "1"] == 2
    assert len(logged(ready_world)) == 2


def test_a_log_that_is_removed_while_serving_is_begun_again(ready_world: World) -> None:
    with served_with(ready_world) as client:
        answer_once(client, ready_world)
        ready_world.prediction_log.unlink()
        client.get(LATEST).raise_for_status()
    assert len(logged(ready_world)) == 1


@pytest.mark.parametrize("address", ["no address", "nodialect://secret@127.0.0.1/log"])
def test_an_address_that_cannot_be_used_is_named_and_no_forecast_is_given(
    ready_world: World, address: str
) -> None:
    with served_with(ready_world, prediction_log_uri=address) as client:
        until(lambda: client.get("/health/live").status_code == 503, what="the writer has stopped")
        health = client.get("/health").json()
        answer = client.get(LATEST)
    assert "the follower of the prediction log has stopped; restart" in health["reasons"][0]
    assert "MLOPS_PREDICTION_LOG_URI cannot be used" in health["reasons"][1]
    assert "secret" not in str(health)
    assert answer.status_code == 503
    assert answer.json()["rule"] == "the writer of the prediction log has stopped"


def test_what_cannot_be_written_before_the_end_is_counted_and_said(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = PredictionLog(
        # A folder cannot be opened as a database.
        LogDatabase(f"sqlite:///{tmp_path}"),
        witness=LogMetrics(CollectorRegistry()),
        complain=lambda message: message is not None,
        capacity_rows=10,
        wait_seconds=1.0,
    )

    answer = answer_of(world, 3)

    async def answer_and_close() -> int:
        log.start()
        await log.record(answer)
        return log.close(timeout_seconds=0.2)

    assert asyncio.run(answer_and_close()) == 3
    assert not log.running
    assert "3 answered forecasts could not be logged before the end" in caplog.text


def test_a_log_that_is_switched_off_answers_writes_nothing_and_is_no_complaint(
    ready_world: World,
) -> None:
    with served_with(ready_world, prediction_log_enabled=False) as client:
        answer = client.get(LATEST)
        health = client.get("/health").json()
        found = samples(client)
    assert answer.status_code == 200
    assert (health["live"], health["status"], health["reasons"]) == (True, "ok", [])
    assert found["serving_prediction_log_queue_rows",] == 0
    assert not ready_world.prediction_log.exists()


def test_a_shadows_forecast_is_logged_as_not_returned_and_with_its_caller(
    world: World, tmp_path: Path
) -> None:
    shadow = replace(answer_of(world, 1), caller="ada", returned=False)
    by_version = replace(
        shadow, deployment=replace(shadow.deployment, alias=None), caller="", returned=True
    )
    assert written(tmp_path, [shadow, by_version]) == 0
    rows = rows_in(tmp_path)
    assert [(row["alias"], row["caller"], row["returned"]) for row in rows] == [
        ("champion", "ada", 0),
        ("", "", 1),
    ]


def test_every_forecast_of_an_answer_is_a_row_under_an_id_of_its_own(
    world: World, tmp_path: Path
) -> None:
    quantiles = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    two = replace(
        answer_of(world, 2),
        asked=Asked.ORIGIN,
        quantiles=quantiles,
        series=["btc", None],
        origin=[ORIGINS[0], ORIGINS[1]],
        valid_time=[ORIGINS[1], ORIGINS[2]],
        step=[1, 2],
    )
    assert written(tmp_path, [two] * 1500) == 0
    rows = rows_in(tmp_path)
    assert len({row["answer_id"] for row in rows}) == 3000
    assert {len(row["answer_id"]) for row in rows} == {32}
    names = ("series", "origin", "valid_time", "step", "lower", "point", "upper")
    nine, ten, eleven = (f"2026-03-02 {hour}:00:00.000000" for hour in ("09", "10", "11"))
    expected = [("btc", nine, ten, 1, 1.0, 2.0, 3.0), (None, ten, eleven, 2, 4.0, 5.0, 6.0)]
    assert [tuple(row[name] for name in names) for row in rows] == expected * 1500


def written(folder: Path, answers: Sequence[Answered]) -> int:
    """Record answers in the SQLite log of a folder and close it; how many rows were lost."""
    log = PredictionLog(
        LogDatabase(f"sqlite:///{folder / 'log.db'}"),
        witness=LogMetrics(CollectorRegistry()),
        complain=lambda message: message is not None,
        capacity_rows=10_000,
        wait_seconds=1.0,
    )

    async def answer_and_close() -> int:
        log.start()
        for answer in answers:
            await log.record(answer)
        return log.close()

    return asyncio.run(answer_and_close())


def rows_in(folder: Path) -> list[dict[str, Any]]:
    """The rows of the SQLite log of a folder, oldest first."""
    with closing(sqlite3.connect(folder / "log.db")) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM prediction_log ORDER BY id").fetchall()
    return [dict(row) for row in found]


def answer_of(world: World, count: int) -> Answered:
    """An answer of so many forecasts by the model worked by hand."""
    deployment = Deployment.of(model(), snapshot(world))
    return Answered(
        answered_at=NOW,
        request_id="mine-1",
        asked=Asked.FEATURES,
        deployment=deployment,
        stale=False,
        quantiles=np.ones((count, 3)),
        series=["btc"] * count,
    )
