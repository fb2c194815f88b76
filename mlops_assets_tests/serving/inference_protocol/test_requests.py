"""Requests as KServe's and other clients write them, in JSON, and every way in which one is bad."""

from __future__ import annotations

import copy
import json
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets_tests.serving.published import PROBLEM, World, by_hand, model_files
from mlops_assets_tests.serving.published_shares import (
    OFFSETS,
    SHARES,
    SHARES_MODEL_NAME,
    bound,
    publish_shares,
    share_files,
)
from mlops_assets_tests.serving.running import served, started, until
from serving.contract.prediction_log import TABLE

INFER = f"/v2/models/{PROBLEM}/infer"
Json = dict[str, Any]


def tensor(name: str, shape: list[int], data: list[Any] | None, datatype: str = "FP64") -> Json:
    """An input as JSON."""
    described: Json = {"name": name, "datatype": datatype, "shape": shape}
    return described if data is None else {**described, "data": data}


def question(**changes: Any) -> Json:  # noqa: ANN401 - any JSON
    """One row, the features in the order of the card."""
    inputs = [
        tensor("features", [1, 3], [0.01, 0.005, 1.6]),
        tensor("last_value", [1], [60000.0]),
    ]
    return {"id": "42", "inputs": inputs, **changes}


def with_features(**changes: Any) -> Json:  # noqa: ANN401 - any JSON
    """`question` with fields of the tensor `features` changed; None removes one."""
    changed = copy.deepcopy(question())
    features = {**changed["inputs"][0], **changes}
    changed["inputs"][0] = {k: v for k, v in features.items() if v is not None}
    return changed


LOWER, POINT, UPPER = by_hand(slope=-0.1, ret=0.01, vol=0.005, band=1.6, last_value=60000.0)


def values(answer: httpx.Response) -> dict[str, list[float]]:
    """The outputs of an answer by name."""
    assert answer.status_code == 200, answer.text
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


def test_a_json_request_is_answered_in_json_with_its_id_and_what_it_rests_on(
    client: httpx.Client,
) -> None:
    answer = client.post(INFER, json=question(), headers={"X-Request-Id": "mine"})
    body = answer.json()
    assert body["id"] == "42"
    assert (body["model_name"], body["model_version"]) == (PROBLEM, "1")
    assert body["parameters"]["run_id"] == "mlflow-run"
    assert body["parameters"]["data_version"] == "data-1"
    assert body["parameters"]["request_id"] == "mine"
    assert values(answer) == {
        "point": pytest.approx([POINT], rel=1e-12),
        "lower": pytest.approx([LOWER], rel=1e-12),
        "upper": pytest.approx([UPPER], rel=1e-12),
    }
    assert answer.headers["X-Model-Version"] == "1"
    assert "Inference-Header-Content-Length" not in answer.headers


def test_rows_may_be_nested_as_the_shape_says(client: httpx.Client) -> None:
    nested = with_features(data=[[0.01, 0.005, 1.6]])
    assert values(client.post(INFER, json=nested))["point"] == pytest.approx([POINT], rel=1e-12)


@pytest.mark.parametrize("shape", [[1], [1, 1]])
def test_each_feature_may_be_a_tensor_of_its_own(client: httpx.Client, shape: list[int]) -> None:
    by_name = {"ret": 0.01, "band_quantile": 1.6, "vol": 0.005, "last_value": 60000.0}
    inputs = [tensor(name, shape, [value]) for name, value in by_name.items()]
    answer = client.post(INFER, json={"inputs": inputs})
    assert values(answer)["upper"] == pytest.approx([UPPER], rel=1e-12)
    assert "id" not in answer.json()


def test_calibration_that_is_not_given_is_the_newest_published_one_and_is_named(
    client: httpx.Client,
) -> None:
    inputs = [
        tensor(name, [1], [value])
        for name, value in (("ret", 0.01), ("vol", 0.005), ("last_value", 60000.0))
    ]
    answer = client.post(INFER, json={"inputs": inputs})
    assert values(answer)["lower"] == pytest.approx([LOWER], rel=1e-12)
    assert answer.json()["parameters"]["assumed.band_quantile"] == 1.6


def test_outputs_are_returned_in_the_order_they_are_asked_for(client: httpx.Client) -> None:
    asked = question(outputs=[{"name": "upper"}, {"name": "point"}])
    assert list(values(client.post(INFER, json=asked))) == ["upper", "point"]


