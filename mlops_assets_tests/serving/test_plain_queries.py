from __future__ import annotations

import httpx
import pytest

from mlops_assets_tests.serving.test_forecasts import refusal


@pytest.mark.parametrize(
    ("query", "value", "rule"),
    [
        ("limit=1&limit=2", "parameter limit", "a parameter is given once"),
        ("after=%FF", "the query", "it must be UTF-8, percent-encoded: invalid start byte"),
        (
            "limit=1&%ED=1",
            "the query",
            "it must be UTF-8, percent-encoded: invalid continuation byte",
        ),
    ],
)
def test_a_query_that_could_mean_two_things_is_refused_and_not_settled(
    client: httpx.Client, query: str, value: str, rule: str
) -> None:
    problem = refusal(
        client.get(f"/v1/problems/bitcoin_close/series?{query}"), 422, "unusable-input"
    )
    assert (problem["value"], problem["rule"]) == (value, rule)


def test_a_name_outside_of_ascii_is_read_as_it_was_meant(client: httpx.Client) -> None:
    answer = client.get("/v1/models/bitcoin_close", params={"alias": "게토레이/여성"})
    assert "alias 게토레이/여성" in refusal(answer, 404, "unknown-name")["detail"]
