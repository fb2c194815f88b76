from __future__ import annotations

import httpx

from mlops_assets_tests.serving.published import MODEL_NAME, World, card, model_files, onnx_model
from mlops_assets_tests.serving.running import served
from serving.contract.model_card import ModelCard


def test_the_served_model_is_described_by_its_card_its_version_and_the_verdict(
    client: httpx.Client,
) -> None:
    answer = client.get("/models/bitcoin_close")
    body = answer.json()
    assert ModelCard.model_validate(body.pop("card")) == card(
        onnx_model(-0.1).SerializeToString(), slope=-0.1
    )
    assert body == {
        "problem": "bitcoin_close",
        "model_name": MODEL_NAME,
        "version": "1",
        "alias": "champion",
        "candidate": "by_hand",
        "refit_at": "2026-03-02T10:00:00Z",
        "refit_age_seconds": 9000.0,
        "snapshot_id": "20260302T120000Z-00000001",
        "verdict": {"decision": "promote", "reasons": ["test"]},
    }
    assert answer.headers["X-Model-Version"] == "1"


def test_names_that_are_not_latin_travel_percent_encoded_in_headers(world: World) -> None:
    world.register(model_files())
    world.publish(data_version="자료-1")
    with served(world) as client:
        answer = client.get("/forecasts/bitcoin_close/latest")
        assert answer.headers["X-Data-Version"] == "%EC%9E%90%EB%A3%8C-1"
        assert answer.json()["forecasts"][0]["data_version"] == "자료-1"
