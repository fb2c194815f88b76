"""How a replay looks: one line for each step, the rules' comparison, the list of replays, JSON.

Here: Rich and JSON only. Not here: what is replayed (`cli.replay`) and where the figures come from
(`mlops_assets.replay`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.replay.progress import StepOutcome
from mlops_assets.replay.rules import Rule, ratios
from mlops_assets.replay.span import Span, duration_text
from serving.contract.evidence import LiveError, ReplayLedger

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass(frozen=True)
class Replayed:
    """What a replay came to.

    Attributes:
        ledger: by the rule that was asked for.
        steps: as they were played.
        candidates: each candidate's live errors, had its newest fit always held the alias.
        wall_seconds: time that this call took.
        files: what was written -> where.
    """

    ledger: ReplayLedger
    steps: Sequence[StepOutcome]
    candidates: Mapping[str, LiveError | None]
    wall_seconds: float
    files: dict[str, Path]

    def to_json(self) -> str:
        """The outcome on one line: `ledger`, `live`, `rules`, `candidates`, `seconds`, `files`."""
        content = {
            "replay_id": self.ledger.replay_id,
            "ledger": [row.model_dump(mode="json") for row in self.ledger.rows],
            "live": error_figures(self.ledger.live),
            "rules": {
                rule.rule: {
                    **rule.model_dump(include={"promotions", "churn", "versions", "missing"}),
                    **error_figures(rule.live),
                }
                for rule in self.ledger.rules
            },
            "candidates": {name: error_figures(e) for name, e in self.candidates.items()},
            "seconds": self.seconds,
            "files": {what: str(path) for what, path in self.files.items()},
        }
        return json.dumps(content, ensure_ascii=False, allow_nan=False)

    @property
    def seconds(self) -> dict[str, float]:
        """Time of this call, and of the steps whenever they were played."""
        first, *later = (step.seconds for step in self.steps)
        return {
            "wall": round(self.wall_seconds, 1),
            "steps": round(first + sum(later), 1),
            "first_step": round(first, 1),
            "mean_later_step": round(sum(later) / len(later), 2) if later else 0.0,
        }


def step_line(outcome: StepOutcome, *, number: int, total: int, left: float) -> str:
    """One finished step in words.

    Args:
        outcome: of the step.
        number: its place, from 1.
        total: number of steps.
        left: estimated seconds until the last one is done.
    """
    champion = (
        "no champion"
        if outcome.candidate is None
        else f"{outcome.candidate} version {outcome.version}"
    )
    triggers = f" ({', '.join(outcome.triggers)})" if outcome.triggers else ""
    decision = (outcome.decision or "no look").replace("_", " ")
    return (
        f"{number:>{len(str(total))}} of {total}  {outcome.origin:%Y-%m-%d %H:%M}  {champion}, "
        f"{decision}{triggers}, {outcome.seconds:.1f} s, {_span_text(left)} left"
    )


def error_figures(error: LiveError | None) -> dict[str, float | int | None]:
    """Live errors as they are told in JSON; null where nothing came true."""
    if error is None:
        names = ("mae", "rmse", "mae_ratio_to_last_value", "rmse_ratio_to_last_value", "coverage")
        return {**dict.fromkeys(names), "n": 0}
    return {
        "mae": error.mae,
        "rmse": error.rmse,
        **ratios(error),
        "coverage": error.coverage,
        "n": error.n,
    }


def show(done: Replayed, rule: Rule, unit: str, console: Console) -> None:
    """Print the comparison of the rules and where the ledger lies."""
    console.print(_rules_table(done.ledger, rule, unit))
    for what, path in done.files.items():
        console.print(f"{what}: {path}", markup=False, highlight=False, soft_wrap=True)


def replays_table(rows: Sequence[dict[str, Any]]) -> Table:
    """The known replays, one a line."""
    from rich.table import Table

    table = Table(title="Replays", title_justify="left")
    table.add_column("id", overflow="fold")
    for name in ("problem", "steps", "first origin", "last origin", "champion", "ledger"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row["replay_id"],
            row["problem"],
            str(row["steps"]),
            row["start"][:10],
            row["end"][:10],
            row["champion"] or "-",
            "yes" if row["ledger"] else "not yet",
        )
    return table


@contextmanager
def step_progress(
    console: Console, replay_id: str, span: Span
) -> Iterator[Callable[[StepOutcome], None]]:
    """A function that tells of each finished step: lines, and below them a bar on a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    say(f"Replay {replay_id}: {len(span)} origins, every {duration_text(span.every)}")
    places = {origin: number for number, origin in enumerate(span.origins, start=1)}
    spent: list[float] = []
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("steps", total=len(span))

        def tell(outcome: StepOutcome) -> None:
            spent.append(outcome.seconds)
            number = places[outcome.origin]
            left = _typical(spent) * (len(span) - number)
            say(step_line(outcome, number=number, total=len(span), left=left))
            bar.update(task, completed=number)

        yield tell


def _typical(spent: Sequence[float]) -> float:
    """Seconds that a step takes; the first one of a replay takes far longer than the others."""
    return sum(spent[1:]) / len(spent[1:]) if len(spent) > 1 else spent[0]


def _span_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _rules_table(ledger: ReplayLedger, asked: Rule, unit: str) -> Table:
    from rich.table import Table

    table = Table(
        title=f"{ledger.replay_id}: rules on the same forecasts, errors over the last value's",
        caption=f"* as asked. Errors in {unit}; below 1 is better.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("rule")
    for name in ("promotions", "churn", "MAE", "RMSE", "coverage", "n", "missing"):
        table.add_column(name, justify="right")
    for rule in ledger.rules:
        figures = error_figures(rule.live)
        mae, rmse = figures["mae_ratio_to_last_value"], figures["rmse_ratio_to_last_value"]
        table.add_row(
            f"{rule.rule} *" if rule.rule == asked else rule.rule,
            str(rule.promotions),
            str(rule.churn),
            "-" if mae is None else f"{mae:.4f}",
            "-" if rmse is None else f"{rmse:.4f}",
            "-" if rule.live is None else f"{rule.live.coverage:.3f}",
            f"{figures['n']:,}",
            str(rule.missing),
        )
    return table
