from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets_tests.serving.published import World, model_files
from mlops_assets_tests.serving.published_shares import (
    POINT,
    SHARES_MODEL_NAME,
    publish_shares,
    share_files,
)
from mlops_assets_tests.serving.running import served
from mlops_assets_tests.serving.test_forecasts import refusal

ASKED = {"date": "2026-03-03", "age_group": "20대", "gender": "female", "brand": "토레타"}
"""The second origin is 2026-03-02 12:00 UTC; its steps end days at noon, so that they are the
days from noon of 2 and 3 March, whose middles are midnight of 3 and 4 March."""


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    """The service over a champion of shares and a snapshot with two origins."""
    world = World.create(tmp_path_factory.mktemp("share_questions") / "home", empty_registry)
    world.register(share_files(), name=SHARES_MODEL_NAME)
    publish_shares(world)
    with served(world) as ready:
        yield ready


def share(client: httpx.Client, **changes: str) -> dict[str, Any]:
    """The one forecast of an answer."""
    answer = client.get("/predict", params={**ASKED, **changes})
    assert answer.status_code == 200, answer.text
    (forecast,) = answer.json()["forecasts"]
    assert isinstance(forecast, dict)
    return forecast


def test_a_day_is_answered_from_the_newest_origin_that_forecasts_it(client: httpx.Client) -> None:
    # 3 March is step 1 of the newest origin and step 2 of the one before.
    found = share(client)
    assert (found["series"], found["step"]) == ("토레타/female/20대", 1)
    assert found["origin"] == "2026-03-02T12:00:00Z"
    assert found["point"] == pytest.approx(POINT["토레타/female/20대"][0], rel=1e-9)
    assert share(client, date="2026-03-04")["step"] == 2
    # Step 1 of the older origin, where every brand has a third.
    assert share(client, date="2026-03-02")["point"] == pytest.approx(100 / 3, rel=1e-9)


def test_the_answer_is_the_row_of_the_ordinary_forecast_bit_for_bit(client: httpx.Client) -> None:
    forecasts = client.get("/v1/forecasts/drink_share/latest").json()["forecasts"]
    wanted = ("토레타/female/20대", 2)
    (expected,) = [f for f in forecasts if (f["series"], f["step"]) == wanted]
    assert share(client, date="2026-03-04") == expected


@pytest.mark.parametrize(
    "shortened",
    [{"age_group": "20s"}, {"age_group": "20"}, {"gender": "f"}, {"brand": "토"}],
)
def test_a_label_may_be_shortened_to_what_only_one_begins_with(
    client: httpx.Client, shortened: dict[str, str]
) -> None:
    assert share(client, **shortened) == share(client)


def test_a_decomposed_hangul_label_is_the_same_label(client: httpx.Client) -> None:
    import unicodedata

    assert share(client, brand=unicodedata.normalize("NFD", "토레타")) == share(client)


@pytest.mark.parametrize("label", [{"brand": "콜라"}, {"age_group": "2s"}, {"gender": "x"}])
def test_an_unknown_label_is_answered_with_the_known_ones(
    client: httpx.Client, label: dict[str, str]
) -> None:
    document = refusal(client.get("/predict", params={**ASKED, **label}), 404, "unknown-name")
    ((key, given),) = label.items()
    assert document["value"] == f"{key} {given}"
    assert document["known"]


def test_a_day_outside_lists_the_days_that_can_be_asked(client: httpx.Client) -> None:
    document = refusal(
        client.get("/predict", params={**ASKED, "date": "2026-03-09"}), 404, "unknown-name"
    )
    assert document["value"] == "date 2026-03-09"
    assert document["known"] == ["2026-03-02", "2026-03-03", "2026-03-04"]


@pytest.mark.parametrize(
    ("date", "kind"),
    [("2026-02-30", "unusable-input"), ("3 March", "invalid-request"), ("", "invalid-request")],
)
def test_what_is_no_day_is_refused(client: httpx.Client, date: str, kind: str) -> None:
    refusal(client.get("/predict", params={**ASKED, "date": date}), 422, kind)


def test_the_same_question_may_be_posted(client: httpx.Client) -> None:
    answer = client.post("/predict", json=ASKED)
    assert answer.json()["forecasts"] == [share(client)]


def test_a_posted_body_with_a_problem_is_the_ordinary_question(client: httpx.Client) -> None:
    question = {"problem": "drink_share", "series": "토레타/female/20대"}
    found = client.post("/predict", json=question).json()["forecasts"]
    assert found == client.post("/v1/predict", json=question).json()["forecasts"]


def test_a_body_that_is_neither_is_refused(client: httpx.Client) -> None:
    refusal(client.post("/predict", json={"date": "2026-03-03"}), 422, "invalid-request")


def test_without_a_problem_of_shares_the_known_problems_are_named(world: World) -> None:
    world.register(model_files())
    world.publish()
    with served(world) as client:
        document = refusal(client.get("/predict", params=ASKED), 404, "unknown-name")
    assert document["known"] == ["bitcoin_close"]
