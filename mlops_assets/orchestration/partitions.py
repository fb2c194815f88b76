"""Partitions of the raw sources: one a month, in UTC, the current month included."""

from __future__ import annotations

import dagster as dg

from mlops_assets.problem import Source


def monthly_partitions(source: Source) -> dg.MonthlyPartitionsDefinition:
    """Months from the source's start to the one that runs now (`end_offset=1`)."""
    return dg.MonthlyPartitionsDefinition(
        start_date=source.start.strftime("%Y-%m-01"), end_offset=1
    )
