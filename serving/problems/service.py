"""Problems and series of the newest verified snapshots; pure functions of what is held."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from serving.deployments import Deployments
from serving.paging import decode, encode
from serving.problems.schemas import ProblemList, PublishedProblem, PublishedSeries
from serving.snapshot_content import Snapshot


def list_problems(deployments: Deployments, now: datetime) -> ProblemList:
    """Every problem of which a verified snapshot is held, by name."""
    problems = []
    for name in deployments.problems:
        snapshot = deployments.newest_snapshot(name)
        if snapshot is not None:
            ready = deployments.deployed(name) is not None
            problems.append(_problem(snapshot, ready=ready, now=now))
    return ProblemList(problems=problems)


def series_page(snapshot: Snapshot, *, after: str | None, size: int) -> dict[str, Any]:
    """`rows` and `next` of a page of series, ascending by name.

    Raises:
        UnusableInputError: the cursor is of no page of series.
    """
    names = snapshot.series
    start = 0 if after is None else bisect_right(names, str(decode(after, (str,))[0]))
    page = names[start : start + size]
    follows = len(names) > start + size
    keys = snapshot.manifest.series_keys
    rows = [
        PublishedSeries(
            series=name, labels=_labels(keys, name), newest_origin=snapshot.newest_origin(name)
        ).model_dump()
        for name in page
    ]
    return {"rows": rows, "next": encode((page[-1],)) if follows else None}


def _problem(snapshot: Snapshot, *, ready: bool, now: datetime) -> PublishedProblem:
    manifest = snapshot.manifest
    return PublishedProblem(
        problem=manifest.problem,
        title=manifest.title,
        unit=manifest.unit,
        frequency_seconds=manifest.frequency_seconds,
        horizon=manifest.horizon,
        series_count=len(snapshot.series),
        series_keys=list(manifest.series_keys),
        newest_origin=max(snapshot.newest_origin(name) for name in snapshot.series),
        as_of=manifest.as_of,
        snapshot_id=manifest.snapshot_id,
        data_version=manifest.data_version,
        synthetic=manifest.synthetic,
        stale=snapshot.is_stale(now),
        ready=ready,
    )


def _labels(keys: Sequence[str], series: str) -> dict[str, str]:
    """The labels of a series; none where the problem's series have no keys."""
    return dict(zip(keys, series.split("/"), strict=True)) if keys else {}
