"""Figures over days: errors, coverage, drift.

Here: one form of figure. Not here: what is drawn (`live`, `replay`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.layers import PALETTE


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a figure."""

    key: str
    name: str
    at: Sequence[str]
    """Days or instants, UTC, without zone."""
    values: Sequence[float | None]


def days_chart(
    lines: Sequence[Line], *, title: str, share: bool = False, level: float | None = None
) -> go.Figure:
    """Lines over time.

    Args:
        lines: each a colour of its own.
        title: of the axis of values.
        share: whether values are between 0 and 1, and are written in percent.
        level: a value that is marked by a line across, if any.
    """
    chart = go.Figure()
    for place, line in enumerate(lines):
        chart.add_scatter(
            x=list(line.at),
            y=list(line.values),
            name=line.name,
            meta=line.key,
            mode="lines+markers",
            marker={"size": 5},
            line={"color": PALETTE[place % len(PALETTE)]},
        )
    if level is not None:
        chart.add_hline(y=level, line={"dash": "dot", "width": 1, "color": "#888888"})
    chart.update_layout(
        height=280,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        showlegend=len(lines) > 1,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="x unified",
    )
    chart.update_yaxes(title_text=title)
    chart.update_xaxes(type="date")
    if share:
        chart.update_yaxes(tickformat=".0%", range=[-0.03, 1.03])
    return chart
