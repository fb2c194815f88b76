from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets_tests.serving.published import World, model_files
from mlops_assets_tests.serving.running import served, started
from serving.instrumentation import NOBODY, Metrics
from serving.settings import ServingSettings


def samples(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """Name and sorted label values of every sample -> value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def test_metrics_count_requests_forecasts_and_name_the_served_model(world: World) -> None:
    world.register(model_files())
    world.publish()
    with served(world) as client:
        for _ in range(3):
            client.get("/forecasts/bitcoin_close/latest")
        client.post("/predict", json={"problem": "bitcoin_close"})
        client.post("/predict", json={"problem": "ether"})
        client.get("/no/such/address")
        client.request("PROPFIND", "/predict")
        found = samples(client)
    latest = "/forecasts/{problem}/latest"
    # Labels in alphabetical order: method, route, status.
    assert found["serving_requests_total", "GET", latest, "200"] == 3
    assert found["serving_requests_total", "POST", "/predict", "200"] == 1
    assert found["serving_requests_total", "POST", "/predict", "404"] == 1
    assert found["serving_requests_total", "GET", "unmatched", "404"] == 1
    assert found["serving_requests_total", "other", "/predict", "405"] == 1
    # Here: problem, route, version of the model that answered; and alias before problem.
    assert found["serving_request_seconds_count", "bitcoin_close", latest, "1"] == 3
    assert found["serving_request_seconds_count", "", "unmatched", ""] == 1
    assert found["serving_answers_total", "champion", "bitcoin_close", "true", "1"] == 4
    assert found["serving_forecasts_total", "bitcoin_close", "1"] == 4
    assert found["serving_model_swaps_total", "bitcoin_close"] == 1
    info = ("champion", "by_hand", "sample.bitcoin_close", "bitcoin_close", "1")
    assert found["serving_model_info", *info] == 1
    assert found["serving_model_refit_timestamp_seconds", "bitcoin_close"] == 1772445600
    assert found["serving_snapshot_as_of_timestamp_seconds", "bitcoin_close"] == 1772452800
    assert found["serving_degraded", "bitcoin_close"] == 0


def test_two_applications_in_a_process_count_apart(world: World) -> None:
    with started(world) as one, started(world) as other:
        one.get("/health/live")
        assert samples(one)["serving_requests_total", "GET", "/health/live", "200"] == 1
        assert ("serving_requests_total", "GET", "/health/live", "200") not in samples(other)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_cap_is_refused_announced_or_not(world: World, chunked: bool) -> None:
    settings = ServingSettings(home=world.home, api_max_body_kb=1)
    content = b" " * 2000
    with started(world, settings=settings) as client:
        answer = client.post(
            "/predict",
            content=iter([content[:1000], content[1000:]]) if chunked else content,
            headers={"content-type": "application/json"},
        )
    assert answer.status_code == 413
    assert answer.json()["type"] == "/docs#content-too-large"
    assert answer.json()["rule"] == "a body may have 1000 bytes"


def test_a_body_that_cannot_be_read_is_a_bad_request(client: httpx.Client) -> None:
    answer = client.post(
        "/predict",
        content=b'{"problem": "\xff"}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400
    assert answer.json()["type"] == "/docs#bad-request"


def test_a_wrong_method_says_which_one_is_allowed(client: httpx.Client) -> None:
    answer = client.post("/health/live")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["type"] == "/docs#method-not-allowed"


def test_what_a_shadow_computes_is_counted_apart_and_is_no_forecast_given() -> None:
    metrics = Metrics()
    metrics.forecast("bitcoin_close", "champion", "1", 3)
    metrics.forecast("bitcoin_close", "challenger", "2", 3, returned=False)
    metrics.forecast("bitcoin_close", None, "2", 1)
    counted = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for counter in (metrics.answers, metrics.forecasts)
        for family in counter.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    # Labels in alphabetical order: alias, problem, returned, version.
    assert counted == {
        ("serving_answers_total", "champion", "bitcoin_close", "true", "1"): 1,
        ("serving_answers_total", "challenger", "bitcoin_close", "false", "2"): 1,
        ("serving_answers_total", "", "bitcoin_close", "true", "2"): 1,
        ("serving_forecasts_total", "bitcoin_close", "1"): 3,
        ("serving_forecasts_total", "bitcoin_close", "2"): 1,
    }


def test_methods_that_do_not_exist_open_no_time_series_of_their_own() -> None:
    metrics = Metrics()
    for number in range(50):
        metrics.answered(f"METHOD{number}", "unmatched", 404, NOBODY, 0.001)
    lines = metrics.text().decode().splitlines()
    assert [line for line in lines if line.startswith("serving_requests_total{")] == [
        'serving_requests_total{method="other",route="unmatched",status="404"} 50.0'
    ]
