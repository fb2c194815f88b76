from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from mlops_assets_tests.serving.past_world import past_service, rows_of, walk
from mlops_assets_tests.serving.published import AS_OF, HOUR, ORIGINS, World, model_files, parquet
from mlops_assets_tests.serving.published_past import CLOSE, candles, instant, past
from mlops_assets_tests.serving.running import served, until
from mlops_assets_tests.serving.test_forecasts import refusal
from serving.contract.snapshot import OBSERVED
from serving.observations.service import outcomes
from serving.published_evidence import read_evidence
from serving.sorted_table import ticks_of

ADDRESS = "/v1/observations/bitcoin_close"


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    with past_service(tmp_path_factory.mktemp("past"), empty_registry) as client:
        yield client


def test_candles_ascend_by_series_and_valid_time_with_what_they_rest_on(
    service: httpx.Client,
) -> None:
    answer = service.get(ADDRESS)

    rows = rows_of(answer)
    assert [(row["series"], row["valid_time"], row["close"]) for row in rows] == [
        (series, instant(origin), close)
        for series, closes in CLOSE.items()
        for origin, close in zip(ORIGINS, closes, strict=True)
    ]
    assert rows[0] == {
        "series": "alt",
        "valid_time": instant(ORIGINS[0]),
        "open": 10.0,
        "high": 11.0,
        "low": 9.0,
        "close": 10.0,
        "volume": None,
    }
    document = answer.json()
    del document["rows"]
    assert document == {
        "problem": "bitcoin_close",
        "unit": "USDT",
        "snapshot_id": "20260302T120000Z-00000001",
        "as_of": instant(AS_OF),
        "data_version": "data-1",
        "synthetic": True,
        "stale": False,
        "next": None,
    }
    assert answer.headers["X-Data-Version"] == "data-1"
    assert answer.headers["X-Snapshot-Id"] == "20260302T120000Z-00000001"


def test_an_interval_is_half_open(service: httpx.Client) -> None:
    query = {"series": "btc", "from": instant(ORIGINS[1]), "to": instant(ORIGINS[3])}

    rows = rows_of(service.get(ADDRESS, params=query))

    assert [row["close"] for row in rows] == [110.0, 120.0]


def test_an_instant_of_another_zone_is_the_same_instant(service: httpx.Client) -> None:
    # 21:00 in Seoul is 12:00 UTC, the newest valid time.
    rows = rows_of(service.get(ADDRESS, params={"from": "2026-03-02T21:00:00+09:00"}))

    assert [(row["series"], row["close"]) for row in rows] == [("alt", 13.0), ("btc", 130.0)]


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
def test_pages_hold_every_row_once_in_order(service: httpx.Client, limit: int) -> None:
    pages = walk(service, ADDRESS, limit=limit)

    assert [row for page in pages for row in page] == rows_of(service.get(ADDRESS))
    assert all(len(page) == limit for page in pages[:-1])


def test_pages_of_one_series_stay_with_it(service: httpx.Client) -> None:
    pages = walk(service, ADDRESS, limit=3, series="btc")

    assert [[row["close"] for row in page] for page in pages] == [[100.0, 110.0, 120.0], [130.0]]


def test_a_walk_goes_on_when_another_snapshot_takes_over(world: World) -> None:
    world.register(model_files())
    world.publish(files=past(world.home))
    with served(world) as client:
        first = client.get(ADDRESS, params={"limit": 5}).json()
        # The new snapshot knows one more hour of each series, and forgot the first one.
        later = [row for row in candles() if row["valid_time"] != ORIGINS[0]]
        later += [{**row, "valid_time": AS_OF + HOUR} for row in later if row["close"] in {13, 130}]
        second = world.publish(files={OBSERVED: parquet(later, world.home)})
        until(
            lambda: client.get(ADDRESS).json()["snapshot_id"] == second,
            what="the second snapshot is held",
        )
        rest = rows_of(client.get(ADDRESS, params={"after": first["next"]}))

    assert first["rows"][-1]["series"] == "btc"
    assert first["rows"][-1]["close"] == 100.0
    assert [(row["series"], row["close"]) for row in rest] == [
        ("btc", 110.0),
        ("btc", 120.0),
        ("btc", 130.0),
        ("btc", 130.0),
    ]


@pytest.mark.parametrize("name", ["from", "to"])
def test_an_instant_without_a_zone_is_refused_with_how_to_write_it(
    service: httpx.Client, name: str
) -> None:
    answer = service.get(ADDRESS, params={name: "2026-03-02T12:00:00"})

    document = refusal(answer, 422, "invalid-request")
    assert f"query.{name}" in document["value"]
    assert "needs a zone; write it like 2026-03-02T12:00:00Z" in document["rule"]


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ({"from": "2026-03-02T12:00:00Z", "to": "2026-03-02T12:00:00Z"}, "unusable-input", "after"),
        ({"after": "here"}, "unusable-input", "`next` of an earlier answer"),
        ({"limit": "5001"}, "unusable-input", "at most 5000 rows"),
        ({"limit": "0"}, "invalid-request", "greater than or equal to 1"),
        ({"colour": "red"}, "invalid-request", "not permitted"),
    ],
)
def test_a_question_without_sense_is_refused(
    service: httpx.Client, query: dict[str, str], kind: str, words: str
) -> None:
    document = refusal(service.get(ADDRESS, params=query), 422, kind)

    assert words in document["rule"]


def test_an_unknown_series_is_told_the_known_ones(service: httpx.Client) -> None:
    document = refusal(service.get(ADDRESS, params={"series": "eth"}), 404, "unknown-name")

    assert (document["value"], document["known"]) == ("series eth", ["alt", "btc"])


def test_an_unknown_problem_is_told_the_known_ones(service: httpx.Client) -> None:
    document = refusal(service.get("/v1/observations/ether"), 404, "unknown-name")

    assert document["known"] == ["bitcoin_close", "drink_share"]


def test_a_snapshot_without_values_says_what_to_materialise(service: httpx.Client) -> None:
    document = refusal(service.get("/v1/observations/drink_share"), 404, "unknown-name")

    assert document["value"] == "observed.parquet of problem drink_share"
    assert "materialise `observations` and then `published`" in document["remedy"]


def test_a_target_without_candles_has_values(world: World) -> None:
    rows = [{"series": "btc", "valid_time": origin, "value": 1.5} for origin in ORIGINS[:1]]
    world.register(model_files())
    world.publish(files={OBSERVED: parquet(rows, world.home)})
    with served(world) as client:
        found = rows_of(client.get(ADDRESS))

    assert found == [{"series": "btc", "valid_time": instant(ORIGINS[0]), "value": 1.5}]


def test_the_outcome_of_a_forecast_is_the_close_of_its_series_at_its_valid_time(
    tmp_path: Path,
) -> None:
    table = read_evidence({OBSERVED: parquet(candles(), tmp_path)}).observed
    assert table is not None
    asked = [("btc", ORIGINS[3]), ("alt", ORIGINS[0]), ("btc", AS_OF + HOUR), ("eth", AS_OF)]

    ticks = np.array([ticks_of(moment) for _, moment in asked])
    found = outcomes(table, [series for series, _ in asked], ticks)

    assert found[:2].tolist() == [130.0, 10.0]
    assert np.isnan(found[2:]).all()
