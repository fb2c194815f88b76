"""A run fetches what is not there yet, what was just fetched again, and what was set aside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.ingestion.due import due_from
from mlops_assets.ingestion.pull import pull, quarantine_table, read_raw
from mlops_assets.problem import ForecastProblem, load_problem
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.candles import QUARANTINE
from mlops_assets_tests.architecture.source_code import ROOT
from mlops_assets_tests.ingestion.panels import START, panel, panel_problem

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def problem() -> ForecastProblem:
    """The shipped problem with its target alone."""
    shipped = load_problem(ROOT / "mlops_assets" / "defs" / "bitcoin_close" / "defs.yaml")
    return shipped.model_copy(update={"sources": {"btc": shipped.sources["btc"]}})


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path))


def fetch(store: TableStore, problem: ForecastProblem, *, now: datetime) -> None:
    """One pull of the whole sample up to `now`."""
    source = problem.sources["btc"]
    settings = Settings(data="sample", _env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own
    end = now + timedelta(days=30)
    pull(
        store,
        problem.name,
        "btc",
        source,
        start=source.start,
        end=end,
        fetched_at=now,
        settings=settings,
    )


def test_before_the_first_fetch_everything_is_due(
    store: TableStore, problem: ForecastProblem
) -> None:
    assert due_from(store, problem, "sample", until=NOW) == problem.sources["btc"].start


def test_after_a_fetch_the_last_day_is_due_again(
    store: TableStore, problem: ForecastProblem
) -> None:
    fetch(store, problem, now=NOW)

    newest_open = read_raw(store, problem.name, "btc")["valid_time"].max() - HOUR  # type: ignore[operator]  # polars' own union
    assert newest_open == NOW - HOUR
    assert due_from(store, problem, "sample", until=NOW + 5 * HOUR) == NOW - HOUR - 24 * HOUR


def test_a_bar_that_was_set_aside_is_due_until_it_is_delivered_well(
    store: TableStore, problem: ForecastProblem
) -> None:
    fetch(store, problem, now=NOW)
    spoilt = datetime(2026, 1, 20, 8, tzinfo=UTC)
    raw = read_raw(store, problem.name, "btc").filter(pl.col("valid_time") == spoilt)
    aside = raw.with_columns(
        reason=pl.lit("prices_present"), kept=pl.lit(value=False), pull=pl.lit(0)
    )
    store.write(quarantine_table(problem.name, "btc"), QUARANTINE.conform(aside))

    assert due_from(store, problem, "sample", until=NOW) == spoilt - HOUR

    fetch(store, problem, now=NOW)
    assert due_from(store, problem, "sample", until=NOW) == NOW - 25 * HOUR


def test_files_are_read_in_whole_since_they_may_correct_any_month(
    store: TableStore, problem: ForecastProblem
) -> None:
    assert due_from(store, problem, "files", until=NOW) is None


def test_what_is_due_is_told_on_the_clock_in_which_its_month_begins(store: TableStore) -> None:
    described = panel_problem(search=panel())

    due = due_from(store, described, "sample", until=NOW)

    assert due == START  # 15:00 on the last day of August in UTC
    assert f"{due:%Y-%m-%d %H:%M}" == "2024-09-01 00:00"
