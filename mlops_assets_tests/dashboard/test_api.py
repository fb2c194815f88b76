from __future__ import annotations

import httpx
import pytest

from dashboard.api import Api, ApiDownError, ApiRefusalError, ApiSlowError
from mlops_assets_tests.dashboard.running import free_port, switched_api
from mlops_assets_tests.serving.published import World
from mlops_assets_tests.serving.running import is_ready, started, until

pytestmark = pytest.mark.services


def client(service: httpx.Client, timeout_seconds: float = 60) -> Api:
    """The dashboard's client of a running service."""
    return Api(str(service.base_url), timeout_seconds=timeout_seconds)


def test_nothing_that_listens_is_called_down_by_its_address() -> None:
    address = f"http://127.0.0.1:{free_port()}"

    with Api(address, timeout_seconds=60) as asked, pytest.raises(ApiDownError, match=address):
        asked.get("/v1/problems", {})


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    with (
        switched_api(free_port()) as slow,
        Api(f"http://127.0.0.1:{slow.port}", timeout_seconds=0.2) as asked,
        pytest.raises(ApiSlowError, match="/v1/problems"),
    ):
        asked.get("/v1/problems", {})


def test_a_refusal_keeps_what_the_api_says_can_be_done(api: httpx.Client) -> None:
    with client(api) as asked, pytest.raises(ApiRefusalError) as caught:
        asked.get("/v1/drift/drink_share", {})

    assert caught.value.status == 404
    assert caught.value.remedy.startswith("materialise `drift_report`")


def test_a_listing_is_read_to_its_last_page(api: httpx.Client) -> None:
    path = "/v1/forecasts/bitcoin_close/history"
    query: dict[str, str | int] = {"limit": 5000, "candidate": "ridge"}

    with client(api) as asked:
        answer = asked.listing(path, {"candidate": "ridge"})

    assert answer["rows"] == api.get(path, params=query).json()["rows"]
    assert (len(answer["rows"]), answer["next"], answer["unit"]) == (96, None, "USDT")


def test_a_service_that_allows_few_rows_is_asked_for_many_pages(
    api: httpx.Client, published: World
) -> None:
    settings = published.settings.model_copy(update={"api_max_rows": 7})
    with started(published, settings=settings) as few:
        until(lambda: is_ready(few), what="the service is ready")
        with client(few) as asked:
            answer = asked.listing("/predict-champion", {"problem": "bitcoin_close"})

    whole = api.get("/predict-champion", params={"problem": "bitcoin_close"}).json()
    assert answer["rows"] == whole["rows"]
    assert len(whole["rows"]) == 96
