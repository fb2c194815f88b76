"""A replay on one page: who was champion when and why, what it erred by, and the rules compared.

Here: drawing and writing. Not here: the figures (`ledger`, `rules`). The page is HTML without
scripts or outside files, readable in light and dark.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import polars as pl

from mlops_assets.evaluation.drawing import COLOURS, INK, named_ticks, new_figure, png, time_axis
from mlops_assets.problem import ForecastProblem
from mlops_assets.replay.rules import ratios
from serving.contract.evidence import LiveError, ReplayLedger, ReplayRule, ReplayStep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2733; --muted: #5b6875; --line: #dfe4ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --muted: #a3afbb; --line: #35414d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1140px;
  margin: 2rem auto; padding: 0 1rem; }
.muted { color: var(--muted); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
td.text, th.text { text-align: left; } td.reasons { text-align: left; white-space: normal;
  min-width: 22rem; }
figure { margin: 1rem 0; background: #ffffff; } figure img { width: 100%; height: auto; }
"""
_RULE_NAMES: Final = {
    "gate": "gate: significantly better, within an error budget",
    "lower": "lower: whoever has the lower mean backtest loss",
    "newest": "newest: the main recipe's newest fit, always",
}
_STEP_HEADINGS: Final = (
    "origin", "trigger", "verdict", "champion", "MAE / last", "RMSE / last", "coverage", "n",
    "seconds", "reasons",
)  # fmt: skip
_RULE_HEADINGS: Final = (
    "rule", "promotions", "churn", "versions", "MAE / last", "RMSE / last", "coverage", "n",
    "missing",
)  # fmt: skip


def replay_page(ledger: ReplayLedger, losses: pl.DataFrame, problem: ForecastProblem) -> str:
    """The page as text; every value is escaped.

    Args:
        ledger: of the replay.
        losses: running sum of the champion's absolute error minus the last value's
            (`ledger.cumulative_loss_difference`).
        problem: names title and unit.
    """
    title = f"{problem.title}: replay {ledger.replay_id}"
    pictures = [_champions(ledger)] + ([] if losses.is_empty() else [_losses(losses, problem)])
    body = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="muted">{ledger.steps} origins, {ledger.start:%Y-%m-%d %H:%M} to '
        f"{ledger.end:%Y-%m-%d %H:%M} UTC. The production assets ran at each with the clock set to "
        "it; each champion is scored on what it said until the next origin.</p>",
        "<h2>Rules on the same forecasts</h2>",
        _table(_RULE_HEADINGS, [_rule_cells(rule) for rule in ledger.rules]),
        '<p class="muted">Errors are over those of the last value on the same rows; below 1 is '
        "better. Promotions count the first one, churn the changes from one candidate to another. "
        "Missing: forecasts that a rule would have needed and nobody made.</p>",
        *(_figure(picture) for picture in pictures),
        "<h2>Origins</h2>",
        _table(_STEP_HEADINGS, [_step_cells(step) for step in ledger.rows]),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _champions(ledger: ReplayLedger) -> Figure:
    """Who held the alias from which origin to which; dots where a new version took it."""
    names = list(dict.fromkeys(row.candidate for row in ledger.rows if row.candidate is not None))
    figure, (axes,) = new_figure("Champion", "", height=1.2 + 0.4 * max(1, len(names)))
    rows = [row for row in ledger.rows if row.candidate is not None]
    for row, following in pairwise([*rows, None]):
        if row is None or row.candidate is None:
            continue
        place = names.index(row.candidate)
        end = following.origin if following else row.origin + _step(ledger)
        span = pl.Series([row.origin, end]).to_numpy()
        axes.plot(span, [place, place], color=COLOURS[place % len(COLOURS)], linewidth=6)
        if row.decision in {"promote", "roll_back"}:
            axes.plot(span[:1], [place], "o", color=INK, markersize=6)
    named_ticks(axes, names, along="y")
    axes.set_ylim(-0.6, max(0, len(names) - 1) + 0.6)
    time_axis(axes)
    return figure


def _step(ledger: ReplayLedger) -> timedelta:
    """How long the last champion is scored."""
    return timedelta(seconds=ledger.step_seconds or 0.0)


def _losses(losses: pl.DataFrame, problem: ForecastProblem) -> Figure:
    figure, (axes,) = new_figure(
        "Absolute error of the champions minus the last value's, summed up (falling: better)",
        problem.target_source.unit,
    )
    axes.axhline(0, color=INK, linewidth=1.2)
    axes.plot(losses["valid_time"].to_numpy(), losses["difference"].to_numpy(), color=COLOURS[0])
    time_axis(axes)
    return figure


def _step_cells(step: ReplayStep) -> list[str]:
    who = "-" if step.candidate is None else f"{step.candidate}, version {step.version}"
    told = "<br>".join(_text(reason) for reason in step.reasons)
    reasons = f"<details><summary>{len(step.reasons)}</summary>{told}</details>"
    return [
        _cell(f"{step.origin:%Y-%m-%d %H:%M}", "text"),
        _cell(", ".join(step.triggers) or "-", "text"),
        _cell((step.decision or "-").replace("_", " "), "text"),
        _cell(who, "text"),
        *_error_cells(step.live),
        _cell(f"{step.seconds:.1f}"),
        f'<td class="reasons">{reasons if step.reasons else "-"}</td>',
    ]


def _rule_cells(rule: ReplayRule) -> list[str]:
    counts = (rule.promotions, rule.churn, rule.versions)
    return [
        _cell(_RULE_NAMES.get(rule.rule, rule.rule), "text"),
        *(_cell(str(count)) for count in counts),
        *_error_cells(rule.live),
        _cell(str(rule.missing)),
    ]


def _error_cells(error: LiveError | None) -> list[str]:
    if error is None:
        return [_cell("-")] * 4
    shown = [_cell("-" if r is None else f"{r:.4f}") for r in ratios(error).values()]
    return [*shown, _cell(f"{error.coverage:.3f}"), _cell(f"{error.n:,}")]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th class="text">{_text(heading)}</th>' for heading in headings)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _figure(figure: Figure) -> str:
    data = base64.b64encode(png(figure)).decode()
    return f'<figure><img alt="" src="data:image/png;base64,{data}"></figure>'


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{_text(text)}</td>' if kind else f"<td>{_text(text)}</td>"


def _text(value: str) -> str:
    return html.escape(value)
