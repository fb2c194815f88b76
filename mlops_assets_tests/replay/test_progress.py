from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from mlops_assets.orchestration.trigger import Trigger
from mlops_assets.replay.isolation import ReplayError
from mlops_assets.replay.progress import (
    Progress,
    check_origins,
    read_progress,
    terms_of,
    write_progress,
)
from mlops_assets_tests.end_to_end.planted import HOUR, START, problem
from mlops_assets_tests.replay.test_rhythm import step

NEXT = START + HOUR


def test_a_replay_that_has_not_begun_has_no_record(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None


def test_the_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = Progress(
        problem="coin_close",
        terms="ab",
        commits={"coin_close/raw_coin": 3},
        steps=(step(START, Trigger.MISSING, Trigger.CONTROL, drift_alarm=True),),
    )

    write_progress(tmp_path, written)

    assert read_progress(tmp_path) == written
    assert written.finished(START)
    assert not written.finished(NEXT)
    assert written.newest_training == written.newest_report == written.steps[0]


def test_the_terms_tell_problem_and_options_apart() -> None:
    same = terms_of(problem(), retrain_every=2)

    assert terms_of(problem(), retrain_every=2) == same
    assert terms_of(problem(), retrain_every=3) != same
    assert terms_of(problem(retrain_cron="0 7 * * 4"), retrain_every=2) != same


def test_ascending_origins_may_repeat_finished_ones_and_go_on() -> None:
    check_origins([START, NEXT], [step(START)])


@pytest.mark.parametrize(
    ("origins", "message"),
    [
        ([], "at least one instant"),
        ([datetime(2025, 5, 1)], "time zone"),  # noqa: DTZ001  (that is the fault)
        ([NEXT, START], "only moves forward"),
        ([START, START], "only moves forward"),
        ([START, NEXT], "use another replay id"),  # finished: NEXT alone
    ],
)
def test_time_only_moves_forward(origins: list[datetime], message: str) -> None:
    with pytest.raises(ReplayError, match=message):
        check_origins(origins, [step(NEXT)])
