from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets_tests.serving.published import AS_OF, World, model_files
from mlops_assets_tests.serving.published_shares import (
    LEVEL,
    OFFSETS,
    POINT,
    SHARE_ORIGINS,
    SHARES,
    SHARES_MODEL_NAME,
    bound,
    publish_shares,
    segment_of,
    share_files,
    share_rows,
)
from mlops_assets_tests.serving.running import served, until
from mlops_assets_tests.serving.test_forecasts import refusal

ADDRESS = f"/v1/forecasts/{SHARES}/latest"
BITCOIN = "/v1/forecasts/bitcoin_close/latest"


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    """The service over a champion of shares and a snapshot with two origins."""
    world = World.create(tmp_path_factory.mktemp("shares") / "home", empty_registry)
    world.register(share_files(), name=SHARES_MODEL_NAME)
    publish_shares(world)
    with served(world) as ready:
        yield ready


def forecasts_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The forecasts of an answer that is one."""
    assert answer.status_code == 200, answer.text
    forecasts: list[dict[str, Any]] = answer.json()["forecasts"]
    return forecasts


def test_the_points_of_every_segment_add_up_to_100_at_every_step(client: httpx.Client) -> None:
    sums: dict[tuple[str, int], float] = defaultdict(float)
    for forecast in forecasts_of(client.get(ADDRESS)):
        sums[segment_of(forecast["series"]), forecast["step"]] += forecast["point"]
    assert sums == {
        (segment, step): pytest.approx(100.0, abs=1e-9)
        for segment in ("female/20대", "male/20대")
        for step in (1, 2)
    }


def test_all_series_come_sorted_with_their_steps_ascending(client: httpx.Client) -> None:
    found = [(f["series"], f["step"]) for f in forecasts_of(client.get(ADDRESS))]
    assert found == [(series, step) for series in sorted(LEVEL) for step in (1, 2)]


@pytest.mark.parametrize("series", list(POINT))
def test_one_series_alone_has_its_share_among_its_siblings(
    client: httpx.Client, series: str
) -> None:
    forecasts = forecasts_of(client.get(ADDRESS, params={"series": series}))
    assert [(f["series"], f["step"]) for f in forecasts] == [(series, 1), (series, 2)]
    # A share of zero is the floor of a millionth of a percent before normalisation.
    assert [f["point"] for f in forecasts] == pytest.approx(POINT[series], abs=1e-4)
    everything = forecasts_of(client.get(ADDRESS))
    assert forecasts == [f for f in everything if f["series"] == series]


def test_the_band_has_the_offsets_of_its_own_step(client: httpx.Client) -> None:
    forecasts = forecasts_of(client.get(ADDRESS, params={"series": "게토레이/female/20대"}))
    expected = [
        (bound(25.0, OFFSETS[0][0]), bound(25.0, OFFSETS[0][1])),
        (bound(20.0, OFFSETS[1][0]), bound(20.0, OFFSETS[1][1])),
    ]
    found = [(f["lower"], f["upper"]) for f in forecasts]
    assert found == [pytest.approx(ends, rel=1e-9) for ends in expected]


def test_every_band_holds_its_point_and_stays_within_0_and_100(client: httpx.Client) -> None:
    for f in forecasts_of(client.get(ADDRESS)):
        assert 0.0 <= f["lower"] <= f["point"] <= f["upper"] <= 100.0


def test_a_past_origin_gives_the_shares_of_that_origin(client: httpx.Client) -> None:
    question = {
        "problem": SHARES,
        "series": "토레타/male/20대",
        "origin": SHARE_ORIGINS[0].isoformat(),
    }
    forecasts = forecasts_of(client.post("/v1/predict", json=question))
    # Three brands with the same level have a third each.
    assert [f["point"] for f in forecasts] == pytest.approx([100 / 3, 100 / 3], rel=1e-12)


def test_features_of_one_series_are_refused_since_they_give_no_share(
    client: httpx.Client,
) -> None:
    question = {
        "problem": SHARES,
        "features": {"level": 3.0, "band_lower": -0.1, "band_upper": 0.1},
        "last_value": 20.0,
    }
    document = refusal(client.post("/v1/predict", json=question), 422, "unusable-input")
    assert document["value"] == f"features of problem {SHARES}"
    assert "share_of_segment" in document["rule"]
    assert document["known"] == sorted(LEVEL)


def test_an_unknown_series_lists_the_first_ten_known_ones_and_their_number(world: World) -> None:
    world.register(share_files(), name=SHARES_MODEL_NAME)
    brands = [f"brand{number:02}/female/20대" for number in range(12)]
    template = next(row for row in share_rows() if row["origin"] == AS_OF)
    inputs = [{**template, "series": brand, "segment": "female/20대"} for brand in brands]
    calibration = [
        {"recipe_id": "r1", "series": brand, "origin": AS_OF, "step": 1}
        | {"band_lower": -0.1, "band_upper": 0.1}
        for brand in brands
    ]
    publish_shares(world, inputs, calibration)
    with served(world) as client:
        answer = client.get(ADDRESS, params={"series": "콜라/female/20대"})
    document = refusal(answer, 404, "unknown-name")
    assert document["known"] == brands[:10]
    assert "12 published series" in document["rule"]


def test_an_origin_that_lacks_a_series_of_the_segment_gives_no_share(world: World) -> None:
    world.register(share_files(), name=SHARES_MODEL_NAME)
    absent = ("토레타/female/20대", SHARE_ORIGINS[0])
    publish_shares(world, [r for r in share_rows() if (r["series"], r["origin"]) != absent])
    with served(world) as client:
        question = {"problem": SHARES, "origin": SHARE_ORIGINS[0].isoformat()}
        series = {"series": "게토레이/female/20대"}
        refused = client.post("/v1/predict", json=question | series)
        assert "lacks series or steps" in refusal(refused, 422, "unusable-input")["rule"]
        assert client.post("/v1/predict", json=question | {"series": "토레타/male/20대"}).is_success
        assert client.get(ADDRESS, params=series).is_success


def test_two_problems_of_different_kinds_are_served_beside_each_other(world: World) -> None:
    world.register(model_files())
    world.publish()
    world.register(share_files(), name=SHARES_MODEL_NAME)
    publish_shares(world)
    with served(world) as client:
        until(lambda: client.get(ADDRESS).is_success, what="shares are served")
        until(lambda: client.get(BITCOIN).is_success, what="bitcoin is served")
        for address, count in ((BITCOIN, 1), (ADDRESS, 12)):
            assert len(forecasts_of(client.get(address))) == count
