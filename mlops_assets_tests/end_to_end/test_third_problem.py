"""A third problem is a YAML file: a weekly series goes from its CSV to a forecast over HTTP."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mlops_assets.cli.summary import RunSummary
from mlops_assets.settings import Settings
from mlops_assets_tests.end_to_end.problem_alone import empty_home, run_alone
from mlops_assets_tests.serving.running import is_ready, listening, until
from serving.app import create_app
from serving.settings import ServingSettings

pytestmark = pytest.mark.services

YAML = Path(__file__).with_name("third_problem") / "defs.yaml"
NAME = "weekly_visits"
WEEKS = 312
FIRST = date(2020, 1, 6)
"""A Monday in Korea."""


def write_visits(path: Path) -> None:
    """Six years of weeks around 1000 visits: half of a surprise is gone a week later."""
    random = np.random.default_rng(3)
    surprise, lines = 0.0, ["week,visits"]
    for week in range(WEEKS):
        surprise = 0.5 * surprise + random.normal(0, 50)
        lines.append(f"{FIRST + timedelta(weeks=week)},{1000 + surprise:.1f}")
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def home(session: Path) -> Settings:
    """An empty home and the museum's file."""
    write_visits(session / "third_problem" / "data" / "visits.csv")
    return empty_home(session, session / "third_problem")


@pytest.fixture(scope="module")
def ran(home: Settings) -> RunSummary:
    """`mlops run weekly_visits`."""
    return run_alone(home, NAME, YAML)


def test_the_model_that_knows_the_surprise_fades_is_promoted(ran: RunSummary) -> None:
    board = {row.candidate: row for row in ran.leaderboard}

    assert ran.champion.candidate == "ridge"
    # The surprise has variance s2 / 0.75; "no change" errs by s2 (0.25 / 0.75 + 1) = 4/3 s2 a week
    # ahead, the model by s2: sqrt(3/4) = 0.87 of the error is left.
    assert board["ridge"].mae < 0.95 * board["last_value"].mae
    assert set(board["ridge"].by_lead) == {"1", "2"}
    assert board["ridge"].by_lead["1"].n == 52


def test_the_newest_forecasts_are_answered_over_http(ran: RunSummary, home: Settings) -> None:
    settings = ServingSettings(data="files", home=home.home, api_poll_seconds=0.05)
    app = create_app(settings)
    with listening(app) as client:
        until(lambda: is_ready(client), what="the service is ready")
        forecasts = newest(client)

    assert [f["step"] for f in forecasts] == [1, 2]
    # The last week began on 2025-12-22 in Korea; the forecast of the next one holds at its end.
    assert [f["valid_time"] for f in forecasts] == ["2026-01-04T15:00:00Z", "2026-01-11T15:00:00Z"]
    assert {f["unit"] for f in forecasts} == {"visits"}
    assert all(f["lower"] < f["point"] < f["upper"] for f in forecasts)
    assert {f["version"] for f in forecasts} == {ran.champion.version}


def newest(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.get(f"/forecasts/{NAME}/latest")
    assert answer.status_code == 200, answer.text
    forecasts: list[dict[str, Any]] = answer.json()["forecasts"]
    return forecasts
