"""Partitions of the raw sources: one a month, the current month included."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg


def monthly_partitions(start: datetime, *, zone: str) -> dg.MonthlyPartitionsDefinition:
    """Months from that of `start` to the one that runs now (`end_offset=1`), in `zone`."""
    return dg.MonthlyPartitionsDefinition(
        start_date=start.astimezone(ZoneInfo(zone)).strftime("%Y-%m-01"),
        timezone=zone,
        end_offset=1,
    )
