from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from mlops_assets_tests.serving.past_world import past_service, rows_of, walk
from mlops_assets_tests.serving.published_past import (
    BOARD,
    DRIFT_REPORT,
    REPLAY,
    VARIANT,
    VERDICT_HISTORY,
)
from mlops_assets_tests.serving.test_forecasts import refusal
from serving.evidence import schemas
from serving.observations.schemas import ObservationPage
from serving.past_forecasts.schemas import ChampionPage, ForecastPage
from serving.problems.schemas import SeriesPage


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Iterator[httpx.Client]:
    with past_service(tmp_path_factory.mktemp("past"), empty_registry) as client:
        yield client


def test_the_leaderboard_is_answered_as_published(service: httpx.Client) -> None:
    answer = service.get("/v1/leaderboard/bitcoin_close")

    assert rows_of(answer) == BOARD
    assert answer.json()["unit"] == "USDT"
    assert answer.headers["X-Data-Version"] == "data-1"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_verdicts_come_newest_first_in_pages_that_hold_each_once(
    service: httpx.Client, limit: int
) -> None:
    pages = walk(service, "/v1/verdicts/bitcoin_close", limit=limit)

    assert [row for page in pages for row in page] == VERDICT_HISTORY[::-1]
    assert len(pages) == -(-len(VERDICT_HISTORY) // limit)


def test_live_scores_are_by_day_version_and_role(service: httpx.Client) -> None:
    rows = rows_of(service.get("/v1/live-scores/bitcoin_close"))

    assert [(row["day"], row["version"], row["role"]) for row in rows] == [
        ("2026-03-01T00:00:00Z", "1", "champion"),
        ("2026-03-02T00:00:00Z", "1", "challenger"),
        ("2026-03-02T00:00:00Z", "2", "champion"),
    ]
    assert rows[0] == {
        "day": "2026-03-01T00:00:00Z",
        "version": "1",
        "candidate": "ridge",
        "role": "champion",
        "step": 1,
        "n": 24,
        "mae": 2.5,
        "mse": 9.0,
        "coverage": 0.875,
        "mae_last_value": 3.0,
        "mse_last_value": 10.0,
    }


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ({"version": "1"}, [1, 2]),
        ({"candidate": "forest"}, [2]),
        ({"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}, [1]),
        ({"from": "2026-03-01T00:00:01Z"}, [2, 2]),
    ],
)
def test_live_scores_are_narrowed_by_version_candidate_and_day(
    service: httpx.Client, query: dict[str, str], days: list[int]
) -> None:
    rows = rows_of(service.get("/v1/live-scores/bitcoin_close", params=query))

    assert [int(row["day"][8:10]) for row in rows] == days


def test_pages_of_live_scores_hold_every_row_once(service: httpx.Client) -> None:
    pages = walk(service, "/v1/live-scores/bitcoin_close", limit=1)

    assert [row for page in pages for row in page] == rows_of(
        service.get("/v1/live-scores/bitcoin_close")
    )


def test_an_unknown_version_of_live_scores_is_told_the_known_ones(service: httpx.Client) -> None:
    answer = service.get("/v1/live-scores/bitcoin_close", params={"version": "3"})

    assert refusal(answer, 404, "unknown-name")["known"] == ["1", "2"]


def test_drift_is_the_newest_report_by_column_and_its_history(service: httpx.Client) -> None:
    document = service.get("/v1/drift/bitcoin_close").json()

    assert {name: document[name] for name in DRIFT_REPORT} == DRIFT_REPORT


def test_replays_are_listed_without_their_steps(service: httpx.Client) -> None:
    rows = rows_of(service.get("/v1/replays/bitcoin_close"))

    assert rows == [{name: value for name, value in REPLAY.items() if name != "rows"}]


def test_a_replay_is_answered_with_its_steps(service: httpx.Client) -> None:
    answer = service.get("/v1/replays/bitcoin_close/spring")

    assert answer.json()["replay"] == REPLAY


def test_an_unknown_replay_is_told_the_known_ones(service: httpx.Client) -> None:
    document = refusal(service.get("/v1/replays/bitcoin_close/autumn"), 404, "unknown-name")

    assert (document["value"], document["known"]) == ("replay autumn", ["spring"])


def test_answers_are_compared_by_variant(service: httpx.Client) -> None:
    assert rows_of(service.get("/v1/answers/bitcoin_close")) == [VARIANT]


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("/v1/leaderboard/bitcoin_close", schemas.LeaderboardAnswer),
        ("/v1/verdicts/bitcoin_close", schemas.VerdictPage),
        ("/v1/live-scores/bitcoin_close", schemas.LiveScorePage),
        ("/v1/drift/bitcoin_close", schemas.DriftAnswer),
        ("/v1/replays/bitcoin_close", schemas.ReplayList),
        ("/v1/replays/bitcoin_close/spring", schemas.ReplayAnswer),
        ("/v1/answers/bitcoin_close", schemas.VariantTable),
        ("/v1/observations/bitcoin_close", ObservationPage),
        ("/v1/forecasts/bitcoin_close/history", ForecastPage),
        ("/v1/forecasts/bitcoin_close/champion", ChampionPage),
        ("/v1/problems/bitcoin_close/series", SeriesPage),
    ],
)
def test_an_answer_has_the_form_that_is_documented(
    service: httpx.Client, address: str, form: type[BaseModel]
) -> None:
    answer = service.get(address)

    read = form.model_validate_json(answer.content)

    assert read.model_dump(mode="json", exclude_unset=True) == answer.json()


@pytest.mark.parametrize(
    ("endpoint", "file", "asset"),
    [
        ("leaderboard", "leaderboard.json", "`evaluation_report`"),
        ("verdicts", "verdicts.json", "`champion`"),
        ("live-scores", "live_scores.parquet", "`live_scores`"),
        ("drift", "drift.json", "`drift_report`"),
        ("replays", "replays.json", "`champion`"),
        ("answers", "answers.json", "`prediction_log`"),
    ],
)
def test_a_snapshot_without_a_file_says_what_to_materialise(
    service: httpx.Client, endpoint: str, file: str, asset: str
) -> None:
    document = refusal(service.get(f"/v1/{endpoint}/drink_share"), 404, "unknown-name")

    assert document["value"] == f"{file} of problem drink_share"
    assert f"materialise {asset} and then `published`" in document["remedy"]
