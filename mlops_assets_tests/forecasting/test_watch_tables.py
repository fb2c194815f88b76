from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.forecasting import watch_tables
from mlops_assets.forecasting.watch_tables import (
    ReplayRecordError,
    read_replays,
    read_watch_tables,
)
from mlops_assets.monitoring.answers.variants import variants_table
from mlops_assets.orchestration.trigger import Trigger
from mlops_assets.replay import isolation, progress
from mlops_assets.replay.progress import Progress, StepOutcome, write_progress
from mlops_assets.storage.tables import TableStore

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def finish_steps(folder: Path, *days: int, problem: str = "water") -> None:
    """Write a replay's record with a step so many days after noon, as a replay does."""
    steps = tuple(
        StepOutcome(
            origin=NOON + day * DAY,
            triggers=(Trigger.SCHEDULE,),
            decision="keep",
            candidate="ridge",
            version="1",
            control_alarm=False,
            drift_alarm=None,
            seconds=2.5,
        )
        for day in days
    )
    write_progress(folder, Progress(problem=problem, terms="t", commits={}, steps=steps))


def test_tables_are_read_by_name_where_they_exist(tmp_path: Path) -> None:
    store = TableStore(str(tmp_path))
    control = pl.DataFrame({"alarm": [True]})
    variants = pl.DataFrame({"version": ["1"]})
    store.write("water/control", control)
    store.write(variants_table("water"), variants)

    watched = read_watch_tables(store, "water")

    assert watched.control is not None
    assert watched.control.equals(control)
    assert watched.answers is not None
    assert watched.answers.equals(variants)
    assert (watched.live_scores, watched.drift_report) == (None, None)


def test_replays_are_read_from_the_records_that_replays_write(tmp_path: Path) -> None:
    finish_steps(tmp_path / "replays" / "spring", 0, 7, 14)

    (ledger,) = read_watch_tables(TableStore(str(tmp_path)), "water", namespace=tmp_path).replays

    assert (ledger.replay_id, ledger.steps) == ("spring", 3)
    assert (ledger.start, ledger.end) == (NOON, NOON + 14 * DAY)
    assert ledger.step_seconds == 7 * 86400
    assert ledger.rows[1].triggers == ("schedule",)
    assert (ledger.rows[1].decision, ledger.rows[1].control_alarm) == ("keep", False)


def test_a_single_step_has_no_step_length(tmp_path: Path) -> None:
    finish_steps(tmp_path / "spring", 0)

    assert [ledger.step_seconds for ledger in read_replays(tmp_path, "water")] == [None]


def test_replays_of_other_problems_and_without_a_finished_step_are_left_out(
    tmp_path: Path,
) -> None:
    finish_steps(tmp_path / "other", 0, problem="wine")
    finish_steps(tmp_path / "begun")

    assert read_replays(tmp_path, "water") == []
    assert read_replays(tmp_path / "absent", "water") == []


@pytest.mark.parametrize("content", ["{", "[]", '{"problem": "water", "steps": [{}]}'])
def test_a_broken_record_is_named_with_its_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "spring").mkdir()
    (tmp_path / "spring" / "steps.json").write_text(content, encoding="utf-8")

    with pytest.raises(ReplayRecordError, match=r"spring/steps.json is no record .*delete"):
        read_replays(tmp_path, "water")


def test_the_names_that_replays_are_read_by_are_those_that_replays_use() -> None:
    assert (watch_tables.REPLAYS, watch_tables.REPLAY_RECORD) == (isolation.FOLDER, progress.FILE)
