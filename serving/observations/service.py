"""Observed values of a snapshot: pages, and the value that a forecast came to.

Here: pure functions of the published table. Not here: HTTP (`router`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.contract.snapshot import OBSERVED
from serving.contract.steps import FloatArray
from serving.observations.schemas import ObservationQuery
from serving.paging import page_of
from serving.published_evidence import CANDLE, VALUE
from serving.published_reading import check_series, need
from serving.snapshot_content import Snapshot
from serving.sorted_table import Array, SortedTable


def observations(snapshot: Snapshot, query: ObservationQuery, *, size: int) -> dict[str, Any]:
    """`rows` and `next` of a page of observed values, ascending by (series, valid_time).

    Raises:
        UnknownNameError: there are none, or the series is not published.
        UnusableInputError: the cursor or the interval cannot be used.
    """
    table = need(snapshot.evidence.observed, snapshot, OBSERVED, assets="`observations`")
    check_series(snapshot, query.series)
    equal = {} if query.series is None else {"series": query.series}
    page = page_of(table, query, equal=equal, instant="valid_time", size=size)
    return {"rows": table.records(page.rows, _columns(table)), "next": page.next}


def outcomes(table: SortedTable, series: Sequence[str], ticks: Array) -> FloatArray:
    """What came true: the close, or the value, of each (series, valid time).

    Args:
        table: observed values.
        series: of each forecast.
        ticks: its valid time, microseconds since 1970, shape (forecasts,).

    Returns:
        Shape (forecasts,), target units; NaN where nothing is published.
    """
    times = table.columns["valid_time"].data
    target = table.columns["close" if "close" in table.columns else VALUE[0]].data
    found = np.full(len(ticks), np.nan)
    names = np.asarray(series, dtype=np.str_)
    for name in dict.fromkeys(series):
        own, span = np.flatnonzero(names == name), table.span((name,))
        place = span.start + np.searchsorted(times[span], ticks[own])
        inside = place < span.stop
        own, place = own[inside], place[inside]
        same = times[place] == ticks[own]
        found[own[same]] = target[place[same]]
    return found


def _columns(table: SortedTable) -> tuple[str, ...]:
    form = CANDLE if CANDLE[0] in table.columns else VALUE
    return ("series", "valid_time", *form)
