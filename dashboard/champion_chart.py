"""The time line of champions.

Here: who held the alias from when to when, pure, and its figure. Not here: the page (`models`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go

from dashboard.api import Document
from dashboard.layers import PALETTE
from dashboard.stamps import instant

_SYMBOLS: Final = {
    "promote": "triangle-up",
    "refresh": "circle",
    "keep": "line-ns-open",
    "roll_back": "triangle-down",
}


@dataclass(frozen=True, slots=True)
class Reign:
    """One version holding the alias: instants as the API writes them."""

    candidate: str
    version: str
    since: str
    until: str


def reigns(verdicts: Sequence[Document], *, until: str) -> list[Reign]:
    """Who held the alias from when to when, ascending.

    Args:
        verdicts: of the API, the newest first; one without a candidate left nobody on the alias.
        until: where the last one's stretch ends.
    """
    found: list[Reign] = []
    for verdict in reversed(verdicts):
        holder = (str(verdict.get("candidate") or ""), str(verdict.get("version") or ""))
        since = verdict["as_of"]
        if found and (found[-1].candidate, found[-1].version) == holder:
            continue
        if found:
            last = found.pop()
            found.append(Reign(last.candidate, last.version, last.since, since))
        found.append(Reign(*holder, since, until))
    return [reign for reign in found if reign.candidate]


def timeline(verdicts: Sequence[Document], *, until: str) -> go.Figure:
    """A bar for each reign, a row for each candidate, and a mark for every verdict."""
    chart = go.Figure()
    names: list[str] = []
    for reign in reigns(verdicts, until=until):
        if reign.candidate not in names:
            names.append(reign.candidate)
        chart.add_scatter(
            x=[_at(reign.since), _at(reign.until)],
            y=[reign.candidate] * 2,
            mode="lines",
            line={"width": 16, "color": PALETTE[names.index(reign.candidate) % len(PALETTE)]},
            name=f"{reign.candidate} v{reign.version}",
            meta="reign",
            opacity=0.75,
            hovertemplate=f"{reign.candidate} v{reign.version}<extra></extra>",
        )
    told = [verdict for verdict in verdicts if verdict.get("candidate")]
    chart.add_scatter(
        x=[_at(verdict["as_of"]) for verdict in told],
        y=[verdict["candidate"] for verdict in told],
        mode="markers",
        meta="verdicts",
        marker={
            "size": 11,
            "color": "#222222",
            "line": {"width": 1, "color": "#ffffff"},
            "symbol": [_SYMBOLS.get(verdict["decision"], "diamond") for verdict in told],
        },
        customdata=[[verdict["decision"], _folded(verdict)] for verdict in told],
        hovertemplate="%{x}: %{customdata[0]}<br>%{customdata[1]}<extra></extra>",
    )
    chart.update_layout(
        height=120 + 46 * max(len(names), 1),
        showlegend=False,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
    chart.update_xaxes(title_text="UTC", type="date")
    return chart


def _at(text: str) -> str:
    return f"{instant(text):%Y-%m-%dT%H:%M:%S}"


def _folded(verdict: Document, width: int = 70) -> str:
    """The reasons in lines that fit beside the pointer."""
    lines, line = [], ""
    for word in " ".join(verdict.get("reasons") or ()).split():
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "<br>".join([*lines, line])
