"""The chart of a market: candles, volume and forecasts laid over.

Here: a figure from rows of the API, pure. Not here: which rows (`layers`, `market`), and the rule
of the time axis (`stamps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.api import Document
from dashboard.layers import Layer
from dashboard.stamps import minute, on_chart

RISING: Final = "#2a9d8f"
FALLING: Final = "#e4572e"
NEWEST: Final = "#d62ad0"
HEIGHT: Final = 560
"""Pixels."""


@dataclass(frozen=True, slots=True)
class Words:
    """What the chart says, in the reader's language."""

    price: str
    volume: str
    newest: str
    unit: str


def figure(
    candles: Sequence[Document],
    layers: Sequence[tuple[Layer, Sequence[Document]]],
    newest: Document | None,
    *,
    period: timedelta,
    bands: bool,
    words: Words,
) -> go.Figure:
    """Candles with volume below, each layer as a line with its band, the newest forecast marked.

    Args:
        candles: observations of one series.
        layers: each with its forecasts of one series and step.
        newest: the newest forecast of the champion.
        period: length of a bar.
        bands: whether bands are drawn.
        words: names of the axes and traces.
    """
    chart = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.8, 0.2])
    chart.update_layout(
        height=HEIGHT,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="x unified",
        bargap=0.1,
    )
    chart.update_xaxes(rangeslider_visible=False)
    chart.update_xaxes(title_text="UTC", row=2, col=1)
    chart.update_yaxes(title_text=words.unit, row=1, col=1)
    chart.update_yaxes(title_text=words.volume, row=2, col=1)
    _draw_candles(chart, candles, period, words)
    for layer, rows in layers:
        _draw_layer(chart, layer, rows, period, bands=bands)
    if newest is not None:
        _draw_newest(chart, newest, period, words)
    return chart


def _draw_candles(
    chart: go.Figure, candles: Sequence[Document], period: timedelta, words: Words
) -> None:
    at = [on_chart(row["valid_time"], period) for row in candles]
    prices = {name: [row[name] for row in candles] for name in ("open", "high", "low", "close")}
    chart.add_trace(
        go.Candlestick(
            x=at,
            **prices,
            name=words.price,
            increasing={"line": {"color": RISING, "width": 1}},
            decreasing={"line": {"color": FALLING, "width": 1}},
        ),
        row=1,
        col=1,
    )
    rises = [(row["close"] or 0) >= (row["open"] or 0) for row in candles]
    chart.add_trace(
        go.Bar(
            x=at,
            y=[row["volume"] for row in candles],
            name=words.volume,
            marker={"color": [RISING if up else FALLING for up in rises], "line": {"width": 0}},
            opacity=0.6,
            showlegend=False,
        ),
        row=2,
        col=1,
    )


def _draw_layer(
    chart: go.Figure, layer: Layer, rows: Sequence[Document], period: timedelta, *, bands: bool
) -> None:
    at = [on_chart(row["valid_time"], period) for row in rows]
    group = {"legendgroup": layer.key, "hoverinfo": "skip", "showlegend": False}
    if bands:
        for side, fill in (("lower", None), ("upper", "tonexty")):
            chart.add_trace(
                go.Scatter(
                    x=at,
                    y=[row[side] for row in rows],
                    name=f"{layer.label} {side}",
                    meta=f"{layer.key}-{side}",
                    mode="lines",
                    line={"width": 0, "color": layer.colour},
                    fill=fill,
                    fillcolor=transparent(layer.colour),
                    **group,
                ),
                row=1,
                col=1,
            )
    chart.add_trace(
        go.Scatter(
            x=at,
            y=[row["point"] for row in rows],
            name=layer.label,
            meta=layer.key,
            mode="lines+markers",
            marker={"size": 4},
            line={"width": 1.6, "color": layer.colour},
            legendgroup=layer.key,
            customdata=[
                [minute(row["origin"]), minute(row["valid_time"]), row["version"]] for row in rows
            ],
            hovertemplate="%{y:,.2f} (%{customdata[0]} → %{customdata[1]}, v%{customdata[2]})",
        ),
        row=1,
        col=1,
    )


def _draw_newest(chart: go.Figure, newest: Document, period: timedelta, words: Words) -> None:
    point = newest["point"]
    chart.add_trace(
        go.Scatter(
            x=[on_chart(newest["valid_time"], period)],
            y=[point],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [newest["upper"] - point],
                "arrayminus": [point - newest["lower"]],
                "thickness": 1.5,
            },
            name=words.newest,
            meta="newest",
            mode="markers",
            marker={"symbol": "diamond", "size": 9, "color": NEWEST},
            hovertemplate="%{y:,.2f}",
        ),
        row=1,
        col=1,
    )


def transparent(colour: str, share: float = 0.14) -> str:
    """A colour `#rrggbb` that lets what is below shine through."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
