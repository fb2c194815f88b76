"""Whether a source still delivers: its newest row against the clock and the trading calendar.

Here: one rule. Not here: the rules about the rows themselves (`quality`), and how recently an
asset was materialised (Dagster's freshness, which does not look into the data).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from mlops_assets.ingestion.quality import Finding, Rule, Severity, severity_of
from mlops_assets.ingestion.sessions import ALWAYS_OPEN, bar_opens
from mlops_assets.problem import Source
from mlops_assets.settings import DataMode
from mlops_assets.tables.layouts import layout_of

ALLOWED_MISSING: Final = 3
"""Periods that may be due and not there yet."""

_ENDS: Final = {"candles": "closes", "values": "is of a period ending", "channels": "is of"}


def judge(
    stored: pl.DataFrame, *, name: str, source: Source, now: datetime, mode: DataMode
) -> Finding:
    """Count the periods that should be known by `now` and are newer than the newest that is.

    Files end where they end, so with them an old newest bar is a warning; a sample or live source
    that falls behind stops the target.

    Args:
        stored: the raw table (schema `raw` of its layout); those known after `now`
            are not looked at.
        name: the source's name, for the message.
        source: its YAML entry; its calendar says when periods are due.
        now: the instant that the run believes in.
        mode: where the values come from.
    """
    severity: Severity = "WARN" if mode == "files" else severity_of(Rule.RECENCY, source)
    row = layout_of(source.kind).row
    newest = stored.filter(pl.col("known_at") <= now)["valid_time"].max()
    if not isinstance(newest, datetime):
        message = (
            f"{name}: no {row} is known at {now:%Y-%m-%dT%H:%MZ}; a source must have delivered; "
            "materialise the months up to now, and check `start` and the source"
        )
        return Finding(Rule.RECENCY, severity, 1, message, stored.clear())
    due = _periods_due(newest, source=source, now=now)
    state = (
        f"{name}: the newest {row} known at {now:%Y-%m-%dT%H:%MZ} {_ENDS[source.kind]} "
        f"{newest:%Y-%m-%dT%H:%MZ}"
    )
    if due <= ALLOWED_MISSING:
        return Finding(
            Rule.RECENCY, severity, 0, f"{state}; {due} newer {row}s are due", stored.clear()
        )
    message = (
        f"{state}; {due} newer {row}s are due by its calendar {source.calendar}, and at most "
        f"{ALLOWED_MISSING} may be missing; materialise the current month or check the source"
    )
    return Finding(Rule.RECENCY, severity, due, message, stored.clear())


def _periods_due(newest: datetime, *, source: Source, now: datetime) -> int:
    """Periods after the one that ends at `newest` which are published by `now`."""
    newest_open = now - source.publication_delay - source.period
    if newest_open < newest:
        return 0
    if source.calendar == ALWAYS_OPEN:  # they follow each other, on whichever grid `newest` is
        return (newest_open - newest) // source.period + 1
    # Half-open at the end, and a bar that opens at `newest_open` is published just now: it counts.
    end = newest_open + timedelta(microseconds=1)
    return len(bar_opens(source.calendar, bar=source.period, start=newest, end=end))
