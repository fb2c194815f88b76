from __future__ import annotations

import re

import httpx
import pytest

from serving.domain_errors import ServingError
from serving.forecasts.schemas import PREDICT_EXAMPLES, PredictRequest

ENDPOINTS = {
    ("get", "/forecasts/{problem}/latest"),
    ("post", "/predict"),
    ("get", "/models/{problem}"),
    ("get", "/health"),
    ("get", "/health/live"),
    ("get", "/health/ready"),
    ("get", "/metrics"),
}


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
    assert found == ENDPOINTS
    for method, path in ENDPOINTS:
        operation = document["paths"][path][method]
        assert operation["summary"]
        assert operation["description"]
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and path != "/health/live":
                schema = answer["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ProblemDetails"}
    assert "remedy" in document["components"]["schemas"]["ProblemDetails"]["properties"]
    references = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert references <= set(document["components"]["schemas"])


def test_every_kind_of_error_is_described_where_its_type_points(client: httpx.Client) -> None:
    page = client.get("/docs").text
    described = set(re.findall(r'<tr id="([a-z-]+)">', page))
    of_the_domain = {kind.code for kind in ServingError.__subclasses__()}
    of_http = {"bad-request", "not-found", "method-not-allowed", "content-too-large"}
    assert described == of_the_domain | of_http | {"invalid-request", "internal-error"}


@pytest.mark.parametrize("name", list(PREDICT_EXAMPLES))
def test_every_example_has_the_documented_form(name: str) -> None:
    assert PredictRequest.model_validate(PREDICT_EXAMPLES[name]["value"]).problem == "bitcoin_close"


def test_the_first_example_works_as_it_stands(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/predict"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert client.post("/predict", json=examples["newest"]["value"]).status_code == 200
    (parameter,) = document["paths"]["/models/{problem}"]["get"]["parameters"]
    (problem,) = parameter["schema"]["examples"]
    assert client.get(f"/models/{problem}").status_code == 200
