"""Nobody clicks: from an empty home to champions, through a dead source and back.

Dagster's real daemon runs two small problems on a quick clock; `make soak` runs this, CI does not,
since it lasts some ten minutes.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.end_to_end.unattended.processes import running

pytestmark = [pytest.mark.soak, pytest.mark.services]

PROBLEMS = ("quick_walk", "quick_share")


def newest_bar(home: Path) -> datetime:
    """The newest valid time of the quick walk that its observations hold."""
    store = TableStore(Settings(data="sample", home=home).storage)
    newest = store.read("quick_walk/observations")["valid_time"].max()
    assert isinstance(newest, datetime)
    return newest


def test_the_loop_starts_alarms_and_recovers_by_itself(tmp_path: Path) -> None:
    with running(tmp_path) as watched:
        champions = watched.until(
            lambda: all(watched.materialisations(name, "published") for name in PROBLEMS),
            what="both problems have a champion and a published snapshot",
        )
        published = watched.materialisations("quick_walk", "published")
        refreshed = watched.until(
            lambda: watched.materialisations("quick_walk", "published") > published,
            what="the hourly problem is published again",
        )

        watched.stopped.write_text(newest_bar(tmp_path / "home").isoformat(), encoding="utf-8")
        alarmed = watched.until(
            lambda: watched.check_passed("quick_walk", "raw_walk", "recency") is False,
            what="the recency check of the stopped source fails",
        )
        before = newest_bar(tmp_path / "home")

        watched.stopped.unlink()
        recovered = watched.until(
            lambda: (
                watched.check_passed("quick_walk", "raw_walk", "recency") is True
                and newest_bar(tmp_path / "home") > before
            ),
            what="the source that is back is fetched and observed again",
        )

        runs = watched.instance.get_runs_count()
        told = (
            f"champions after {champions:.0f} s, refreshed after {refreshed:.0f} s, alarm after "
            f"{alarmed:.0f} s, recovered after {recovered:.0f} s, {runs} runs"
        )
        print(told)
        failed = watched.instance.get_runs(
            filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
        )
        assert all(
            run.asset_selection == {dg.AssetKey(["quick_walk", "raw_walk"])} for run in failed
        ), told
        for name in PROBLEMS:
            assert watched.overlaps(name) == [], told
        assert runs < 60, told
