from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from mlops_assets.forecasting.assets import build_published_asset
from mlops_assets.forecasting.monitoring_figures import monitoring_figures
from mlops_assets.forecasting.watch_tables import WatchTables
from mlops_assets_tests.ingestion.market import problem, sample, source
from serving.contract.monitoring import (
    ChampionFigures,
    ControlFigures,
    DriftFigures,
    LiveFigures,
    Monitoring,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OBSERVATIONS = pl.DataFrame({"valid_time": [NOON - DAY, NOON - DAY, NOON - 2 * DAY]})


def verdicts(*versions: str) -> pl.DataFrame:
    """One verdict a day, the newest at `NOON`, with the version that held the alias after it."""
    first = NOON - (len(versions) - 1) * DAY
    return pl.DataFrame(
        {
            "as_of": [first + number * DAY for number in range(len(versions))],
            "candidate": [f"recipe {version}" for version in versions],
            "version": list(versions),
        }
    )


def figures(watched: WatchTables | None = None, *versions: str) -> Monitoring:
    """The figures at `NOON`."""
    history = verdicts(*(versions or ("1",)))
    return monitoring_figures(OBSERVATIONS, history, watched or WatchTables(), as_of=NOON)


def scores(*rows: tuple[str, int, float, bool]) -> pl.DataFrame:
    """Live scores: role, days before `NOON`, absolute error, covered."""
    return pl.DataFrame(
        [
            {"role": role, "valid_time": NOON - age * DAY, "absolute_error": error, "covered": held}
            for role, age, error, held in rows
        ]
    )


def test_a_problem_that_is_not_watched_says_so_with_nulls() -> None:
    assert figures() == Monitoring(
        as_of=NOON,
        newest_valid_time=NOON - DAY,
        observations_rows=3,
        champion=ChampionFigures(candidate="recipe 1", version="1", since=NOON),
        live=None,
        control=None,
        drift=None,
    )


def test_a_champion_holds_since_its_latest_unbroken_run_of_verdicts_began() -> None:
    champion = figures(None, "2", "1", "2", "2", "2").champion
    assert (champion.version, champion.since) == ("2", NOON - 2 * DAY)


def test_live_figures_are_of_the_champions_last_four_weeks() -> None:
    live_scores = scores(
        ("champion", 0, 1.0, True),
        ("champion", 27, 4.0, False),
        ("champion", 28, 100.0, False),  # the window is open at its old end
        ("challenger", 0, 50.0, False),
    )
    live = figures(WatchTables(live_scores=live_scores)).live
    assert live == LiveFigures(n=2, mae=2.5, coverage=0.5)


def test_live_figures_are_null_until_a_forecast_of_a_champion_came_true() -> None:
    only_a_challenger = scores(("challenger", 0, 1.0, True))
    assert figures(WatchTables(live_scores=only_a_challenger)).live is None
    assert figures(WatchTables(live_scores=only_a_challenger.clear())).live is None


@pytest.mark.parametrize(("alarms", "alarm"), [([False, True], True), ([False, False], False)])
def test_one_test_at_an_alarm_is_an_alarm(alarms: list[bool], alarm: bool) -> None:
    watched = WatchTables(control=pl.DataFrame({"alarm": alarms}))
    assert figures(watched).control == ControlFigures(alarm=alarm)


def test_a_table_of_tests_without_rows_has_no_alarm_to_tell() -> None:
    empty = pl.DataFrame(schema={"alarm": pl.Boolean})
    assert figures(WatchTables(control=empty)).control is None


def test_drift_is_of_the_newest_report() -> None:
    reports = pl.DataFrame(
        {
            "as_of": [NOON - DAY, NOON, NOON],
            "share_drifted": [0.9, 0.25, 0.25],
            "concept_drift": [True, False, False],
        }
    )
    expected = DriftFigures(share_drifted=0.25, concept_drift=False)
    assert figures(WatchTables(drift_report=reports)).drift == expected


def test_the_snapshot_is_published_after_the_assets_that_watch() -> None:
    shipped = problem(btc=source(sample=sample()))
    key = dg.AssetKey([shipped.name, "live_scores"])
    alone = build_published_asset(shipped)
    watched = build_published_asset(shipped, watched_by=[key])
    assert watched.asset_deps[watched.key] - alone.asset_deps[alone.key] == {key}
