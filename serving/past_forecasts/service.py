"""Published forecasts as they were made, and the champions' stitched together.

Here: pure functions of the published tables. Not here: HTTP (`router`), forecasts that are computed
when asked for (`forecasts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.contract.snapshot import FORECASTS
from serving.domain_errors import UnknownNameError, UnusableInputError
from serving.observations.service import outcomes
from serving.paging import page_of
from serving.past_forecasts.schemas import ChampionQuery, HistoryQuery
from serving.published_evidence import CHAMPION_COLUMN, FORECAST
from serving.published_reading import check_series, need
from serving.snapshot_content import Snapshot
from serving.sorted_table import Array, SortedTable, Value

_SHOWN = 10


def history(snapshot: Snapshot, query: HistoryQuery, *, size: int) -> dict[str, Any]:
    """`rows` and `next` of a page, ascending by (series, origin, version, step).

    Raises:
        UnknownNameError: there are none, or series, version or candidate are not published.
        UnusableInputError: the cursor or the interval cannot be used, or both version and candidate
            are given.
    """
    if query.version is not None and query.candidate is not None:
        raise UnusableInputError(
            value=f"version {query.version} and candidate {query.candidate}",
            rule="a version is of one candidate",
            remedy="give one of the two",
        )
    words = {
        column: word
        for column, word in (("version", query.version), ("candidate", query.candidate))
        if word is not None
    }
    table, rows, follows = _page(snapshot, query, words, size)
    return {"rows": table.records(rows, tuple(FORECAST)), "next": follows}


def stitched(snapshot: Snapshot, query: ChampionQuery, *, size: int) -> dict[str, Any]:
    """`rows` and `next` of a page of each origin's champion, beside what came true.

    Ascending by (series, origin, step); every row names its version and candidate.

    Raises:
        UnknownNameError: there are none, or the series is not published.
        UnusableInputError: the cursor or the interval cannot be used.
    """
    table, rows, follows = _page(snapshot, query, {CHAMPION_COLUMN: True}, size)
    records = table.records(rows, tuple(FORECAST))
    for record, (actual, error) in zip(records, _scores(snapshot, table, rows), strict=True):
        record.update(actual=actual, error=error)
    return {"rows": records, "next": follows}


def _page(
    snapshot: Snapshot,
    query: ChampionQuery | HistoryQuery,
    conditions: Mapping[str, str | bool],
    size: int,
) -> tuple[SortedTable, Array, str | None]:
    table = need(snapshot.evidence.forecasts, snapshot, FORECASTS, assets="`forecasts`")
    check_series(snapshot, query.series)
    for column, word in conditions.items():
        if isinstance(word, str):
            _check_word(table, column, word)
    equal: dict[str, str | int | bool] = dict(conditions)
    if query.series is not None:
        equal["series"] = query.series
    if query.step is not None:
        equal["step"] = query.step
    page = page_of(table, query, equal=equal, instant="origin", size=size)
    return table, page.rows, page.next


def _check_word(table: SortedTable, column: str, word: str) -> None:
    words = table.columns[column].words
    if word not in words:
        raise UnknownNameError(
            value=f"{column} {word}",
            rule=f"it must have published forecasts, as {len(words)} have",
            remedy=f"use a known {column}; champions of their time and each candidate's newest "
            "version are published",
            known=words[-_SHOWN:],
        )


def _scores(snapshot: Snapshot, table: SortedTable, rows: Array) -> list[tuple[Value, Value]]:
    """Actual and error of each row; None where no actual is published."""
    observed = snapshot.evidence.observed
    if observed is None or not len(rows):
        return [(None, None)] * len(rows)
    series = [str(name) for name in table.columns["series"].values(rows)]
    actual = outcomes(observed, series, table.columns["valid_time"].data[rows])
    error = table.columns["point"].data[rows] - actual
    known = np.isfinite(actual)
    return [
        (a, e) if ok else (None, None)
        for a, e, ok in zip(actual.tolist(), error.tolist(), known.tolist(), strict=True)
    ]
