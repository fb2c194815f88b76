from __future__ import annotations

from datetime import date
from math import log
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mlops_assets.cli import main, tune
from mlops_assets.cli.main import app
from mlops_assets.cli.tune import (
    coordinate_search,
    error_of,
    filter_group,
    parameters_yaml,
    searched_paths,
    stepped,
    value_at,
)
from mlops_assets.features.share_filter_layout import ShareLayout, lay_out_shares
from mlops_assets.features.share_filter_parameters import ShareFilterParameters
from mlops_assets.problem import FeatureGroup, ForecastProblem, ProblemError
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.features.panels import observed, panel_of, panel_problem, random_shares
from mlops_assets_tests.features.series import group

runner = CliRunner()

GROUP = FeatureGroup(kind="share_filter", source="tea", params={"own_sd": 0.02})


def silent(_line: str) -> None:
    """Nobody listens."""


@pytest.fixture
def stored(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> ForecastProblem:
    """A problem `tea_share` with 60 stored days, 2024-01-01 .. 2024-02-29."""
    problem = panel_problem(group("share_filter", "tea", own_sd=0.05), horizon=2)
    monkeypatch.setattr(main, "chosen_problems", lambda names: names)
    monkeypatch.setattr(main, "problem_files", lambda: {problem.name: Path("tea_share.yaml")})
    monkeypatch.setattr(main, "load_problem", lambda _path: problem)
    rows = observed(random_shares(60))
    TableStore(settings.storage).write(f"{problem.name}/observations", rows)
    return problem


def test_the_search_finds_the_lowest_point_of_a_bowl() -> None:
    def bowl(p: ShareFilterParameters) -> float:
        return abs(log(p.own_sd / 0.03)) + abs(log(p.brand_scale.get("가", 1.0) / 2))

    found = coordinate_search(
        ShareFilterParameters(),
        [("own_sd",), ("brand_scale", "가")],
        score=bowl,
        rounds=12,
        say=silent,
    )

    assert found.own_sd == pytest.approx(0.03, rel=0.1)
    assert found.brand_scale["가"] == pytest.approx(2, rel=0.1)


def test_every_improvement_is_told_and_a_search_without_one_changes_nothing() -> None:
    told: list[str] = []
    start = ShareFilterParameters()

    found = coordinate_search(start, [("own_sd",)], score=lambda _: 3.0, rounds=3, say=told.append)
    assert (found, told) == (start, [])

    coordinate_search(start, [("own_sd",)], score=lambda p: 1 / p.own_sd, rounds=1, say=told.append)
    assert told == ["44.4444  own_sd = 0.0225"]


def test_a_step_multiplies_a_number_and_the_distance_of_a_persistence_from_one() -> None:
    start = ShareFilterParameters(level_persistence=0.9, own_sd=0.02)
    assert stepped(start, ("own_sd",), 1.5).own_sd == pytest.approx(0.03)
    assert stepped(start, ("level_persistence",), 0.5).level_persistence == pytest.approx(0.95)
    assert stepped(start, ("loadings", "여"), 1.5).loadings == {"여": 1.5}
    assert value_at(start, ("loadings", "여")) == 1


def test_parameters_of_zero_and_loadings_are_left_alone_unless_asked_for() -> None:
    layout = lay_out_shares(panel_of(random_shares(3)))
    start = ShareFilterParameters(shock_sd=0.0, group_sd={"party": 0.01})

    paths = searched_paths(start, layout, with_loadings=False)

    assert ("shock_sd",) not in paths
    assert {("group_sd", "party"), ("brand_scale", "가"), ("brand_scale", "나")} <= set(paths)
    assert not any(path[0] == "loadings" for path in paths)
    longer = searched_paths(start, layout, with_loadings=True)
    assert longer == [*paths, ("loadings", "여"), ("loadings", "남")]


def test_the_error_is_the_mean_absolute_one_in_percentage_points_of_the_scored_days() -> None:
    values = np.tile([40.0, 50.0, 60.0, 50.0], (30, 1))
    values[29] = [50.0, 50.0, 50.0, 50.0]
    layout = lay_out_shares(panel_of(values))

    error = error_of(layout, leads=(1, 2), start=date(2024, 1, 30))(ShareFilterParameters())

    # Two of four series miss by 10 points, but for what half an observation adds at the start.
    np.testing.assert_allclose(error, [5, 5], atol=0.3)


@pytest.mark.parametrize("start", [date(2024, 1, 8), date(2024, 3, 1)])
def test_a_first_scored_day_that_cannot_be_forecast_is_refused(start: date) -> None:
    layout = lay_out_shares(panel_of(random_shares(30)))
    with pytest.raises(ProblemError, match="--from"):
        error_of(layout, leads=(1, 2), start=start)


def test_what_is_found_is_printed_as_the_problems_file_has_it() -> None:
    parameters = ShareFilterParameters(own_sd=0.0123456, loadings={"여": 1.5}, shock_lag=7)

    (entry,) = yaml.safe_load(parameters_yaml(parameters, GROUP))

    assert entry == {
        "kind": "share_filter",
        "source": "tea",
        "params": {"own_sd": 0.0123, "loadings": {"여": 1.5}, "shock_lag": 7},
    }


def test_a_problem_without_a_share_filter_is_refused() -> None:
    with pytest.raises(ProblemError, match="share_filter"):
        filter_group(panel_problem())


def test_tune_says_to_run_the_problem_when_there_are_no_observations(
    stored: ForecastProblem, settings: Settings
) -> None:
    Path(settings.storage, stored.name, "observations.parquet").unlink()
    shown = runner.invoke(app, ["tune", stored.name, "--before", "2024-03-01"])
    assert shown.exit_code == 2
    assert "mlops run tea_share" in shown.stderr


def test_tune_refuses_what_is_no_day(stored: ForecastProblem) -> None:
    shown = runner.invoke(app, ["tune", stored.name, "--before", "last week"])
    assert shown.exit_code == 2


def test_tune_reads_no_day_from_before_on(
    stored: ForecastProblem, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    def remember(layout: ShareLayout, **_: object) -> tune.Score:
        used.extend(layout.days.astype(str).tolist())
        return lambda _: np.ones(2)

    monkeypatch.setattr(tune, "error_of", remember)

    shown = runner.invoke(app, ["tune", stored.name, "--before", "2024-02-20"])

    assert shown.exit_code == 0, shown.output
    assert (used[0], used[-1]) == ("2024-01-01", "2024-02-19")


def test_tune_prints_errors_and_a_group_to_paste_and_writes_nothing(
    stored: ForecastProblem, settings: Settings
) -> None:
    home = settings.home
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

    shown = runner.invoke(
        app,
        [
            *("tune", stored.name, "--before", "2024-03-01"),
            *("--from", "2024-02-20", "--rounds", "1"),
        ],
    )

    assert shown.exit_code == 0, shown.output
    lines, _, pasted = shown.stdout.partition("Paste over the feature group in ")
    assert "Mean absolute error after:" in lines
    (entry,) = yaml.safe_load(pasted.split("\n\n", 1)[1])
    assert (entry["kind"], entry["source"]) == ("share_filter", "tea")
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
