from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from mlops_assets_tests.serving.published import World, by_hand, model_files
from mlops_assets_tests.serving.published_shares import (
    SHARES,
    SHARES_MODEL_NAME,
    publish_shares,
    share_files,
)
from mlops_assets_tests.serving.running import served, started, until
from mlops_assets_tests.serving.test_forecasts import refusal

ROWS = 150
"""More than are computed on the event loop."""


def columns(count: int = ROWS) -> dict[str, list[float]]:
    """Plausible features, the same at every call."""
    random = np.random.default_rng(7)
    return {
        "ret": random.normal(0, 0.01, count).tolist(),
        "vol": random.uniform(0.001, 0.02, count).tolist(),
        "band_quantile": random.uniform(1, 2, count).tolist(),
    }


def ask(client: httpx.Client, features: dict[str, Any], last_value: list[float]) -> httpx.Response:
    question = {"problem": "bitcoin_close", "features": features, "last_value": last_value}
    return client.post("/v1/predict/batch", json=question)


def test_rows_of_a_batch_are_the_hand_computed_ones_in_their_order(client: httpx.Client) -> None:
    features = {"vol": [0.01, 0.02], "ret": [0.5, -0.1], "band_quantile": [1.0, 2.0]}
    answer = ask(client, features, [100.0, 200.0]).json()
    first = by_hand(slope=-0.1, ret=0.5, vol=0.01, band=1.0, last_value=100.0)
    second = by_hand(slope=-0.1, ret=-0.1, vol=0.02, band=2.0, last_value=200.0)
    found = list(zip(answer["lower"], answer["point"], answer["upper"], strict=True))
    assert found == [pytest.approx(first, rel=1e-12), pytest.approx(second, rel=1e-12)]
    assert answer["n"] == 2
    assert (answer["version"], answer["unit"], answer["assumed"]) == ("1", "USDT", [])


@pytest.mark.parametrize("count", [1, 2, 7, ROWS])
def test_every_row_of_a_batch_is_that_row_alone_bit_for_bit(
    client: httpx.Client, count: int
) -> None:
    features, last_value = columns(count), np.linspace(50_000, 70_000, count).tolist()
    answer = ask(client, features, last_value).json()
    for row in {0, count // 2, count - 1}:
        alone = client.post(
            "/v1/predict",
            json={
                "problem": "bitcoin_close",
                "features": {name: column[row] for name, column in features.items()},
                "last_value": last_value[row],
            },
        ).json()
        assert [answer[name][row] for name in ("lower", "point", "upper")] == [
            alone[name] for name in ("lower", "point", "upper")
        ]


def test_calibration_that_is_not_given_is_assumed_for_every_row(client: httpx.Client) -> None:
    answer = ask(client, {"ret": [0.0, 0.0], "vol": [0.01, 0.02]}, [100.0, 100.0]).json()
    assert [assumed["value"] for assumed in answer["assumed"]] == [1.6]
    expected = [100 * np.exp(0.016), 100 * np.exp(0.032)]
    assert answer["upper"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("features", "last_value", "value", "words"),
    [
        ({"ret": [0.0]}, [1.0, 1.0], "feature ret with 1 values", "last_value, which has 2"),
        ({"rte": [1.0, 1.0]}, [1.0, 1.0], "features rte", "no such feature"),
        ({"vol": [0.1, None]}, [1.0, 1.0], "features of problem bitcoin_close", "row 1"),
        ({}, [1.0, 0.0], "last_value 0.0", "greater than 0"),
    ],
)
def test_a_batch_that_cannot_be_forecast_says_which_part(
    client: httpx.Client,
    features: dict[str, Any],
    last_value: list[float],
    value: str,
    words: str,
) -> None:
    given = {"ret": [0.0, 0.0], "vol": [0.1, 0.1], "band_quantile": [1.0, 1.0]} | features
    document = refusal(ask(client, given, last_value), 422, "unusable-input")
    assert document["value"] == value
    assert words in document["rule"]


@pytest.mark.parametrize(
    ("features", "last_value", "value"),
    [
        ({"ret": [0.0, "x"]}, [1.0, 1.0], "body.features.ret.1 = 'x'"),
        ({"ret": 0.0}, [1.0, 1.0], "body.features.ret = 0.0"),
        ({"ret": [0.0]}, [], "body.last_value"),
        ({"ret": [0.0]}, [None], "body.last_value.0 = None"),
    ],
)
def test_a_batch_of_another_form_is_refused_with_the_place(
    client: httpx.Client, features: dict[str, Any], last_value: list[Any], value: str
) -> None:
    document = refusal(ask(client, features, last_value), 422, "invalid-request")
    assert document["value"] == value


def test_more_rows_than_one_request_may_have_are_refused_with_their_number(world: World) -> None:
    world.register(model_files())
    world.publish()
    settings = world.settings.model_copy(update={"api_max_rows": 2})
    with started(world, settings=settings) as client:
        until(lambda: client.get("/health/ready").is_success, what="the service is ready")
        assert ask(client, columns(2), [1.0] * 2).status_code == 200
        document = refusal(ask(client, columns(3), [1.0] * 3), 422, "unusable-input")
    assert (document["value"], document["rule"]) == ("3 rows", "one request may have 2")


def test_features_too_large_for_a_model_of_single_precision_are_named(world: World) -> None:
    from onnx import TensorProto

    from mlops_assets_tests.serving.published import card, files_of, onnx_model

    content = onnx_model(-0.1, element=TensorProto.FLOAT).SerializeToString()
    world.register(files_of(content, card(content, slope=-0.1, input_type="float32")))
    world.publish()
    given = {"ret": 0.0, "vol": -1e39, "band_quantile": 1.0}
    question = {"problem": "bitcoin_close", "features": given, "last_value": 1.0}
    with served(world) as client:
        alone = refusal(client.post("/v1/predict", json=question), 422, "unusable-input")
        among = refusal(
            ask(client, {name: [0.0, value] for name, value in given.items()}, [1.0, 1.0]),
            422,
            "unusable-input",
        )
    assert alone["value"] == "feature vol = -1e+39"
    assert among["value"] == "feature vol of row 1 = -1e+39"
    assert alone["rule"] == among["rule"] == "it must fit float32"


def test_a_batch_of_shares_is_refused_since_rows_alone_give_no_share(world: World) -> None:
    world.register(share_files(), name=SHARES_MODEL_NAME)
    publish_shares(world)
    question = {"problem": SHARES, "features": {"level": [1.0]}, "last_value": [1.0]}
    with served(world) as client:
        answer = client.post("/v1/predict/batch", json=question)
    assert "share_of_segment" in refusal(answer, 422, "unusable-input")["rule"]
