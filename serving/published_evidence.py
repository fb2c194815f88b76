"""What a snapshot holds beside the inputs of forecasts: values, forecasts and scores of the past.

Here: reading the files of `contract.snapshot.EVIDENCE_FILES` and what is held of each. Not here:
inputs and calibration (`snapshot_content`), pages (`paging`), endpoints (`observations`,
`evidence`).

Tables are held as arrays, and JSON that is only handed on as the bytes that were published: as
Python objects they would take ten times the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec
from pydantic import ValidationError

from serving.contract.evidence import Drift, ReplayLedger, ReplaySummary
from serving.contract.prediction_log import Kind
from serving.contract.snapshot import (
    ANSWERS,
    DRIFT,
    FORECAST_ROWS,
    FORECASTS,
    LEADERBOARD,
    LIVE_SCORE_ROWS,
    LIVE_SCORES,
    MAX_ANSWER_VARIANTS,
    MAX_REPLAYS,
    MAX_VERDICTS,
    OBSERVED,
    OBSERVED_ROWS,
    REPLAYS,
    VERDICTS,
)
from serving.domain_errors import SnapshotRefusedError
from serving.sorted_table import SortedTable, read_sorted, ticks_of

CHAMPION_COLUMN: Final = "champion"
"""Column of `forecasts.parquet` that tells a bounded file from an earlier pipeline's."""

_OBSERVED: Final = {"series": Kind.TEXT, "valid_time": Kind.INSTANT}
CANDLE: Final = ("open", "high", "low", "close", "volume")
VALUE: Final = ("value",)

FORECAST: Final = {
    "series": Kind.TEXT,
    "origin": Kind.INSTANT,
    "last_observed": Kind.INSTANT,
    "valid_time": Kind.INSTANT,
    "step": Kind.WHOLE,
    "point": Kind.NUMBER,
    "lower": Kind.NUMBER,
    "upper": Kind.NUMBER,
    "nominal_coverage": Kind.NUMBER,
    "candidate": Kind.TEXT,
    "version": Kind.TEXT,
    "recipe_id": Kind.TEXT,
    "data_version": Kind.TEXT,
    "run_id": Kind.TEXT,
    CHAMPION_COLUMN: Kind.FLAG,
}
"""Columns of published forecasts that are held; the rest of the file is in the manifest."""

LIVE_SCORE: Final = {
    "day": Kind.INSTANT,
    "version": Kind.TEXT,
    "candidate": Kind.TEXT,
    "role": Kind.TEXT,
    "step": Kind.WHOLE,
    "n": Kind.WHOLE,
    "mae": Kind.NUMBER,
    "mse": Kind.NUMBER,
    "coverage": Kind.NUMBER,
    "mae_last_value": Kind.NUMBER,
    "mse_last_value": Kind.NUMBER,
}
"""Columns of published live scores."""


@dataclass(frozen=True, slots=True)
class PublishedVerdict:
    """One verdict, ready to be handed on."""

    ticks: int
    """Its instant, microseconds since 1970."""
    number: int
    """Counts the verdicts of one instant, from 0."""
    json: bytes


@dataclass(frozen=True, slots=True)
class PublishedReplay:
    """One ledger: what it covers, and its whole, ready to be handed on."""

    summary: ReplaySummary
    json: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """The files beside the inputs; None is a file that the snapshot does not have."""

    observed: SortedTable | None = None
    """Sorted by (series, valid_time)."""
    forecasts: SortedTable | None = None
    """Sorted by (series, origin, version, step)."""
    live_scores: SortedTable | None = None
    """Sorted by (day, version, role, step)."""
    leaderboard: bytes | None = None
    """A JSON array."""
    verdicts: tuple[PublishedVerdict, ...] | None = None
    """Ascending by instant."""
    drift: Drift | None = None
    replays: Mapping[str, PublishedReplay] | None = None
    """By id, ascending."""
    answers: bytes | None = None
    """A JSON array."""

    @property
    def size_bytes(self) -> int:
        """Memory of the tables' arrays and of the JSON that is held."""
        tables = [t.size_bytes for t in (self.observed, self.forecasts, self.live_scores) if t]
        texts = [len(text) for text in (self.leaderboard, self.answers) if text]
        verdicts = [len(verdict.json) for verdict in self.verdicts or ()]
        replays = [len(replay.json) for replay in (self.replays or {}).values()]
        return sum([*tables, *texts, *verdicts, *replays])


class _Stamped(msgspec.Struct):
    as_of: datetime


@dataclass(slots=True)
class _Counted:
    """Numbers things that share an instant."""

    seen: dict[int, int] = field(default_factory=dict)

    def number(self, ticks: int) -> int:
        number = self.seen.get(ticks, 0)
        self.seen[ticks] = number + 1
        return number


