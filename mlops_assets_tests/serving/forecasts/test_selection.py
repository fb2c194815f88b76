from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets_tests.serving.published import (
    AS_OF,
    HOUR,
    ORIGINS,
    Row,
    World,
    calibration_rows,
    input_rows,
    model_files,
)
from mlops_assets_tests.serving.running import served, started, until
from mlops_assets_tests.serving.test_forecasts import refusal

ADDRESS = "/v1/forecasts/bitcoin_close"
SERIES = ("alt", "btc")
STEPS = (1, 2)


def both(rows: list[Row]) -> list[Row]:
    """Rows of two steps for the origins whose features are all there."""
    return [{**row, "step": step} for row in rows for step in STEPS if row["origin"] != ORIGINS[1]]


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    """The service over two series, two steps and three origins, of which two may be asked."""
    world = World.create(tmp_path_factory.mktemp("origins") / "home", empty_registry)
    world.register(model_files(horizon=2))
    world.publish(
        both(input_rows("btc")) + both(input_rows("alt", scale=0.5)),
        both(calibration_rows("btc")) + both(calibration_rows("alt")),
        horizon=2,
    )
    with served(world) as ready:
        yield ready


def places(answer: httpx.Response) -> list[tuple[str, str, int]]:
    """Series, origin and step of each forecast."""
    assert answer.status_code == 200, answer.text
    return [(f["series"], f["origin"], f["step"]) for f in answer.json()["forecasts"]]


def test_a_range_of_origins_is_half_open_and_sorted_by_series_origin_and_step(
    client: httpx.Client,
) -> None:
    asked = {"from": ORIGINS[2].isoformat(), "to": (ORIGINS[3] + HOUR).isoformat()}
    answer = client.get(ADDRESS, params=asked)
    assert places(answer) == [
        (series, origin, step)
        for series in SERIES
        for origin in ("2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z")
        for step in STEPS
    ]
    # Origin 11:00 of btc: location -0.1 * 0.002, last value 59800.
    found = answer.json()["forecasts"][4]
    assert found["point"] == pytest.approx(59800 * math.exp(-0.0002), rel=1e-12)
    assert "X-Origin" not in answer.headers
    first = client.get(ADDRESS, params={"from": asked["from"], "to": ORIGINS[3].isoformat()})
    assert {origin for _, origin, _ in places(first)} == {"2026-03-02T11:00:00Z"}
    assert first.headers["X-Origin"] == "2026-03-02T11:00:00Z"


def test_a_range_without_end_goes_on_to_the_newest_origin(client: httpx.Client) -> None:
    found = places(client.get(ADDRESS, params={"from": AS_OF.isoformat(), "series": "btc"}))
    assert found == [("btc", "2026-03-02T12:00:00Z", step) for step in STEPS]


def test_one_origin_of_a_range_is_that_origin_bit_for_bit(client: httpx.Client) -> None:
    asked = {"from": ORIGINS[2].isoformat(), "to": ORIGINS[3].isoformat()}
    ranged = client.get(ADDRESS, params=asked).json()["forecasts"]
    alone = client.get(ADDRESS, params={"origin": ORIGINS[2].isoformat()}).json()["forecasts"]
    predicted = client.post(
        "/v1/predict", json={"problem": "bitcoin_close", "origin": ORIGINS[2].isoformat()}
    ).json()["forecasts"]
    assert ranged == alone == predicted


def test_without_origin_or_range_the_newest_origin_answers(client: httpx.Client) -> None:
    newest = client.get(f"{ADDRESS}/latest").json()["forecasts"]
    assert client.get(ADDRESS).json()["forecasts"] == newest
    assert len(newest) == 4


def test_the_horizon_leaves_later_steps_out(client: httpx.Client) -> None:
    expected = [(series, "2026-03-02T12:00:00Z", 1) for series in SERIES]
    question = {"problem": "bitcoin_close", "horizon": 1}
    assert places(client.get(f"{ADDRESS}/latest", params={"horizon": 1})) == expected
    assert places(client.post("/v1/predict", json=question)) == expected
    assert len(places(client.get(ADDRESS, params={"horizon": 2}))) == 4


