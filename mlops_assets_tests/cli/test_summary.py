"""The shape of a run's outcome: scores by lead as they are published and as they are shown."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from mlops_assets.cli.summary import LeaderboardRow, RunSummary
from mlops_assets.evaluation.leaderboard import leaderboard
from mlops_assets_tests.evaluation.frames import (
    backtest_frame,
    share_frame,
    share_problem,
    small_problem,
)


def read(published: str) -> LeaderboardRow:
    """The first row of a published leaderboard."""
    row = json.loads(published)[0]
    return LeaderboardRow.model_validate({k: row[k] for k in LeaderboardRow.model_fields})


def test_a_published_leaderboard_gives_its_scores_keyed_by_lead() -> None:
    problem = share_problem()
    frame = share_frame(problem, {"last_value": lambda _series, step, _day: float(step)})
    row = read(leaderboard(frame, problem).write_json())
    assert list(row.by_lead) == ["1", "3"]
    assert row.by_lead["3"].model_dump() == {
        "mae": 3.0,
        "rmse": 3.0,
        "n": 12,
        "coverage": 0.0,
        "winkler": pytest.approx(2 + 20 * 2.0),
    }
    assert row.winkler_unit == "%"


def test_one_lead_is_keyed_too() -> None:
    frame = backtest_frame([102.0], {"last_value": [100.0]})
    row = read(leaderboard(frame, small_problem()).write_json())
    assert {lead: score.mae for lead, score in row.by_lead.items()} == {"1": 2.0}


def test_what_is_printed_as_json_reads_back(summary: RunSummary) -> None:
    assert RunSummary.model_validate_json(summary.to_json()) == summary


def test_a_score_that_is_no_field_is_refused(summary: RunSummary) -> None:
    fields = summary.leaderboard[0].model_dump()
    fields["by_lead"] = [{"step": 1, "speed": 2.0, **fields["by_lead"]["1"]}]
    with pytest.raises(ValidationError, match="speed"):
        LeaderboardRow.model_validate(fields)
