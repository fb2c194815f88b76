"""The benchmark scripts run; what they measure is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.architecture.source_code import ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))


def run(script: str, *options: str) -> str:
    """Standard output of a script that must succeed."""
    done = subprocess.run(
        [sys.executable, f"benchmarks/{script}", "--quick", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def figures(script: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(script, "--json"))
    assert found["benchmark"] == script.removesuffix(".py")
    return found


def test_the_graph_and_plain_python_do_the_same_work_and_their_ratio_is_printed() -> None:
    found = figures("graph_overhead.py")
    seconds = found["seconds"]
    assert found["ratio"] == pytest.approx(seconds["disk"] / seconds["plain"], abs=0.01)
    assert found["ratio_ephemeral"] == pytest.approx(
        seconds["ephemeral"] / seconds["plain"], abs=0.01
    )
    assert set(found["steps"]["plain"]) == set(found["steps"]["disk"])
    assert found["parts"]["disk"]["event_log"] > 0


def test_a_weekly_run_computes_one_new_fold_of_each_recipe_whatever_the_history() -> None:
    found = figures("weekly_run.py")
    weeks = found["spans"]["whole"]
    recipes = len(found["candidates"])
    assert [row["folds_computed"] for row in weeks.values()] == [recipes, recipes]
    # Every earlier week, and the two before them that start the quantile.
    assert {week: row["folds_reused"] for week, row in weeks.items()} == {
        week: recipes * (int(week) + 1) for week in weeks
    }
    shortest, longest = weeks.values()
    assert shortest["ratio"] == 1.0
    assert longest["ratio"] == pytest.approx(longest["seconds"] / shortest["seconds"], abs=0.01)


def test_a_model_call_is_measured_on_both_sides_and_the_ratio_is_printed_in_words() -> None:
    text = run("model_call.py")
    assert "ratio: the Python twin takes" in text
    assert "FittedRecipe.predict on one polars row" in text


def test_a_year_of_weekly_steps_tells_what_happened_before_and_after_the_switch() -> None:
    found = figures("regime_switch.py")
    switch = found["variants"]["switch"]
    assert found["weeks"] == 3
    assert switch["champion_before"] == "ridge"
    assert switch["before_the_switch"]["steps"] == 2  # the switch comes at the second of three
    assert switch["before_the_switch"]["false_roll_backs"] == 0
    assert switch["events"][0] == {
        "week": 1,
        "origin": "2024-06-03T00:00:00Z",
        "triggers": ["missing"],
        "decision": "promote",
        "candidate": "ridge",
        "version": switch["events"][0]["version"],
        "control_alarm": False,
        "drift_alarm": False,
    }


def test_a_repeated_replay_comes_to_the_same_figures_with_recalled_fits() -> None:
    found = figures("replay.py")
    assert (found["origins"], found["rules"]["gate"]["promotions"]) == (3, 1)
    # An hourly forecast from the first origin to a week after the last.
    assert found["rules"]["gate"]["n"] == found["live"]["n"] == 3 * 7 * 24
    assert set(found["seconds"]) == {"cold", "cached"}


@pytest.mark.skipif(
    not (ROOT.parent / "shared" / "data").is_dir(),
    reason="the shared evaluation data is not beside the project",
)
def test_our_side_of_the_lstm_training_runs_without_pytorch() -> None:
    found: dict[str, Any] = json.loads(run("lstm_training.py", "--ours-only", "--json"))
    assert (found["weeks"], found["epochs"]) == (2, 3)
    assert set(found["sides"]) == {"ours"}
    assert found["sides"]["ours"]["rmse_ratio"] > 1  # a price scaled by last month's range


def test_the_readme_describes_every_script_and_names_no_figure_as_measured() -> None:
    readme = Path(ROOT, "benchmarks", "README.md").read_text(encoding="utf-8")
    assert SCRIPTS
    assert [script for script in SCRIPTS if f"## {script}" not in readme] == []
