"""What a snapshot tells about the past: forecasts as they were made, scores, verdicts, drift.

Here: pure functions from tables to the files' content, each within the contract's bounds. Not here:
inputs, calibration and observed values (`forecasting.snapshot`), reading the tables
(`forecasting.watch_tables`) and the files' form (`serving.contract`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl

from mlops_assets.forecasting.live import SCHEMA
from mlops_assets.promotion.holders import alias_moves, with_holders
from serving.contract.evidence import (
    ColumnDrift,
    Drift,
    DriftReport,
    DriftSummary,
    ReplayLedger,
)
from serving.contract.snapshot import (
    FORECAST_ROWS,
    LIVE_SCORE_ROWS,
    MAX_ANSWER_VARIANTS,
    MAX_DRIFT_REPORTS,
    MAX_REPLAY_STEPS,
    MAX_REPLAYS,
    MAX_VERDICTS,
)

FORECAST_WINDOW: Final = timedelta(days=90)
"""Origins whose forecasts are published: at most so old."""

_NOT_PUBLISHED: Final = frozenset({"max_known_at", "last_value"})


def published_forecasts(
    forecasts: pl.DataFrame,
    verdicts: pl.DataFrame,
    *,
    until: datetime,
    as_of: datetime,
    max_rows: int = FORECAST_ROWS,
) -> pl.DataFrame:
    """Forecasts of champions of their time and of each candidate's newest version.

    Args:
        forecasts: of all versions (`forecasting.live.SCHEMA`).
        verdicts: history of the champion, newest last.
        until: the newest origin that is published; there are later ones where the present is past.
        as_of: the present; later verdicts are not seen.
        max_rows: whole origins, the newest, of at most so many rows: first the champions', then
            the others'; the newest one of both always.

    Returns:
        The contract's `forecasts.parquet`, sorted by series, origin, version and step; text is
        categorical, so that it is stored as a dictionary.
    """
    recent = forecasts.filter(
        pl.col("origin").is_between(until - FORECAST_WINDOW, until, closed="right")
    )
    held = with_holders(recent, alias_moves(verdicts, as_of=as_of), named="champion")
    # Versions are numbers of the registry; as text, "10" would come before "9".
    number = pl.col("version").cast(pl.Int64)
    others = held.filter(~pl.col("champion"), number == number.max().over("candidate"))
    champions = newest_groups(held.filter("champion"), "origin", max_rows=max_rows)
    others = newest_groups(others, "origin", max_rows=max_rows - len(champions))
    kept = pl.concat([champions, others])
    columns = [name for name in SCHEMA if name not in _NOT_PUBLISHED]
    text = [name for name in columns if SCHEMA[name] == pl.String]
    return (
        kept.select(*columns, "champion")
        .sort("series", "origin", "version", "step")
        .with_columns(pl.col(text).cast(pl.Categorical))
    )


def newest_groups(rows: pl.DataFrame, by: str, *, max_rows: int) -> pl.DataFrame:
    """The rows of the newest values of a column, whole groups of at most so many rows together.

    The newest group stays, however large it is.
    """
    counted = rows.group_by(by).len().sort(by, descending=True)
    kept = counted.filter((pl.col("len").cum_sum() <= max_rows) | (pl.col(by) == pl.col(by).max()))
    return rows.join(kept.select(by), on=by, how="semi", maintain_order="left")


def published_live_scores(
    scores: pl.DataFrame, *, as_of: datetime, max_rows: int = LIVE_SCORE_ROWS
) -> pl.DataFrame:
    """Live scores by day, the contract's `live_scores.parquet`.

    Args:
        scores: the table `live_scores`, one row a forecast that came true.
        as_of: the present; values that were known later are not seen.
        max_rows: whole days, the newest, of at most so many rows.
    """
    away = pl.col("last_value") - pl.col("actual")
    daily = (
        scores.filter(pl.col("target_known_at") <= as_of)
        .with_columns(day=pl.col("valid_time").dt.truncate("1d"))
        .group_by("day", "version", "candidate", "role", "step")
        .agg(
            n=pl.len().cast(pl.Int64),
            mae=pl.col("absolute_error").mean(),
            mse=pl.col("squared_error").mean(),
            coverage=pl.col("covered").mean(),
            mae_last_value=away.abs().mean(),
            mse_last_value=away.pow(2).mean(),
        )
    )
    return newest_groups(daily, "day", max_rows=max_rows).sort("day", "version", "role", "step")


def published_verdicts(verdicts: pl.DataFrame, *, as_of: datetime) -> bytes:
    """The newest verdicts, newest last, with what each left in place: `verdicts.json`.

    Args:
        verdicts: the history (`promotion.champion.HISTORY`), newest last.
        as_of: the present; later verdicts are not seen.
    """
    seen = verdicts.filter(pl.col("as_of") <= as_of)
    rows = seen.sort("as_of", maintain_order=True).tail(MAX_VERDICTS)
    return as_json([_verdict(row) for row in rows.iter_rows(named=True)])


def _verdict(row: dict[str, Any]) -> dict[str, Any]:
    """The whole record where there is one, else what the history's columns say."""
    named = {name: value for name, value in row.items() if name not in {"verdict", "as_of"}}
    whole: dict[str, Any] = json.loads(row["verdict"]) if row["verdict"] else {}
    return {"as_of": row["as_of"].isoformat(), **named, **whole}