def test_forecasts_are_logged_and_counted(world: World) -> None:
    world.register(model_files(-0.1))
    world.publish()
    with served(world) as client:
        client.post(INFER, json=question()).raise_for_status()
        found = client.get("/metrics").text
    assert 'serving_forecasts_total{problem="bitcoin_close",version="1"} 1.0' in found
    with closing(sqlite3.connect(world.prediction_log)) as log:
        (row,) = log.execute("SELECT kind, version, series, point FROM prediction_log").fetchall()
    assert row == ("features", "1", None, pytest.approx(POINT, rel=1e-12))


@pytest.fixture(scope="module")
def shares(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    """The service over the problem of shares."""
    world = World.create(tmp_path_factory.mktemp("shares") / "home", empty_registry)
    world.register(share_files(), name=SHARES_MODEL_NAME)
    publish_shares(world)
    with served(world) as ready:
        yield ready


def share_question(segment: list[int] | None) -> Json:
    """Shares 30, 50 and 40 of one segment and the only one of another, without last values."""
    lower, upper = OFFSETS[0]
    inputs = [
        tensor("features", [4, 3], [[level, lower, upper] for level in (30.0, 50.0, 40.0, 7.0)])
    ]
    if segment is not None:
        inputs.append(tensor("segment", [4], segment, "INT64"))
    return {"inputs": inputs}


def test_shares_add_up_to_a_hundred_within_the_segments_that_are_given(
    shares: httpx.Client,
) -> None:
    lower, upper = OFFSETS[0]
    expected = [25.0, 125 / 3, 100 / 3, 100.0]
    found = values(shares.post(f"/v2/models/{SHARES}/infer", json=share_question([7, 7, 7, -1])))
    assert found["point"] == pytest.approx(expected)
    assert found["lower"] == pytest.approx([bound(share, lower) for share in expected])
    assert found["upper"] == pytest.approx([bound(share, upper) for share in expected])


def test_the_documents_example_is_the_cards_and_works(
    client: httpx.Client, shares: httpx.Client
) -> None:
    for service, problem in ((client, PROBLEM), (shares, SHARES)):
        operation = service.get("/openapi.json").json()["paths"]["/v2/models/{model}/infer"]["post"]
        media = operation["requestBody"]["content"]["application/json"]
        (example,) = media["examples"].values()
        found = values(service.post(f"/v2/models/{problem}/infer", json=example["value"]))
        expected = service.get(f"/models/{problem}").json()["card"]["example"]["expected"]
        lower, point, upper = (list(column) for column in zip(*expected, strict=True))
        assert found == {
            "lower": pytest.approx(lower),
            "point": pytest.approx(point),
            "upper": pytest.approx(upper),
        }


def test_shares_need_segments(shares: httpx.Client) -> None:
    answer = shares.post(f"/v2/models/{SHARES}/infer", json=share_question(None))
    assert answer.status_code == 400
    assert "add a tensor segment of datatype INT64 and shape [4]" in answer.json()["error"]
    metadata = shares.get(f"/v2/models/{SHARES}").json()
    assert [entry["name"] for entry in metadata["inputs"]] == ["features", "segment"]


BAD: dict[str, tuple[Any, str]] = {
    "no object": ([], "Expected `object`, got `array`"),
    "no inputs": ({}, "missing required field `inputs`"),
    "inputs of another type": ({"inputs": "x"}, "Expected `array`, got `str`"),
    "an empty list of inputs": ({"inputs": []}, "inputs ret, vol: the 3 features"),
    "an id that is no text": (question(id=42), "Expected `str | null`, got `int`"),
    "a datatype that is not served": (with_features(datatype="BYTES"), "'BYTES' is not served"),
    "whole numbers for features": (
        with_features(datatype="INT64", data=[1, 2, 3]),
        "must be of datatype FP64 or FP32",
    ),
    "a fraction in whole numbers": (
        with_features(datatype="INT64", data=[1, 2, 0.5]),
        "are not INT64 in one list",
    ),
    "text for numbers": (with_features(data=["a", 1, 2]), "are not FP64 in one list"),
    "a flag for a number": (with_features(data=[True, 1, 2]), "got `bool`"),
    "too few values": (with_features(data=[0.1, 0.2]), "do not fill shape [1, 3]: 2 values"),
    "ragged rows": (with_features(shape=[2, 3], data=[[1, 2, 3], [4]]), "do not fill shape [2, 3]"),
    "no data": (with_features(data=None), "neither data nor the parameter binary_data_size"),
    "no shape": (with_features(shape=None), "missing required field `shape`"),
    "an empty shape": (with_features(shape=[]), "not one or two lengths of at least 1"),
    "a negative shape": (with_features(shape=[-1, 3]), "not one or two lengths of at least 1"),
    "no rows": (with_features(shape=[0, 3], data=[]), "not one or two lengths of at least 1"),
    "three dimensions": (with_features(shape=[1, 1, 3]), "not one or two lengths of at least 1"),
    "too many rows": (with_features(shape=[5001, 3]), "it has 5001 rows, 5000 are allowed"),
    "an absurd number of rows": (with_features(shape=[2**62, 3]), "5000 are allowed"),
    "an absurd number of columns": (with_features(shape=[1, 2**62]), "do not fill shape"),
    "a shape beyond 64 bits": (
        with_features(shape=[1, 10**30]),
        "Expected `int` <= 9223372036854775807",
    ),
    "other columns": (with_features(shape=[1, 2], data=[1, 2]), "must have shape [rows, 3]"),
    "a number beyond FP32": (
        with_features(datatype="FP32", data=[1e39, 1, 1]),
        "it holds a number beyond FP32",
    ),
    "an input that is not known": (
        question(inputs=[*question()["inputs"], tensor("price", [1], [1.0])]),
        "input price",
    ),
    "an input that occurs twice": (
        question(inputs=[*question()["inputs"], tensor("last_value", [1], [1.0])]),
        "a tensor may occur once",
    ),
    "no last value": (question(inputs=question()["inputs"][:1]), "add a tensor last_value"),
    "a last value of zero": (
        question(inputs=[question()["inputs"][0], tensor("last_value", [1], [0.0])]),
        "row 0: 0.0: it must be a number above 0",
    ),
    "a last value that is missing": (
        question(inputs=[question()["inputs"][0], tensor("last_value", [1], [None])]),
        "it must be a number above 0",
    ),
    "more last values than rows": (
        question(inputs=[question()["inputs"][0], tensor("last_value", [2], [1.0, 2.0])]),
        "it must have shape [1] or [1, 1]",
    ),
    "a feature that is missing and is needed": (
        with_features(data=[None, 0.005, 1.6]),
        "they must give finite forecasts",
    ),
    "an output that is not known": (question(outputs=[{"name": "p50"}]), "point, lower, upper"),
    "an output that is asked for twice": (
        question(outputs=[{"name": "point"}, {"name": "point"}]),
        "each output may be asked for once",
    ),
    "classes of a forecast": (
        question(outputs=[{"name": "point", "parameters": {"classification": 1}}]),
        "has no classes",
    ),
    "raw values that do not follow": (
        with_features(data=None, parameters={"binary_data_size": 24}),
        "and 0 are left behind the JSON",
    ),
    "a negative number of raw bytes": (
        with_features(data=None, parameters={"binary_data_size": -24}),
        "binary_data_size -24 does not match",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_request_that_cannot_be_used_is_refused_with_value_rule_and_remedy(
    client: httpx.Client, case: str
) -> None:
    body, said = BAD[case]
    answer = client.post(INFER, json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert said in error
    assert "; " in error


@pytest.mark.parametrize(
    ("content", "headers", "said"),
    [
        (b"", {}, "Input data was truncated"),
        (b"{", {}, "Input data was truncated"),
        (b'{"inputs": [NaN]}', {}, "invalid character"),
        (b'{"inputs": [], "id": "\xff"}', {}, "'utf-8' codec can't decode"),
        (b"[" * 200_000, {}, "Expected `object`"),
        (b'{"inputs": ' + b"[" * 200_000, {}, "must be an inference request"),
        (
            b'{"inputs":[{"name":"a","datatype":"FP64","shape":[1],"data":' + b"[" * 100_000,
            {},
            "recursion",
        ),
        (b"{}", {"Inference-Header-Content-Length": "3"}, "has 2 bytes"),
        (b"{}", {"Inference-Header-Content-Length": "-1"}, "= '-1'"),
        (b"{}", {"Inference-Header-Content-Length": "9" * 30}, "has 2 bytes"),
        (b"{}", {"Content-Encoding": "gzip"}, "without compression"),
    ],
)
def test_bytes_that_are_no_request_are_refused(
    client: httpx.Client, content: bytes, headers: dict[str, str], said: str
) -> None:
    answer = client.post(INFER, content=content, headers=headers)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]


def raw_question(raw: bytes, *, announced: int) -> tuple[bytes, dict[str, str]]:
    """A request whose features follow the JSON."""
    body = with_features(data=None, parameters={"binary_data_size": announced})
    text = json.dumps(body).encode()
    return text + raw, {"Inference-Header-Content-Length": str(len(text))}


def test_raw_values_follow_the_json_in_little_endian_order(client: httpx.Client) -> None:
    content, headers = raw_question(struct.pack("<3d", 0.01, 0.005, 1.6), announced=24)
    answer = client.post(INFER, content=content, headers=headers)
    assert values(answer)["point"] == pytest.approx([POINT], rel=1e-12)


@pytest.mark.parametrize(
    ("raw", "announced", "said"),
    [
        (bytes(23), 24, "and 23 are left behind the JSON"),
        (bytes(24), 16, "has 24 bytes"),
        (bytes(32), 24, "32 bytes behind the JSON: the inputs' binary_data_size adds up to 24"),
        (struct.pack("<3d", float("inf"), 1, 1), 24, "it holds a number beyond FP64"),
    ],
)
def test_raw_values_that_do_not_match_their_description_are_refused(
    client: httpx.Client, raw: bytes, announced: int, said: str
) -> None:
    content, headers = raw_question(raw, announced=announced)
    answer = client.post(INFER, content=content, headers=headers)
    assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text


def test_many_rows_are_answered_row_by_row(client: httpx.Client) -> None:
    rows = [[0.0001 * n, 0.005, 1.6] for n in range(1000)]
    inputs = [
        tensor("features", [1000, 3], rows),
        tensor("last_value", [1000, 1], [50000.0] * 1000),
    ]
    found = values(client.post(INFER, json={"inputs": inputs}))
    _, point, _ = by_hand(slope=-0.1, ret=0.0999, vol=0.005, band=1.6, last_value=50000.0)
    assert len(found["point"]) == 1000
    assert found["point"][999] == pytest.approx(point, rel=1e-12)


def test_a_body_beyond_the_limit_is_refused_in_the_protocols_form(client: httpx.Client) -> None:
    answer = client.post(INFER, content=b" " * 1_000_001)
    assert answer.status_code == 413
    assert "1000000 bytes" in answer.json()["error"]


def test_an_unknown_model_is_not_found_and_knows_others(client: httpx.Client) -> None:
    answer = client.post("/v2/models/eth_close/infer", json=question())
    assert answer.status_code == 404
    assert answer.json()["error"].endswith("(known: bitcoin_close)")


def test_before_anything_is_published_the_server_is_live_and_not_ready(world: World) -> None:
    with started(world) as client:
        assert client.get("/v2/health/live").json() == {"live": True}
        ready = client.get("/v2/health/ready")
        assert ready.status_code == 503
        assert ready.headers["Retry-After"] == "5"
        assert "mlops run" in ready.json()["error"]
        assert client.get(f"/v2/models/{PROBLEM}/ready").status_code == 503


def test_an_alias_is_chosen_in_the_parameters(world: World) -> None:
    world.register(model_files(-0.1))
    second = world.register(model_files(-0.2), promote=False)
    world.client.set_registered_model_alias(f"sample.{PROBLEM}", "challenger", second)
    world.publish()
    asked = question(parameters={"alias": "challenger"})
    with served(world) as client:
        until(lambda: client.post(INFER, json=asked).status_code == 200, what="the alias is known")
        answer = client.post(INFER, json=asked)
        by_version = client.post(f"/v2/models/{PROBLEM}/versions/2/infer", json=question())
    _, point, _ = by_hand(slope=-0.2, ret=0.01, vol=0.005, band=1.6, last_value=60000.0)
    assert values(answer)["point"] == pytest.approx([point], rel=1e-12)
    assert answer.json()["parameters"]["alias"] == "challenger"
    assert values(by_version)["point"] == pytest.approx([point], rel=1e-12)
    assert (by_version.json()["model_version"], "alias" in by_version.json()["parameters"]) == (
        "2",
        False,
    )


def test_a_shadow_computes_for_the_log_alone(world: World) -> None:
    world.register(model_files(-0.1))
    shadow = world.register(model_files(-0.2), promote=False)
    name = f"sample.{PROBLEM}"
    world.client.set_registered_model_alias(name, "challenger", shadow)
    settings = {"weights": {"champion": 1.0}, "shadow": ["challenger"]}
    world.client.set_registered_model_tag(name, "serving.traffic", json.dumps(settings))
    world.publish()

    def logged() -> set[tuple[str, int]]:
        with closing(sqlite3.connect(world.prediction_log)) as log:
            if not log.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,)).fetchall():
                return set()
            found = log.execute(f"SELECT version, returned FROM {TABLE}").fetchall()
        return {(str(version), int(returned)) for version, returned in found}

    with served(world) as client:
        until(
            lambda: (
                client.post(INFER, json=question()).json()["model_version"] == "1"
                and logged() == {("1", 1), ("2", 0)}
            ),
            what="the shadow is logged beside the champion",
        )
