"""The shared real files through ingestion; skipped where they are absent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.ingestion.files import newest_target_time
from mlops_assets.ingestion.observations import judge, observe
from mlops_assets.ingestion.pull import pull, read_quarantine, read_raw
from mlops_assets.ingestion.quality import Rule, evaluate
from mlops_assets.problem import load_problem
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.ingestion.market import SHIPPED

SHARED = SHIPPED.parents[3].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared evaluation data is not beside the project"
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TableStore:
    store = TableStore(str(tmp_path_factory.mktemp("store")))
    problem = load_problem(SHIPPED)
    settings = Settings(data="files", data_dir=SHARED)
    for name, source in problem.sources.items():
        pull(
            store,
            problem.name,
            name,
            source,
            start=source.start,
            end=NOW,
            fetched_at=NOW,
            settings=settings,
        )
    return store


@pytest.mark.parametrize(
    ("name", "bars", "idle", "gaps"),
    [("btc", 21_671, 1, 1), ("ndx", 4_047, 4, 0), ("vix", 8_636, 7, 0), ("gold", 14_604, 0, 0)],
)
def test_the_known_defects_of_the_files_are_found_and_no_others(
    store: TableStore, name: str, bars: int, idle: int, gaps: int
) -> None:
    problem = load_problem(SHIPPED)
    stored = read_raw(store, problem.name, name)
    set_aside = read_quarantine(store, problem.name, name)

    found = evaluate(stored, set_aside, name=name, source=problem.sources[name])

    counts = {rule: finding.count for rule, finding in found.items() if finding.count}
    expected = {Rule.ZERO_VOLUME: idle, Rule.GAPS: gaps}
    assert counts == {rule: count for rule, count in expected.items() if count}
    assert (len(stored), len(set_aside)) == (bars, 0)


def test_observations_of_the_real_files_are_sound(store: TableStore) -> None:
    problem = load_problem(SHIPPED)
    raw = {name: read_raw(store, problem.name, name) for name in problem.sources}
    as_of = datetime(2025, 6, 19, tzinfo=UTC)

    rows = observe(raw["btc"], raw, problem, as_of)

    assert all(finding.passed for finding in judge(rows, problem, now=as_of))
    assert len(rows) == 21_671 - 3 * 24  # the file goes on for three days
    assert rows["valid_time"].max() == as_of
    for name in problem.exogenous:
        assert (rows[f"{name}_valid_time"] <= rows["known_at"]).all()
        assert rows.filter(rows[f"{name}_age_hours"] > 6)[f"{name}_value"].null_count() > 0


def test_the_clock_of_the_files_stands_at_the_newest_bar() -> None:
    settings = Settings(data="files", data_dir=Path(SHARED))

    assert newest_target_time(load_problem(SHIPPED), settings) == datetime(2025, 6, 22, tzinfo=UTC)
