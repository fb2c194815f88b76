"""The ledger of a replay: what each origin came to, and what its champion then erred by.

Here: the ledger's rows and totals from the replay's tables, and its files in the replay's folder:
`ledger.json` (the contract's `ReplayLedger`, which the next snapshot of production carries),
`ledger.parquet` (one row an origin) and `report.html`. Not here: the rules' comparison (`rules`),
the report's look (`page`) and who reads the ledger (`forecasting.watch_tables`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import polars as pl

from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.champion import empty_history
from mlops_assets.replay.isolation import ReplayError, replay_folder, replay_settings
from mlops_assets.replay.progress import StepOutcome
from mlops_assets.replay.rules import Rule, compare_rules, live_error, reigns, rows_of
from mlops_assets.settings import Settings
from mlops_assets.storage.files import FileStore
from mlops_assets.storage.io_manager import table_name
from mlops_assets.storage.tables import TableStore
from serving.contract.evidence import ReplayLedger, ReplayStep

LEDGER: Final = "ledger.json"
TABLE: Final = "ledger"
"""The table `ledger.parquet`."""
REPORT: Final = "report.html"
SCORES: Final = "live_scores"
"""The table `live_scores.parquet`: what came true by the closing instant, of all versions."""

_ERROR: Final = ("n", "mae", "rmse", "mae_last_value", "rmse_last_value", "coverage")


@dataclass(frozen=True)
class Evidence:
    """What a ledger is made of.

    Attributes:
        steps: finished ones, at least one, ascending.
        verdicts: the table `champion` of the replay.
        scores: live scores of all versions, as of the closing instant.
        closing: end of the last step's reign.
    """

    steps: Sequence[StepOutcome]
    verdicts: pl.DataFrame
    scores: pl.DataFrame
    closing: datetime

    @property
    def looks(self) -> dict[datetime, dict[str, Any]]:
        """The newest verdict of each origin, as JSON data."""
        rows = self.verdicts.select("as_of", "verdict").iter_rows()
        return {as_of: json.loads(verdict) for as_of, verdict in rows if verdict}

    @property
    def losses(self) -> dict[datetime, dict[str, float]]:
        """Origin of a look -> candidate -> mean backtest loss."""
        return {as_of: verdict["mean_losses"] for as_of, verdict in self.looks.items()}


def read_evidence(
    settings: Settings,
    problem: ForecastProblem,
    replay_id: str,
    steps: Sequence[StepOutcome],
    *,
    closing: datetime,
) -> Evidence:
    """The evidence of a replay that was looked back at.

    Args:
        settings: production's.
        problem: whose replay it is.
        replay_id: names the replay.
        steps: finished ones.
        closing: the instant of the last look.

    Raises:
        ReplayError: no step is finished, or nothing was scored.
    """
    folder = replay_folder(settings, replay_id)
    kept = TableStore(str(folder))
    if not steps or not kept.exists(SCORES):
        raise ReplayError(
            f"replay {replay_id!r} has {len(steps)} finished steps and "
            f"{'some' if kept.exists(SCORES) else 'no'} live scores; a ledger needs both; call "
            "the replay again, it goes on where it stopped"
        )
    own = TableStore(replay_settings(settings, replay_id).storage)
    table = table_name(champion_key(problem.name))
    return Evidence(
        steps=steps,
        verdicts=own.read(table) if own.exists(table) else empty_history(),
        scores=kept.read(SCORES),
        closing=closing,
    )


def build_ledger(
    evidence: Evidence, problem: ForecastProblem, *, replay_id: str, rule: Rule = "gate"
) -> ReplayLedger:
    """The ledger of a replay.

    Args:
        evidence: of its steps.
        problem: names leads and candidates.
        replay_id: names the replay.
        rule: whose champions are told; for another rule than the gate the champion of each origin
            is the one that this rule would have had.
    """
    held = reigns(rule, evidence.steps, evidence.losses, problem)
    rows = rows_of(evidence.scores, held, problem, until=evidence.closing)
    by_origin = {
        key[0]: live_error(part) for key, part in rows.group_by("step_origin", maintain_order=True)
    }
    looks, steps = evidence.looks, evidence.steps
    return ReplayLedger(
        replay_id=replay_id,
        start=steps[0].origin,
        end=steps[-1].origin,
        step_seconds=_typical_gap([*(s.origin for s in steps), evidence.closing]).total_seconds(),
        steps=len(steps),
        live=live_error(rows),
        rules=tuple(
            compare_rules(evidence.scores, steps, evidence.losses, problem, until=evidence.closing)
        ),
        rows=tuple(
            ReplayStep(
                **step.model_dump(exclude={"candidate", "version"}),
                candidate=reign.candidate,
                version=reign.version,
                reasons=tuple(looks.get(step.origin, {}).get("reasons", ())),
                live=by_origin.get(step.origin),
            )
            for step, reign in zip(steps, held, strict=True)
        ),
    )


def ledger_table(ledger: ReplayLedger) -> pl.DataFrame:
    """The ledger's rows as a table, grain (origin); errors in target units."""
    return pl.DataFrame(
        [_flat(row) for row in ledger.rows],
        schema={
            "origin": pl.Datetime("us", "UTC"),
            "candidate": pl.String,
            "version": pl.String,
            "decision": pl.String,
            "reasons": pl.List(pl.String),
            "triggers": pl.List(pl.String),
            "registered": pl.List(pl.Struct({"candidate": pl.String, "version": pl.String})),
            "control_alarm": pl.Boolean,
            "drift_alarm": pl.Boolean,
            "n": pl.Int64,
            **dict.fromkeys(_ERROR[1:], pl.Float64),
            "seconds": pl.Float64,
        },
    )


def write_ledger(settings: Settings, ledger: ReplayLedger, report: str) -> dict[str, Path]:
    """Write ledger, table and report into the replay's folder; what -> path.

    Args:
        settings: production's.
        ledger: of the gate.
        report: the page.
    """
    folder = replay_folder(settings, ledger.replay_id)
    TableStore(str(folder)).write(TABLE, ledger_table(ledger))
    files = FileStore(str(folder))
    files.write(REPORT, report.encode())
    files.write(LEDGER, ledger.model_dump_json(indent=2).encode())
    return {
        "ledger": folder / LEDGER,
        "table": folder / f"{TABLE}.parquet",
        "report": folder / REPORT,
    }


def cumulative_loss_difference(evidence: Evidence, problem: ForecastProblem) -> pl.DataFrame:
    """The champions' absolute error minus the last value's, summed up over valid times.

    Returns:
        Grain (valid_time): `difference`, in target units; below 0 the champions have erred less.
    """
    held = reigns("gate", evidence.steps, evidence.losses, problem)
    rows = rows_of(evidence.scores, held, problem, until=evidence.closing)
    gain = pl.col("absolute_error") - (pl.col("last_value") - pl.col("actual")).abs()
    return (
        rows.group_by("valid_time")
        .agg(gain.sum().alias("difference"))
        .sort("valid_time")
        .with_columns(pl.col("difference").cum_sum())
    )


def _flat(row: ReplayStep) -> Mapping[str, object]:
    live: Mapping[str, object] = row.live.model_dump() if row.live else dict.fromkeys(_ERROR)
    told = row.model_dump(exclude={"live", "registered"})
    registered = [{"candidate": c, "version": v} for c, v in row.registered.items()]
    return {**told, **live, "registered": registered}


def _typical_gap(origins: Sequence[datetime]) -> timedelta:
    """The median time between two origins."""
    gaps = sorted(later - earlier for earlier, later in pairwise(origins))
    return gaps[len(gaps) // 2]
