"""Which part of history a run has to fetch again.

A run that covers every month of the raw tables records an event for each asset in each of them;
where it is known what was fetched, it covers the months from here on.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from mlops_assets.ingestion.pull import resume_at
from mlops_assets.problem import ForecastProblem
from mlops_assets.settings import DataMode
from mlops_assets.storage.tables import TableStore


def due_from(
    store: TableStore, problem: ForecastProblem, mode: DataMode, *, until: datetime
) -> datetime | None:
    """Open of the oldest period that a run at `until` must fetch, over all sources.

    It is told on the clock of the problem's zone, in which months begin. None with `files`, which
    may correct any month: everything is read.
    """
    if mode == "files":
        return None
    oldest = min(
        resume_at(store, problem.name, name, source, start=source.start, end=until)
        for name, source in problem.sources.items()
    )
    return oldest.astimezone(ZoneInfo(problem.zone))
