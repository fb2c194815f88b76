"""What the terminal shows of a run: a problem of one lead, and one of several."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from mlops_assets.cli.render import leaderboard_table, show_summary
from mlops_assets.cli.summary import LeaderboardRow, RunSummary


def printed(summary: RunSummary) -> list[str]:
    """The lines of the leaderboard on a terminal of 80 columns."""
    console = Console(file=StringIO(), width=80, color_system=None)
    console.print(leaderboard_table(summary))
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def shares(summary: RunSummary, leads: tuple[int, ...]) -> RunSummary:
    """The same outcome for shares: the MAE at a lead is 3 and a hundredth of the lead."""
    rows = []
    for row in summary.leaderboard:
        published = [
            {
                "step": lead,
                "mae": 3 + lead / 100,
                "rmse": 4.0,
                "n": 5400,
                "coverage": 0.9 + lead / 1000,
                "winkler": 15.7,
            }
            for lead in leads
        ]
        fields = {**row.model_dump(), "by_lead": published, "winkler_unit": "%"}
        rows.append(LeaderboardRow.model_validate(fields))
    return summary.model_copy(
        update={"problem": "sports_drink_share", "leaderboard": tuple(rows), "forecast": None}
    )


def test_one_lead_shows_mae_and_rmse_and_basis_points(summary: RunSummary) -> None:
    text = "\n".join(printed(summary))
    assert "RMSE" in text
    assert "428.02" in text
    assert "the band's score, basis points." in " ".join(text.split())
    assert "by lead" not in text


def test_several_leads_show_the_error_at_each_in_place_of_the_pooled_ones(
    summary: RunSummary,
) -> None:
    lines = printed(shares(summary, (1, 7, 14, 28)))
    text = "\n".join(lines)
    assert "at 1 at 7 at 14 at 28" in text
    (ridge,) = (line for line in lines if "ridge *" in line)
    assert ridge.split()[:6] == ["ridge", "*", "3.01", "3.07", "3.14", "3.28"]
    assert "RMSE" not in text
    assert "the band's score, in %." in " ".join(text.split())
    assert "  by lead: 90.1% at 1, 90.7% at 7, 91.4% at 14, 92.8% at 28." in lines


def test_more_leads_than_fit_are_shown_from_the_first_to_the_last(summary: RunSummary) -> None:
    text = "\n".join(printed(shares(summary, (1, 2, 3, 4, 5, 6, 7, 14, 21, 28))))
    assert "at 1 at 4 at 7 at 28" in text


@pytest.mark.parametrize("name", ["gradient_boosting", "exponential_smoothing"])
def test_a_leaderboard_of_several_leads_fits_80_columns(summary: RunSummary, name: str) -> None:
    wide = shares(summary, (1, 7, 14, 28))
    champion = wide.champion.model_copy(update={"candidate": name})
    first = wide.leaderboard[0].model_copy(update={"candidate": name})
    lines = printed(
        wide.model_copy(update={"champion": champion, "leaderboard": (first, wide.leaderboard[1])})
    )
    assert max(map(len, lines)) <= 80
    (row,) = (line for line in lines if f"{name} *" in line)
    assert row.endswith("226.7")


def test_without_a_forecast_nothing_is_said_of_one(summary: RunSummary) -> None:
    console = Console(file=StringIO(), width=80, color_system=None)
    show_summary(shares(summary, (1, 7)), console)
    assert isinstance(console.file, StringIO)
    assert "forecast at" not in console.file.getvalue()