def published_drift(reports: pl.DataFrame, *, as_of: datetime) -> Drift | None:
    """The newest drift report by column and the history in short; None before the first.

    Args:
        reports: the table `drift_report`, one row per (report, column).
        as_of: the present; later reports are not seen.
    """
    seen = reports.filter(pl.col("as_of") <= as_of)
    if seen.is_empty():
        return None
    short = seen.unique("as_of", keep="first", maintain_order=True).sort("as_of")
    history = tuple(
        DriftSummary(
            as_of=row["as_of"],
            share_drifted=finite(row["share_drifted"]),
            concept_drift=row["concept_drift"],
        )
        for row in short.tail(MAX_DRIFT_REPORTS).iter_rows(named=True)
    )
    newest = seen.filter(pl.col("as_of") == pl.col("as_of").max())
    columns = tuple(
        ColumnDrift(
            feature=row["feature"],
            statistic=finite(row["statistic"]),
            threshold=finite(row["threshold"]),
            drifted=row["drifted"],
            reference_rows=row["reference_rows"],
            current_rows=row["current_rows"],
        )
        for row in newest.iter_rows(named=True)
    )
    return Drift(newest=DriftReport(**history[-1].model_dump(), columns=columns), history=history)


def published_replays(ledgers: Sequence[ReplayLedger]) -> bytes:
    """The replays that end last, each with its newest steps: `replays.json`."""
    newest = sorted(ledgers, key=lambda ledger: (ledger.end, ledger.replay_id))[-MAX_REPLAYS:]
    return as_json(
        [
            {**ledger.model_dump(mode="json"), "rows": _newest_steps(ledger)}
            for ledger in sorted(newest, key=lambda ledger: ledger.replay_id)
        ]
    )


def _newest_steps(ledger: ReplayLedger) -> list[dict[str, Any]]:
    return [step.model_dump(mode="json") for step in ledger.rows[-MAX_REPLAY_STEPS:]]


def published_answers(variants: pl.DataFrame) -> bytes:
    """Answers of the service against what came true, by variant: `answers.json`."""
    shown = variants.head(MAX_ANSWER_VARIANTS).with_columns(
        pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    return as_json(shown.to_dicts())


def as_json(content: object) -> bytes:
    """Content as JSON without NaN: what is no number is null."""
    return json.dumps(_without_nan(content), ensure_ascii=False, allow_nan=False).encode()


def finite(value: float | None) -> float | None:
    """A number, or None where it is none."""
    return value if value is not None and math.isfinite(value) else None


def _without_nan(content: object) -> object:
    if isinstance(content, float):
        return finite(content)
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return content
