from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mlops_assets_tests.serving.api_fuzzing import fuzz, home_of, operations_of
from mlops_assets_tests.serving.test_documentation import requests_of
from mlops_assets_tests.serving.whole_world import add_admin, whole_service, whole_world
from serving.access.policy import is_administration

LATEST = "/v1/forecasts/bitcoin_close/latest"
EXAMPLES = 4


@dataclass
class Fuzzed:
    """A running service over a world of its own, and an admin's key."""

    client: httpx.Client
    key: str
    home: Path


@pytest.fixture
def service(tmp_path: Path, empty_registry: Path) -> Iterator[Fuzzed]:
    """A service whose administration may be called: nobody else asks it."""
    world = whole_world(tmp_path, empty_registry)
    key = add_admin(world)
    with whole_service(world) as client:
        yield Fuzzed(client, key, world.home)


def test_generated_input_gets_a_documented_answer_and_never_a_fault_of_the_service(
    service: Fuzzed,
) -> None:
    outcome = fuzz(
        service.client, key=service.key, examples=EXAMPLES, secrets=home_of(service.home)
    )
    assert outcome.faults == {}
    assert outcome.cases >= 300
    assert service.client.get(LATEST).status_code == 200


def test_without_a_key_administration_refuses_whatever_is_sent(service: Fuzzed) -> None:
    outcome = fuzz(service.client, key=None, examples=1, secrets=home_of(service.home))
    assert outcome.faults == {}
    administration = {
        operation.label
        for operation in operations_of(service.client)
        if is_administration(operation.method.upper(), operation.path)
    }
    assert len(administration) == 5
    answered = {status for (label, status) in outcome.statuses if label in administration}
    assert answered == {401}


def test_every_example_of_the_document_is_answered_well_when_it_is_sent(service: Fuzzed) -> None:
    document = service.client.get("/openapi.json").json()
    key = {"X-Api-Key": service.key}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            requests = list(requests_of(method, path, operation))
            assert requests, f"{method} {path} has no example"
            for request in requests:
                answer = service.client.request(
                    request.method,
                    request.url.raw_path.decode(),
                    content=request.content,
                    headers={"Content-Type": "application/json", **key},
                )
                assert answer.status_code == 200, f"{method} {request.url} {answer.text}"
