"""Whether a source still delivers: the newest bar against the clock and the trading calendar.

Here: one rule. Not here: the rules about the bars themselves (`quality`), and how recently an
asset was materialised (Dagster's freshness, which does not look into the data).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from mlops_assets.ingestion.quality import Finding, Rule, Severity, severity_of
from mlops_assets.ingestion.sessions import bar_opens
from mlops_assets.problem import Source
from mlops_assets.settings import DataMode

ALLOWED_MISSING_BARS: Final = 3
"""Bars that may be due and not there yet."""


def judge(
    stored: pl.DataFrame, *, name: str, source: Source, now: datetime, mode: DataMode
) -> Finding:
    """Count the bars that should be known by `now` and are newer than the newest that is.

    Files end where they end, so with them an old newest bar is a warning; a sample or live source
    that falls behind stops the target.

    Args:
        stored: the raw table (schema `RAW_CANDLES`); rows known after `now` are not looked at.
        name: the source's name, for the message.
        source: its YAML entry; its calendar says when bars are due.
        now: the instant that the run believes in.
        mode: where the values come from.
    """
    severity: Severity = "WARN" if mode == "files" else severity_of(Rule.RECENCY, source)
    newest = stored.filter(pl.col("known_at") <= now)["valid_time"].max()
    if not isinstance(newest, datetime):
        message = (
            f"{name}: no bar is known at {now:%Y-%m-%dT%H:%MZ}; a source must have delivered; "
            "materialise the months up to now, and check `start` and the source"
        )
        return Finding(Rule.RECENCY, severity, 1, message, stored.clear())
    due = _bars_due(newest, source=source, now=now)
    state = f"{name}: the newest bar known at {now:%Y-%m-%dT%H:%MZ} closes {newest:%Y-%m-%dT%H:%MZ}"
    if due <= ALLOWED_MISSING_BARS:
        return Finding(
            Rule.RECENCY, severity, 0, f"{state}; {due} newer bars are due", stored.clear()
        )
    message = (
        f"{state}; {due} newer bars are due by its calendar {source.calendar}, and at most "
        f"{ALLOWED_MISSING_BARS} may be missing; materialise the current month or check the source"
    )
    return Finding(Rule.RECENCY, severity, due, message, stored.clear())


def _bars_due(newest: datetime, *, source: Source, now: datetime) -> int:
    """Bars after the one that closes at `newest` which are published by `now`."""
    newest_open = now - source.publication_delay - source.period
    if newest_open < newest:
        return 0
    # Half-open at the end, and a bar that opens at `newest_open` is published just now: it counts.
    end = newest_open + timedelta(microseconds=1)
    return len(bar_opens(source.calendar, bar=source.period, start=newest, end=end))
