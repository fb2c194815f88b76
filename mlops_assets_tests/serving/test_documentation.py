from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets_tests.serving.published import PROBLEM, World, model_files
from mlops_assets_tests.serving.published_shares import (
    SHARES,
    SHARES_MODEL_NAME,
    publish_shares,
    share_files,
)
from mlops_assets_tests.serving.running import served, started, until
from serving.domain_errors import ServingError

FORECAST_OPERATIONS = {
    ("get", "/v1/forecasts/{problem}/latest"),
    ("get", "/v1/forecasts/{problem}"),
    ("post", "/v1/forecasts/{problem}"),
    ("post", "/v1/predict"),
    ("post", "/v1/predict/batch"),
    ("get", "/forecasts/{problem}/latest"),
    ("get", "/predict"),
    ("post", "/predict"),
}


@pytest.fixture(scope="module")
def complete(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    """The service over a problem of prices and one of shares."""
    world = World.create(tmp_path_factory.mktemp("documented") / "home", empty_registry)
    world.register(model_files())
    world.publish()
    world.register(share_files(), name=SHARES_MODEL_NAME)
    publish_shares(world)
    with served(world) as ready:
        for problem in (PROBLEM, SHARES):
            address = f"/v1/forecasts/{problem}/latest"
            until(partial(_answers, ready, address), what=f"{address} is answered")
        yield ready


def _answers(client: httpx.Client, address: str) -> bool:
    return client.get(address).is_success


def requests_of(method: str, path: str, operation: dict[str, Any]) -> Iterator[httpx.Request]:
    """Every request that an operation's examples make."""
    params = {}
    for parameter in operation.get("parameters", ()):
        if "example" not in parameter:
            assert not parameter["required"], f"{path}: {parameter['name']} has no example"
        elif parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
        else:
            params[parameter["name"]] = parameter["example"]
    if "requestBody" not in operation:
        yield httpx.Request(method, f"http://service{path}", params=params)
        return
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        yield httpx.Request(method, f"http://service{path}", params=params, json=example["value"])


def send(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    """The answer to a request, at the client's service."""
    return client.request(request.method, request.url.raw_path.decode(), content=request.content)


@pytest.mark.parametrize("path", ["/docs", "/docs/page.css", "/docs/page.js"])
def test_the_page_and_its_assets_name_no_other_machine(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    # An XML namespace is a name, not an address that is loaded.
    content = answer.text.replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?://|//[a-z0-9-]+\.[a-z]{2,}|@import", content) == []
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_root_leads_to_the_page(client: httpx.Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_the_document_describes_every_endpoint_and_the_form_of_errors(
    client: httpx.Client,
) -> None:
    document = client.get("/openapi.json").json()
    found = {(m, path) for path, methods in document["paths"].items() for m in methods}
    assert found >= FORECAST_OPERATIONS | {("get", "/health"), ("get", "/metrics")}
    for method, path in found:
        operation = document["paths"][path][method]
        assert operation["summary"], path
        assert operation["description"], path
        for status, answer in operation["responses"].items():
            # The Open Inference Protocol has a form of errors of its own.
            if int(status) >= 400 and path != "/health/live" and not path.startswith("/v2"):
                schema = answer["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ProblemDetails"}, path
    assert "remedy" in document["components"]["schemas"]["ProblemDetails"]["properties"]
    references = set(re.findall(r"#/components/schemas/([\w.-]+)", str(document)))
    assert references <= set(document["components"]["schemas"])
    names = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(names) == len(set(names))


def test_every_kind_of_error_is_described_where_its_type_points(client: httpx.Client) -> None:
    page = client.get("/docs").text
    described = set(re.findall(r'<tr id="([a-z-]+)">', page))
    of_the_domain = {kind.code for kind in ServingError.__subclasses__()}
    of_http = {"bad-request", "not-found", "method-not-allowed", "content-too-large"}
    assert described == of_the_domain | of_http | {"invalid-request", "internal-error"}


@pytest.mark.parametrize(("method", "path"), sorted(FORECAST_OPERATIONS))
def test_every_example_of_a_forecast_operation_works_when_it_is_sent(
    complete: httpx.Client, method: str, path: str
) -> None:
    operation = complete.get("/openapi.json").json()["paths"][path][method]
    requests = list(requests_of(method, path, operation))
    assert requests
    for request in requests:
        answer = send(complete, request)
        assert answer.status_code == 200, f"{request.content!r} {answer.text}"


def test_the_example_from_features_gives_what_the_card_says(complete: httpx.Client) -> None:
    operation = complete.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    answer = complete.post("/v1/predict", json=examples["features"]["value"]).json()
    # location -0.1 * 0.01, last value 60000
    assert answer["point"] == pytest.approx(60000 * math.exp(-0.001), rel=1e-12)


def test_answers_have_the_documented_fields(complete: httpx.Client) -> None:
    schemas = complete.get("/openapi.json").json()["components"]["schemas"]
    forecasts = complete.get(f"/v1/forecasts/{PROBLEM}/latest").json()
    assert set(forecasts) == set(schemas["ForecastAnswer"]["properties"])
    assert set(forecasts["forecasts"][0]) == set(schemas["Forecast"]["properties"])
    given = {"ret": 0.0, "vol": 0.01}
    question = {"problem": PROBLEM, "features": given, "last_value": 1.0}
    row = complete.post("/v1/predict", json=question).json()
    assert set(row) == set(schemas["FeatureForecast"]["properties"])
    assert set(row["assumed"][0]) == set(schemas["AssumedInput"]["properties"])


def test_before_anything_is_served_the_document_stands_with_its_written_examples(
    world: World,
) -> None:
    with started(world) as client:
        document = client.get("/openapi.json").json()
    body = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]["features"]["value"]["last_value"] == 60000.0


def test_where_all_forecasts_are_shares_no_example_gives_features(world: World) -> None:
    world.register(share_files(), name=SHARES_MODEL_NAME)
    publish_shares(world)
    with served(world) as client:
        operation = client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
        requests = list(requests_of("post", "/v1/predict", operation))
        assert all(send(client, request).is_success for request in requests)
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert set(examples) == {"newest", "origin", "alias"}