@pytest.mark.parametrize("horizon", [3, 999_999_999])
def test_a_horizon_beyond_the_models_is_refused(client: httpx.Client, horizon: int) -> None:
    answer = client.get(f"{ADDRESS}/latest", params={"horizon": horizon})
    document = refusal(answer, 422, "unusable-input")
    assert document["value"] == f"horizon {horizon}"
    assert "2 steps" in document["rule"]


def test_series_are_answered_once_each_in_the_order_of_the_snapshot(client: httpx.Client) -> None:
    question = {"series": ["btc", "alt", "btc"], "horizon": 1}
    answer = client.post(ADDRESS, json=question)
    assert places(answer) == [(series, "2026-03-02T12:00:00Z", 1) for series in SERIES]
    past = client.post(ADDRESS, json={"series": ["btc"], "origin": ORIGINS[2].isoformat()})
    assert places(past) == [("btc", "2026-03-02T11:00:00Z", step) for step in STEPS]


def test_an_unknown_series_among_known_ones_is_named(client: httpx.Client) -> None:
    document = refusal(client.post(ADDRESS, json={"series": ["btc", "x"]}), 404, "unknown-name")
    assert (document["value"], document["known"]) == ("series x", ["alt", "btc"])


@pytest.mark.parametrize(
    ("asked", "status", "kind", "words"),
    [
        ({"from": "2026-03-02T09:00:00Z"}, 422, "unusable-input", "was fitted on data up to"),
        ({"from": "2026-03-02T12:30:00Z"}, 404, "unknown-name", "3 published origins"),
        (
            {"from": "2026-03-02T12:00:00Z", "to": "2026-03-02T11:00:00Z"},
            422,
            "unusable-input",
            "an end after its start",
        ),
        ({"from": "0001-01-01T00:00:00+14:00"}, 422, "unusable-input", "was fitted on data up to"),
        ({"from": "9999-12-31T23:59:59-14:00"}, 404, "unknown-name", "3 published origins"),
        ({"to": "2026-03-02T12:00:00Z"}, 422, "invalid-request", "give both"),
        (
            {"from": "2026-03-02T12:00:00Z", "origin": "2026-03-02T12:00:00Z"},
            422,
            "invalid-request",
            "not both",
        ),
        ({"from": "2026-03-02"}, 422, "invalid-request", "datetime"),
        ({"from": "1772452800"}, 422, "invalid-request", "datetime"),
        ({"horizon": "1.0"}, 422, "invalid-request", "int"),
        ({"horizon": "-1"}, 422, "invalid-request", "int"),
        ({"series": "x" * 201}, 422, "invalid-request", "length <= 200"),
        ({"colour": "red"}, 422, "invalid-request", "unknown field `colour`"),
        ({"series": ["btc", "alt"]}, 422, "invalid-request", "one value, got two"),
        ({str(i): "1" for i in range(30)}, 422, "invalid-request", "at most 20"),
    ],
)
def test_a_query_that_cannot_be_answered_says_why(
    client: httpx.Client, asked: dict[str, Any], status: int, kind: str, words: str
) -> None:
    assert words in refusal(client.get(ADDRESS, params=asked), status, kind)["rule"]


def test_a_query_that_is_no_utf_8_is_a_bad_request(client: httpx.Client) -> None:
    answer = client.get(f"{ADDRESS}/latest?series=%ff")
    assert "UTF-8" in refusal(answer, 400, "bad-request")["rule"]


@pytest.mark.parametrize("body", ['{"series": []}', '{"series": "btc"}', "{}", '{"series": [1]}'])
def test_a_question_without_a_list_of_series_is_refused(client: httpx.Client, body: str) -> None:
    refusal(client.post(ADDRESS, content=body), 422, "invalid-request")


def test_more_forecasts_than_one_answer_may_have_are_refused_with_their_number(
    world: World,
) -> None:
    world.register(model_files(horizon=2))
    world.publish(both(input_rows()), both(calibration_rows()), horizon=2)
    settings = world.settings.model_copy(update={"api_max_rows": 3})
    with started(world, settings=settings) as client:
        until(lambda: client.get("/health/ready").is_success, what="the service is ready")
        assert len(places(client.get(f"{ADDRESS}/latest"))) == 2
        answer = client.get(ADDRESS, params={"from": ORIGINS[2].isoformat()})
    document = refusal(answer, 422, "unusable-input")
    assert (document["value"], document["rule"]) == ("4 forecasts", "one answer may have 3")
