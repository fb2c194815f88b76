from __future__ import annotations

import logging

import httpx
import pytest
from fastapi import FastAPI

from mlops_assets_tests.serving.published import World
from mlops_assets_tests.serving.running import listening
from serving.app import create_app
from serving.domain_errors import ServingError
from serving.errors import STATUS


def test_every_error_of_the_domain_has_a_status() -> None:
    assert set(STATUS) == set(ServingError.__subclasses__())


def test_a_fault_of_the_service_shows_neither_trace_nor_path_but_an_id_that_the_log_names(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    app: FastAPI = create_app(world.settings)

    async def fault() -> None:
        raise OSError("/secret/path is broken")

    app.add_api_route("/fault", fault)
    with caplog.at_level(logging.ERROR, logger="serving"), listening(app) as client:
        answer: httpx.Response = client.get("/fault", headers={"X-Request-Id": "find-me"})
        # The server closes the connection after a fault.
        metrics = httpx.get(f"{client.base_url}/metrics").text
    assert answer.status_code == 500
    assert answer.json()["type"] == "/docs#internal-error"
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "find-me"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    (record,) = [r for r in caplog.records if r.name == "serving.errors"]
    assert record.getMessage() == "request find-me failed"
    assert record.exc_info is not None
    assert 'serving_requests_total{method="GET",route="/fault",status="500"} 1.0' in metrics
