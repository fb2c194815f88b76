from __future__ import annotations

import math
from typing import Any

import httpx
import pytest

from mlops_assets_tests.serving.published import (
    AS_OF,
    HOUR,
    MODEL_NAME,
    NOW,
    ORIGINS,
    PROBLEM,
    Row,
    World,
    calibration_rows,
    input_rows,
    model_files,
)
from mlops_assets_tests.serving.running import served
from serving.contract.model_card import Example
from serving.contract.steps import Step

EXPLICIT = {"ret": 0.002, "vol": 0.006, "band_quantile": 1.5}
"""The features of the third origin, 11:00, whose last value is 59800."""


def refusal(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem document of an answer, after checking that it is one of this status and kind."""
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["status"]) == (status, status)
    assert document["type"] == f"/docs#{kind}"
    assert document["rule"]
    assert document["remedy"]
    assert document["request_id"] == answer.headers["X-Request-Id"]
    return document


def test_the_latest_forecast_is_the_hand_computed_one_with_all_its_provenance(
    client: httpx.Client,
) -> None:
    answer = client.get("/v1/forecasts/bitcoin_close/latest")
    (forecast,) = answer.json()["forecasts"]
    # location = -0.1 * 0.01 = -0.001; width = 0.005 * 1.6 = 0.008; last value 60000
    assert forecast.pop("point") == pytest.approx(60000 * math.exp(-0.001), rel=1e-12)
    assert forecast.pop("lower") == pytest.approx(60000 * math.exp(-0.009), rel=1e-12)
    assert forecast.pop("upper") == pytest.approx(60000 * math.exp(0.007), rel=1e-12)
    assert forecast == {
        "problem": "bitcoin_close",
        "series": "btc",
        "origin": "2026-03-02T12:00:00Z",
        "last_observed": "2026-03-02T12:00:00Z",
        "valid_time": "2026-03-02T13:00:00Z",
        "step": 1,
        "nominal_coverage": 0.9,
        "unit": "USDT",
        "model_name": MODEL_NAME,
        "candidate": "by_hand",
        "version": "1",
        "alias": "champion",
        "data_version": "data-1",
        "run_id": "mlflow-run",
        "synthetic": True,
        "stale": False,
    }


def test_headers_repeat_the_provenance_and_keep_the_request_id_given(
    client: httpx.Client,
) -> None:
    answer = client.get("/v1/forecasts/bitcoin_close/latest", headers={"X-Request-Id": "mine-1"})
    expected = {
        "x-model-name": MODEL_NAME,
        "x-model-version": "1",
        "x-model-alias": "champion",
        "x-data-version": "data-1",
        "x-run-id": "mlflow-run",
        "x-origin": "2026-03-02T12:00:00Z",
        "x-request-id": "mine-1",
    }
    assert expected.items() <= dict(answer.headers).items()
    assert answer.json()["request_id"] == "mine-1"


def test_a_request_id_with_other_characters_is_replaced(client: httpx.Client) -> None:
    answer = client.get("/health/live", headers={"X-Request-Id": "a b<script>"})
    assert len(answer.headers["X-Request-Id"]) == 32


def test_predict_without_an_origin_is_the_latest_forecast(client: httpx.Client) -> None:
    latest = client.get("/v1/forecasts/bitcoin_close/latest", params={"series": "btc"}).json()
    answer = client.post("/v1/predict", json={"problem": "bitcoin_close"}).json()
    assert answer["forecasts"] == latest["forecasts"]


def test_an_origin_and_its_own_features_give_the_same_forecast(client: httpx.Client) -> None:
    by_origin = client.post(
        "/v1/predict",
        # 11:00 UTC, written in another zone
        json={"problem": "bitcoin_close", "series": "btc", "origin": "2026-03-02T20:00:00+09:00"},
    ).json()["forecasts"][0]
    by_features = client.post(
        "/v1/predict",
        json={"problem": "bitcoin_close", "features": EXPLICIT, "last_value": 59800},
    ).json()
    # location = -0.1 * 0.002, width = 0.006 * 1.5 = 0.009
    assert by_origin["lower"] == pytest.approx(59800 * math.exp(-0.0092), rel=1e-12)
    assert by_origin["origin"] == "2026-03-02T11:00:00Z"
    shared = set(by_origin) & set(by_features)
    assert {"point", "lower", "upper", "version", "data_version", "stale"} < shared
    assert {k: by_features[k] for k in shared} == {k: by_origin[k] for k in shared}
    assert by_features["assumed"] == []


def test_calibration_that_is_not_given_is_the_newest_published_and_the_answer_says_so(
    client: httpx.Client,
) -> None:
    answer = client.post(
        "/v1/predict",
        json={
            "problem": "bitcoin_close",
            "features": {"ret": 0.0, "vol": 0.01},
            "last_value": 100.0,
        },
    ).json()
    assert answer["upper"] == pytest.approx(100 * math.exp(0.016), rel=1e-12)
    assert answer["assumed"] == [
        {
            "feature": "band_quantile",
            "value": 1.6,
            "series": "btc",
            "origin": "2026-03-02T12:00:00Z",
        }
    ]


def test_an_origin_before_the_refit_is_refused_since_the_model_has_seen_what_came_after(
    client: httpx.Client,
) -> None:
    answer = client.post(
        "/v1/predict", json={"problem": "bitcoin_close", "origin": ORIGINS[0].isoformat()}
    )
    document = refusal(answer, 422, "unusable-input")
    assert document["value"] == "origin 2026-03-02T09:00:00+00:00"
    assert "2026-03-02T10:00:00+00:00" in document["rule"]


def test_the_refit_instant_itself_is_an_origin_but_missing_inputs_give_no_forecast(
    client: httpx.Client,
) -> None:
    # At 10:00, the refit, `ret` is missing: the linear model has no finite output.
    answer = client.post(
        "/v1/predict", json={"problem": "bitcoin_close", "origin": ORIGINS[1].isoformat()}
    )
    assert "not finite" in refusal(answer, 422, "unusable-input")["rule"]


@pytest.mark.parametrize(
    "origin", [(AS_OF + HOUR).isoformat(), "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_an_unpublished_origin_lists_the_newest_published_ones(
    client: httpx.Client, origin: str
) -> None:
    answer = client.post("/v1/predict", json={"problem": "bitcoin_close", "origin": origin})
    document = refusal(answer, 404, "unknown-name")
    assert document["known"] == [origin.isoformat() for origin in ORIGINS]


@pytest.mark.parametrize(
    ("request_", "value", "known"),
    [
        (("GET", "/v1/forecasts/ether/latest", None), "problem ether", ["bitcoin_close"]),
        (("GET", "/models/ether", None), "problem ether", ["bitcoin_close"]),
        (("GET", "/v1/forecasts/bitcoin_close/latest?series=eth", None), "series eth", ["btc"]),
        (("POST", "/v1/predict", {"problem": "ether"}), "problem ether", ["bitcoin_close"]),
        (("POST", "/v1/predict", {"problem": "bitcoin_close", "series": "e"}), "series e", ["btc"]),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(
    client: httpx.Client, request_: tuple[str, str, Row | None], value: str, known: list[str]
) -> None:
    method, path, body = request_
    document = refusal(client.request(method, path, json=body), 404, "unknown-name")
    assert (document["value"], document["known"]) == (value, known)


@pytest.mark.parametrize(
    ("features", "value"),
    [
        ({**EXPLICIT, "rte": 1.0}, "features rte"),
        ({"ret": 0.001}, "features vol"),
        ({"ret": None, "vol": 0.01}, "features of problem bitcoin_close"),
        ({"ret": -1e5, "vol": 0.01}, "features of problem bitcoin_close"),
    ],
)
def test_features_that_cannot_give_a_forecast_are_named(
    client: httpx.Client, features: dict[str, Any], value: str
) -> None:
    answer = client.post(
        "/v1/predict", json={"problem": "bitcoin_close", "features": features, "last_value": 1e5}
    )
    assert refusal(answer, 422, "unusable-input")["value"] == value


@pytest.mark.parametrize("last_value", [0, -0.0, -1.5])
def test_a_last_value_without_logarithm_is_refused_by_a_model_of_log_returns(
    client: httpx.Client, last_value: float
) -> None:
    question = {"problem": "bitcoin_close", "features": EXPLICIT, "last_value": last_value}
    document = refusal(client.post("/v1/predict", json=question), 422, "unusable-input")
    assert document["value"] == f"last_value {float(last_value)!r}"
    assert "greater than 0" in document["rule"]


def test_a_model_of_differences_takes_a_last_value_below_zero(world: World) -> None:
    expected = [[-100.0 - 0.001 - 0.008, -100.001, -100.0 - 0.001 + 0.008]]
    example = Example(features=[[0.01, 0.005, 1.6]], last_value=[-100.0], expected=expected)
    world.register(model_files(steps=(Step.INVERSE_DIFFERENCE,), example=example))
    world.publish()
    question = {"problem": "bitcoin_close", "features": EXPLICIT, "last_value": -3}
    with served(world) as client:
        answer = client.post("/v1/predict", json=question).json()
    # location = -0.1 * 0.002, width = 0.006 * 1.5
    found = [answer["lower"], answer["point"], answer["upper"]]
    assert found == pytest.approx([-3.0092, -3.0002, -2.9912], rel=1e-12)


@pytest.mark.parametrize(
    ("body", "value", "words"),
    [
        (
            '{"problem": "bitcoin_close", "features": {"ret": 1e999}, "last_value": 1}',
            "body.features[...]",
            "out of range",
        ),
        (
            '{"problem": "bitcoin_close", "features": {"vol": 1, "ret": "1"}, "last_value": 1}',
            "body.features.ret = '1'",
            "Expected `float | null`",
        ),
        (
            '{"problem": "bitcoin_close", "features": {"ret": true}, "last_value": 1}',
            "body.features.ret = True",
            "Expected `float | null`",
        ),
        ('{"problem": "bitcoin_close", "features": {}}', "body", "features need last_value"),
        ('{"problem": "bitcoin_close", "last_value": 1}', "body", "last_value goes with features"),
        (
            '{"problem": "bitcoin_close", "origin": "2026-03-02T12:00:00"}',
            "body.origin = '2026-03-02T12:00:00'",
            "timezone",
        ),
        (
            '{"problem": "bitcoin_close", "origin": "2026-03-02T12:00:00Z", "features": {},'
            ' "last_value": 1}',
            "body",
            "not both",
        ),
        ('{"problem": "bitcoin_close", "horizon": 0}', "body.horizon = 0", ">= 1"),
        ('{"problem": "bitcoin_close", "horizons": 2}', "body", "unknown field `horizons`"),
        ('{"series": "btc"}', "body", "missing required field `problem`"),
        ('["bitcoin_close"]', "body", "Expected `object`, got `array`"),
    ],
)
def test_a_body_of_another_form_is_refused_with_the_place_and_the_rule(
    client: httpx.Client, body: str, value: str, words: str
) -> None:
    document = refusal(client.post("/v1/predict", content=body), 422, "invalid-request")
    assert document["value"] == value
    assert words in document["rule"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"problem": "bitcoin_close", "features": {"ret": NaN}, "last_value": 1}',
        b'{"problem": "\\ud800"}',
        b'{"problem": "bitcoin\xff"}',
        b'{"problem": "bitcoin_close"} {}',
        b"{",
        b"",
    ],
)
def test_a_body_that_is_no_json_in_utf_8_is_a_bad_request(
    client: httpx.Client, body: bytes
) -> None:
    answer = client.post("/v1/predict", content=body)
    assert "must be JSON in UTF-8" in refusal(answer, 400, "bad-request")["rule"]


@pytest.mark.parametrize("opening", [b"[", b'{"problem":', b'{"features":'])
def test_a_deeply_nested_body_is_refused(client: httpx.Client, opening: bytes) -> None:
    refusal(client.post("/v1/predict", content=opening * 50_000), 422, "invalid-request")


def test_several_series_are_all_forecast_and_calibration_needs_one_named(world: World) -> None:
    world.register(model_files())
    world.publish(
        input_rows("btc") + input_rows("alt", scale=0.5),
        calibration_rows("btc") + calibration_rows("alt"),
    )
    with served(world) as client:
        forecasts = client.get("/v1/forecasts/bitcoin_close/latest").json()["forecasts"]
        assert [f["series"] for f in forecasts] == ["alt", "btc"]
        assert forecasts[0]["point"] == pytest.approx(forecasts[1]["point"] / 2, rel=1e-12)
        question = {
            "problem": "bitcoin_close",
            "features": {"ret": 0.01, "vol": 0.005},
            "last_value": 30000.0,
        }
        assert refusal(client.post("/v1/predict", json=question), 422, "unusable-input")[
            "known"
        ] == [
            "alt",
            "btc",
        ]
        named = client.post("/v1/predict", json={**question, "series": "alt"}).json()
        assert named["point"] == pytest.approx(forecasts[0]["point"], rel=1e-12)


def test_calibration_of_several_steps_is_not_assumed_but_asked_for(world: World) -> None:
    world.register(model_files(horizon=2))
    steps = (1, 2)
    world.publish(
        [{**row, "step": step} for row in input_rows() for step in steps],
        [{**row, "step": step} for row in calibration_rows() for step in steps],
    )
    question = {"problem": "bitcoin_close", "features": {"ret": 0.0, "vol": 0.01}}
    with served(world) as client:
        document = refusal(
            client.post("/v1/predict", json={**question, "last_value": 100.0}),
            422,
            "unusable-input",
        )
    assert document["value"] == "band_quantile"
    assert "differs by step" in document["rule"]


def test_an_answer_is_stale_once_the_snapshot_is_older_than_its_manifest_allows(
    world: World,
) -> None:
    world.register(model_files())
    world.publish(stale_after_seconds=1800.0)
    present = [NOW]
    with served(world, clock=lambda: present[0]) as client:
        address = "/v1/forecasts/bitcoin_close/latest"
        assert client.get(address).json()["forecasts"][0]["stale"] is False
        present[0] = NOW + HOUR / 3600
        assert client.get(address).json()["forecasts"][0]["stale"] is True


def test_the_short_addresses_answer_as_those_under_v1(client: httpx.Client) -> None:
    latest = client.get("/v1/forecasts/bitcoin_close/latest").json()["forecasts"]
    assert client.get("/forecasts/bitcoin_close/latest").json()["forecasts"] == latest
    for question in (
        {"problem": "bitcoin_close", "origin": ORIGINS[2].isoformat()},
        {"problem": "bitcoin_close", "features": EXPLICIT, "last_value": 59800},
    ):
        headers = {"X-Request-Id": "same"}
        short = client.post("/predict", json=question, headers=headers)
        long = client.post("/v1/predict", json=question, headers=headers)
        assert short.content == long.content


def test_an_alias_or_a_version_can_be_asked_for(world: World) -> None:
    world.register(model_files(-0.1))
    bold = world.register(model_files(0.5), promote=False)
    world.client.set_registered_model_alias(MODEL_NAME, "challenger", bold)
    world.publish()
    address = "/v1/forecasts/bitcoin_close/latest"
    with served(world) as client:
        by_version = client.get(address, params={"version": bold})
        by_alias = client.post("/v1/predict", json={"problem": PROBLEM, "alias": "challenger"})
        champion = client.get(address, params={"alias": "champion"}).json()["forecasts"]
        assert champion == client.get(address).json()["forecasts"]
        both = client.get(address, params={"version": bold, "alias": "challenger"})
        refusal(both, 422, "unusable-input")
        refusal(client.get(address, params={"version": "9"}), 404, "unknown-name")
        refusal(client.get(address, params={"alias": "../champion"}), 404, "unknown-name")
    (forecast,) = by_version.json()["forecasts"]
    assert (forecast["version"], forecast["alias"]) == ("2", None)
    assert by_version.headers["X-Model-Alias"] == ""
    # location = 0.5 * 0.01
    assert forecast["point"] == pytest.approx(60000 * math.exp(0.005), rel=1e-12)
    assert by_alias.json()["forecasts"] == [{**forecast, "alias": "challenger"}]
    assert by_alias.headers["X-Model-Alias"] == "challenger"
