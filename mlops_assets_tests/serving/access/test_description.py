from __future__ import annotations

from typing import Any

import httpx
import pytest


@pytest.fixture(scope="module")
def paths(client: httpx.Client) -> dict[str, Any]:
    document = client.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"ApiKey", "Bearer"}
    found: dict[str, Any] = document["paths"]
    return found


def test_every_operation_says_what_it_answers_without_a_good_key_and_to_too_many_requests(
    paths: dict[str, Any],
) -> None:
    silent = [
        (method, path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if not {"401", "429", "503"} <= set(operation["responses"])
    ]
    assert silent == []


def test_a_key_is_optional_but_for_administration(paths: dict[str, Any]) -> None:
    predict, reload = paths["/v1/predict"]["post"], paths["/reload"]["post"]
    assert predict["security"] == [{}, {"ApiKey": []}, {"Bearer": []}]
    assert "403" not in predict["responses"]
    assert reload["security"] == [{"ApiKey": []}, {"Bearer": []}]
    assert "403" in reload["responses"]


def test_operations_that_read_a_body_say_what_they_answer_to_a_slow_or_large_one(
    paths: dict[str, Any],
) -> None:
    assert {"408", "413"} <= set(paths["/v1/predict"]["post"]["responses"])
    assert "408" not in paths["/v1/problems"]["get"]["responses"]


def test_whatever_changes_the_service_is_administration(paths: dict[str, Any]) -> None:
    questions = {
        "/predict",
        "/v1/predict",
        "/v1/predict/batch",
        "/v1/forecasts/{problem}",
        "/v2/models/{model}/infer",
        "/v2/models/{model}/versions/{version}/infer",
    }
    open_to_all = {
        (method, path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method != "get" and {} in operation["security"]
    }
    assert open_to_all == {("post", path) for path in questions}