def read_evidence(files: Mapping[str, bytes]) -> Evidence:
    """Read the evidence files of a snapshot.

    Args:
        files: name -> content, of the files that the snapshot has.

    Raises:
        SnapshotRefusedError: a file does not have the contract's form, or is too large.
    """
    return Evidence(
        observed=_read_observed(files.get(OBSERVED)),
        forecasts=_read_forecasts(files.get(FORECASTS)),
        live_scores=_read_live_scores(files.get(LIVE_SCORES)),
        leaderboard=_read_array(LEADERBOARD, files.get(LEADERBOARD)),
        verdicts=_read_verdicts(files.get(VERDICTS)),
        drift=_read_drift(files.get(DRIFT)),
        replays=_read_replays(files.get(REPLAYS)),
        answers=_read_array(ANSWERS, files.get(ANSWERS), most=MAX_ANSWER_VARIANTS),
    )


def _read_observed(content: bytes | None) -> SortedTable | None:
    if content is None:
        return None
    table = read_sorted(
        OBSERVED,
        content,
        columns=_OBSERVED,
        key=("series", "valid_time"),
        optional=dict.fromkeys((*CANDLE, *VALUE), Kind.NUMBER),
        max_rows=OBSERVED_ROWS,
    )
    if not any(all(name in table.columns for name in form) for form in (CANDLE, VALUE)):
        raise SnapshotRefusedError(
            f"{OBSERVED} has columns {', '.join(table.columns)}; beside its key it needs "
            f"{', '.join(CANDLE)}, or {', '.join(VALUE)}; publish again"
        )
    return table


def _read_forecasts(content: bytes | None) -> SortedTable | None:
    if content is None or not _has_column(FORECASTS, content, CHAMPION_COLUMN):
        return None
    return read_sorted(
        FORECASTS,
        content,
        columns=FORECAST,
        key=("series", "origin", "version", "step"),
        max_rows=FORECAST_ROWS,
    )


def _has_column(file: str, content: bytes, name: str) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return name in pq.read_schema(pa.BufferReader(content)).names
    except (pa.ArrowException, OSError) as error:
        raise SnapshotRefusedError(f"{file} is not readable as Parquet; publish again") from error


def _read_live_scores(content: bytes | None) -> SortedTable | None:
    if content is None:
        return None
    return read_sorted(
        LIVE_SCORES,
        content,
        columns=LIVE_SCORE,
        key=("day", "version", "role", "step"),
        max_rows=LIVE_SCORE_ROWS,
    )


def _read_array(file: str, content: bytes | None, *, most: int | None = None) -> bytes | None:
    if content is None:
        return None
    _array_of_json(file, content, most)
    return content


def _array_of_json(file: str, content: bytes, most: int | None) -> list[msgspec.Raw]:
    """The elements of a JSON array, undecoded."""
    try:
        # Decoded once as a whole, since what is kept raw is not looked into.
        msgspec.json.decode(content)
        elements = msgspec.json.decode(content, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise SnapshotRefusedError(f"{file} is no JSON array ({error}); publish again") from error
    if most is not None and len(elements) > most:
        raise SnapshotRefusedError(
            f"{file} has {len(elements)} entries, {most} are allowed; publish with the pipeline of "
            "this release"
        )
    return elements


def _read_verdicts(content: bytes | None) -> tuple[PublishedVerdict, ...] | None:
    if content is None:
        return None
    counted, found = _Counted(), []
    for raw in _array_of_json(VERDICTS, content, MAX_VERDICTS):
        try:
            stamp = msgspec.json.decode(raw, type=_Stamped).as_of
        except msgspec.DecodeError as error:
            raise SnapshotRefusedError(
                f"{VERDICTS} has an entry without the instant as_of ({error}); publish again"
            ) from error
        if stamp.tzinfo is None:
            raise SnapshotRefusedError(
                f"{VERDICTS} has as_of {stamp.isoformat()}; an instant needs a zone; publish again"
            )
        ticks = ticks_of(stamp)
        found.append(PublishedVerdict(ticks, counted.number(ticks), bytes(raw)))
    return tuple(sorted(found, key=lambda verdict: (verdict.ticks, verdict.number)))


def _read_drift(content: bytes | None) -> Drift | None:
    if content is None:
        return None
    try:
        return Drift.model_validate_json(content)
    except ValidationError as error:
        raise SnapshotRefusedError(
            f"{DRIFT} does not have the contract's form; publish again"
        ) from error


def _read_replays(content: bytes | None) -> dict[str, PublishedReplay] | None:
    if content is None:
        return None
    found: dict[str, PublishedReplay] = {}
    for raw in _array_of_json(REPLAYS, content, MAX_REPLAYS):
        try:
            ledger = ReplayLedger.model_validate_json(bytes(raw))
        except ValidationError as error:
            raise SnapshotRefusedError(
                f"{REPLAYS} has a ledger without the contract's form; publish again"
            ) from error
        summary = ReplaySummary.model_validate(
            ledger.model_dump(include=set(ReplaySummary.model_fields))
        )
        found[ledger.replay_id] = PublishedReplay(summary, bytes(raw))
    return dict(sorted(found.items()))
