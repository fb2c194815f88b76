from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from mlops_assets_tests.serving.past_world import past_service, rows_of, walk
from mlops_assets_tests.serving.published import AS_OF, World
from mlops_assets_tests.serving.published_past import instant
from mlops_assets_tests.serving.published_shares import LEVEL
from mlops_assets_tests.serving.running import started, until
from mlops_assets_tests.serving.test_forecasts import refusal


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    with past_service(tmp_path_factory.mktemp("past"), empty_registry) as client:
        yield client


def test_problems_are_listed_with_what_they_forecast_and_how_fresh_they_are(
    service: httpx.Client,
) -> None:
    bitcoin, drinks = service.get("/v1/problems").json()["problems"]

    assert bitcoin == {
        "problem": "bitcoin_close",
        "title": "Bitcoin",
        "unit": "USDT",
        "frequency_seconds": 3600.0,
        "horizon": 1,
        "series_count": 2,
        "series_keys": [],
        "newest_origin": instant(AS_OF),
        "as_of": instant(AS_OF),
        "snapshot_id": "20260302T120000Z-00000001",
        "data_version": "data-1",
        "synthetic": True,
        "stale": False,
        "ready": True,
    }
    assert (drinks["problem"], drinks["series_count"], drinks["ready"]) == ("drink_share", 6, False)
    assert drinks["series_keys"] == ["brand", "gender", "age_group"]


def test_a_problem_whose_data_is_old_is_stale(world: World) -> None:
    world.publish()
    with started(world, clock=lambda: AS_OF + timedelta(hours=3)) as client:
        until(lambda: bool(client.get("/v1/problems").json()["problems"]), what="it is read")
        (bitcoin,) = client.get("/v1/problems").json()["problems"]

    assert (bitcoin["stale"], bitcoin["ready"]) == (True, False)


def test_series_are_listed_by_name_with_their_labels(service: httpx.Client) -> None:
    rows = rows_of(service.get("/v1/problems/drink_share/series"))

    assert [row["series"] for row in rows] == sorted(LEVEL)
    assert rows[0] == {
        "series": "게토레이/female/20대",
        "labels": {"brand": "게토레이", "gender": "female", "age_group": "20대"},
        "newest_origin": instant(AS_OF),
    }


def test_series_without_keys_have_no_labels(service: httpx.Client) -> None:
    rows = rows_of(service.get("/v1/problems/bitcoin_close/series"))

    assert [(row["series"], row["labels"]) for row in rows] == [("alt", {}), ("btc", {})]


@pytest.mark.parametrize("limit", [1, 4, 6])
def test_pages_of_series_hold_each_once(service: httpx.Client, limit: int) -> None:
    pages = walk(service, "/v1/problems/drink_share/series", limit=limit)

    assert [row["series"] for page in pages for row in page] == sorted(LEVEL)
    assert all(len(page) == limit for page in pages[:-1])


def test_series_of_an_unknown_problem_are_refused(service: httpx.Client) -> None:
    document = refusal(service.get("/v1/problems/ether/series"), 404, "unknown-name")

    assert document["known"] == ["bitcoin_close", "drink_share"]


def test_without_any_snapshot_nothing_is_listed_and_nothing_can_be_read(world: World) -> None:
    with started(world) as client:
        assert client.get("/v1/problems").json() == {"problems": []}
        document = refusal(client.get("/v1/leaderboard/bitcoin_close"), 503, "not-ready")

    assert "mlops run bitcoin_close" in document["remedy"]
