"""One service under load while what it depends on breaks: callers notice nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.serving.fault_injection import FAULTS
from benchmarks.serving.faults import Outcome, Stage, disturb, restart, stage

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("faults"), per_second=100) as ready:
        yield ready


def require_only_degraded(outcome: Outcome) -> None:
    assert outcome.failed == 0, outcome
    assert outcome.answers > 0
    assert outcome.health == ["ok", "degraded", "ok"], outcome
    assert outcome.reasons


@pytest.mark.parametrize("fault", FAULTS)
def test_callers_get_their_answers_and_health_says_degraded(fault: str, served: Stage) -> None:
    outcome = disturb(served, FAULTS[fault], seconds=0.5)
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    require_only_degraded(outcome)


def test_a_restart_without_registry_and_storage_answers_from_the_cache(served: Stage) -> None:
    outcome = restart(served, seconds=0.5)
    assert outcome.failed == 0, outcome
    assert outcome.answers > 0
    assert outcome.health[0] == "degraded", outcome
    assert outcome.health[-1] == "ok", outcome
