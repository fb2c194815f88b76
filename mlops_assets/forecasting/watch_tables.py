"""What watches the forecasts, as far as it was ever written.

Here: reading tables of the stage `monitoring`, which comes after this one, and the records of
replays, both by name. Not here: what is published of them (`published_evidence`,
`monitoring_figures`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import polars as pl

from mlops_assets.storage.tables import TableStore
from serving.contract.evidence import ReplayLedger, ReplayStep

REPLAYS: Final = "replays"
"""Folder of all replays below a namespace."""
REPLAY_RECORD: Final = "steps.json"
"""The record of finished steps in a replay's folder."""
REPLAY_LEDGER: Final = "ledger.json"
"""The ledger of a replay that was looked back at, with errors and the rules' comparison."""


class ReplayRecordError(ValueError):
    """A replay's record cannot be read."""


@dataclass(frozen=True, kw_only=True)
class WatchTables:
    """What watches the forecasts; None is a table that was never written."""

    live_scores: pl.DataFrame | None = None
    control: pl.DataFrame | None = None
    drift_report: pl.DataFrame | None = None
    answers: pl.DataFrame | None = None
    """Answers of the service against what came true, one row a variant."""
    replays: Sequence[ReplayLedger] = ()


def read_watch_tables(
    store: TableStore, problem: str, *, namespace: Path | None = None
) -> WatchTables:
    """The tables of a problem, as far as they exist.

    Args:
        store: where the tables are.
        problem: its name.
        namespace: the folder that holds the replays; None reads none.

    Raises:
        ReplayRecordError: the record of a replay cannot be read.
    """

    def table(name: str) -> pl.DataFrame | None:
        full = f"{problem}/{name}"
        return store.read(full) if store.exists(full) else None

    return WatchTables(
        live_scores=table("live_scores"),
        control=table("control"),
        drift_report=table("drift_report"),
        answers=table("answer_variants"),
        replays=() if namespace is None else read_replays(namespace / REPLAYS, problem),
    )


def read_replays(folder: Path, problem: str) -> list[ReplayLedger]:
    """The replays of a problem that have finished a step, by id.

    A replay that was taken up again is told by its record until its ledger is written anew.

    Args:
        folder: holds a folder for each replay.
        problem: its name.

    Raises:
        ReplayRecordError: a record cannot be read.
    """
    found = []
    for record in sorted(folder.glob(f"*/{REPLAY_RECORD}")):
        try:
            content = json.loads(record.read_bytes())
            steps = [ReplayStep.model_validate(step, extra="ignore") for step in content["steps"]]
            of_problem = content["problem"] == problem
            ledger = _written_ledger(record.with_name(REPLAY_LEDGER))
        except (ValueError, KeyError, TypeError) as error:
            raise ReplayRecordError(
                f"{record} is no record of a replay ({type(error).__name__}); it must hold "
                "problem and steps; delete the replay's folder, or bring the file back"
            ) from error
        if of_problem and steps:
            told = _ledger(record.parent.name, steps)
            found.append(ledger if ledger and _covers(ledger, told) else told)
    return found


def _written_ledger(path: Path) -> ReplayLedger | None:
    return ReplayLedger.model_validate_json(path.read_bytes()) if path.exists() else None


def _covers(ledger: ReplayLedger, record: ReplayLedger) -> bool:
    """Whether a ledger tells of the same steps as the record."""
    return [row.origin for row in ledger.rows] == [row.origin for row in record.rows]


def _ledger(replay_id: str, steps: Sequence[ReplayStep]) -> ReplayLedger:
    origins: list[datetime] = [step.origin for step in steps]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(origins)]
    return ReplayLedger(
        replay_id=replay_id,
        start=origins[0],
        end=origins[-1],
        step_seconds=median(gaps) if gaps else None,
        steps=len(steps),
        rows=tuple(steps),
    )
