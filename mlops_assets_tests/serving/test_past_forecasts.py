from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlops_assets_tests.serving.past_world import past_service, rows_of, walk
from mlops_assets_tests.serving.published import HOUR, ORIGINS
from mlops_assets_tests.serving.published_past import instant
from mlops_assets_tests.serving.test_forecasts import refusal

HISTORY = "/v1/forecasts/bitcoin_close/history"
CHAMPION = "/v1/forecasts/bitcoin_close/champion"


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    with past_service(tmp_path_factory.mktemp("past"), empty_registry) as client:
        yield client


def test_forecasts_are_answered_as_they_were_made(service: httpx.Client) -> None:
    query = {"series": "btc", "version": "2", "from": instant(ORIGINS[3])}

    assert rows_of(service.get(HISTORY, params=query)) == [
        {
            "series": "btc",
            "origin": instant(ORIGINS[3]),
            "last_observed": instant(ORIGINS[3]),
            "valid_time": instant(ORIGINS[3] + HOUR),
            "step": 1,
            "point": 131.0,
            "lower": 129.0,
            "upper": 133.0,
            "nominal_coverage": 0.9,
            "candidate": "forest",
            "version": "2",
            "recipe_id": "recipe-forest",
            "data_version": "data",
            "run_id": "run-2",
            "champion": True,
        }
    ]


@pytest.mark.parametrize(
    ("query", "points"),
    [
        ({"version": "1"}, [100.0, 110.0, 120.0, 130.0]),
        ({"candidate": "forest"}, [101.0, 111.0, 121.0, 131.0]),
        ({"from": instant(ORIGINS[1]), "to": instant(ORIGINS[2])}, [110.0, 111.0]),
        ({"step": "2"}, []),
    ],
)
def test_a_history_is_narrowed_by_version_candidate_origin_and_step(
    service: httpx.Client, query: dict[str, str], points: list[float]
) -> None:
    rows = rows_of(service.get(HISTORY, params={"series": "btc", **query}))

    assert [row["point"] for row in rows] == points


@pytest.mark.parametrize(("address", "limit"), [(HISTORY, 1), (HISTORY, 5), (CHAMPION, 3)])
def test_pages_hold_every_row_once_in_order(
    service: httpx.Client, address: str, limit: int
) -> None:
    pages = walk(service, address, limit=limit)

    assert [row for page in pages for row in page] == rows_of(service.get(address))
    assert all(len(page) == limit for page in pages[:-1])


def test_each_origins_champion_speaks_beside_what_came_true(service: httpx.Client) -> None:
    rows = rows_of(service.get(CHAMPION, params={"series": "btc"}))

    # Version 1 says the last close, version 2 one more; the close rises by ten every hour.
    columns = ("version", "candidate", "origin", "point", "actual", "error")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("1", "ridge", instant(ORIGINS[0]), 100.0, 110.0, -10.0),
        ("1", "ridge", instant(ORIGINS[1]), 110.0, 120.0, -10.0),
        ("2", "forest", instant(ORIGINS[2]), 121.0, 130.0, -9.0),
        ("2", "forest", instant(ORIGINS[3]), 131.0, None, None),
    ]


def test_the_demos_address_answers_the_same(service: httpx.Client) -> None:
    query = {"series": "alt", "to": instant(ORIGINS[2])}

    demo = service.get("/predict-champion", params={"problem": "bitcoin_close", **query})

    assert demo.json() == service.get(CHAMPION, params=query).json()
    assert len(rows_of(demo)) == 2


def test_the_demos_address_needs_a_problem(service: httpx.Client) -> None:
    document = refusal(service.get("/predict-champion"), 422, "invalid-request")

    assert document["value"] == "query.problem"


@pytest.mark.parametrize(
    ("query", "known"),
    [({"version": "3"}, ["1", "2"]), ({"candidate": "lstm"}, ["forest", "ridge"])],
)
def test_an_unknown_version_or_candidate_is_told_the_known_ones(
    service: httpx.Client, query: dict[str, str], known: list[str]
) -> None:
    document = refusal(service.get(HISTORY, params=query), 404, "unknown-name")

    assert document["known"] == known


def test_version_and_candidate_together_are_refused(service: httpx.Client) -> None:
    query = {"version": "1", "candidate": "ridge"}

    document = refusal(service.get(HISTORY, params=query), 422, "unusable-input")

    assert document["remedy"] == "give one of the two"


@pytest.mark.parametrize("endpoint", ["history", "champion"])
def test_a_snapshot_without_forecasts_says_what_to_materialise(
    service: httpx.Client, endpoint: str
) -> None:
    answer = service.get(f"/v1/forecasts/drink_share/{endpoint}")

    document = refusal(answer, 404, "unknown-name")
    assert document["value"] == "forecasts.parquet of problem drink_share"
    assert "materialise `forecasts` and then `published`" in document["remedy"]
