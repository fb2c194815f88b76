"""How a drift report is told: in sentences, and as a table in Markdown.

Here: texts for Dagster's page and the check. Not here: any judgement (`report`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.monitoring.drift.errors import ErrorWatch

TOO_LITTLE: Final = "Too little history to say what is unusual"


def newest_rows(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of the newest report of a `drift_report` table; none of an empty one."""
    return table.filter(pl.col("as_of") == pl.col("as_of").max())


def is_alarm(rows: pl.DataFrame) -> bool:
    """Whether a report alarms: any column beyond its threshold, or errors that rose.

    The budget of false alarms is shared among the columns already, so that one is enough.
    """
    return bool(rows["drifted"].any() or rows["concept_drift"].any())


def summary(rows: pl.DataFrame) -> str:
    """A report in sentences: what drifted with value and threshold, or that nothing did."""
    drifted = rows.filter(pl.col("drifted")).sort("statistic", descending=True)
    sentences = [
        f"{name} is {statistic:.2f} standard deviations from what the champion was trained on; "
        f"its own past allows {threshold:.2f}."
        for name, statistic, threshold in drifted.select(
            "feature", "statistic", "threshold"
        ).iter_rows()
    ]
    if rows["concept_drift"].any():
        sentences.append("The champion's errors have risen against those of no change.")
    return " ".join(sentences or [_nothing_drifted(rows)])


def column_table(rows: pl.DataFrame) -> str:
    """The columns of a report as a Markdown table."""
    lines = [
        f"| {row['feature']} | {_figure(row['statistic'])} | {_figure(row['threshold'])} "
        f"| {'yes' if row['drifted'] else ''} | {row['reference_rows']} | {row['current_rows']} |"
        for row in rows.iter_rows(named=True)
    ]
    head = "| column | distance | threshold | drifted | reference rows | current rows |"
    return "\n".join([head, "|---|---|---|---|---|---|", *lines])


def errors_text(errors: ErrorWatch) -> str:
    """What the detector found in the champion's errors."""
    if errors.risen_at is None:
        return f"No rise found in {errors.periods} periods."
    return (
        f"They last rose at {errors.risen_at:%Y-%m-%d %H:%M} UTC, from {errors.before:.3f} to "
        f"{errors.after:.3f} of error and change together (0.5: as far off as no change), in "
        f"{errors.periods} periods."
    )


def _nothing_drifted(rows: pl.DataFrame) -> str:
    untold = rows.filter(pl.col("threshold").is_null())["feature"].to_list()
    if len(untold) == len(rows):
        return f"{TOO_LITTLE}: nothing is compared yet."
    well = f"None of {len(rows) - len(untold)} columns is beyond its threshold."
    return f"{well} {TOO_LITTLE} of {', '.join(untold)}." if untold else well


def _figure(value: float | None) -> str:
    return "too little history" if value is None else f"{value:.3f}"
