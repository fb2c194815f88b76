"""Charts of shares: lines by brand with forecasts and bands, and the heat map of segments.

Here: figures from rows of the API, pure. Not here: which rows (`search`), and the rule of the time
axis (`stamps`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import plotly.graph_objects as go

from dashboard.api import Document
from dashboard.layers import PALETTE
from dashboard.market_chart import transparent
from dashboard.stamps import minute, on_chart


def lines(
    observed: Mapping[str, Sequence[Document]],
    forecasts: Mapping[str, Sequence[Document]],
    past: Mapping[str, Sequence[Document]],
    *,
    period: timedelta,
    unit: str,
) -> go.Figure:
    """Each brand's observed shares, its newest forecasts with their band, and earlier ones.

    Args:
        observed: brand -> observations.
        forecasts: brand -> the newest forecasts, ascending by step.
        past: brand -> what champions said before, one step ahead; may be empty.
        period: length of a period.
        unit: of the shares.
    """
    chart = go.Figure()
    chart.update_layout(
        height=460,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="x unified",
    )
    chart.update_yaxes(title_text=unit)
    for place, brand in enumerate(observed):
        colour = PALETTE[place % len(PALETTE)]
        rows = observed[brand]
        chart.add_scatter(
            x=[on_chart(row["valid_time"], period) for row in rows],
            y=[row["value"] for row in rows],
            name=brand,
            meta=f"observed-{brand}",
            legendgroup=brand,
            mode="lines",
            line={"color": colour, "width": 2},
            hovertemplate="%{y:.2f}",
        )
        _draw_past(chart, brand, past.get(brand, ()), period, colour)
        _draw_forecasts(chart, brand, forecasts.get(brand, ()), period, colour)
    return chart


def heat_map(
    shares: Mapping[tuple[str, str], float | None], *, unit: str, height: int | None = None
) -> go.Figure:
    """(segment, brand) -> share, as a map with its figures written in."""
    segments = sorted({segment for segment, _ in shares}, reverse=True)
    brands = sorted({brand for _, brand in shares})
    grid = [[shares.get((segment, brand)) for brand in brands] for segment in segments]
    chart = go.Figure(
        go.Heatmap(
            x=brands,
            y=segments,
            z=grid,
            meta="segments",
            colorscale="Blues",
            texttemplate="%{z:.1f}",
            hovertemplate="%{y}<br>%{x}: %{z:.2f}<extra></extra>",
            colorbar={"title": unit, "thickness": 10},
        )
    )
    chart.update_layout(
        height=height or 80 + 34 * len(segments), margin={"l": 8, "r": 8, "t": 8, "b": 8}
    )
    return chart


def _draw_past(
    chart: go.Figure, brand: str, rows: Sequence[Document], period: timedelta, colour: str
) -> None:
    if not rows:
        return
    chart.add_scatter(
        x=[on_chart(row["valid_time"], period) for row in rows],
        y=[row["point"] for row in rows],
        name=brand,
        meta=f"past-{brand}",
        legendgroup=brand,
        showlegend=False,
        mode="markers",
        marker={"color": colour, "size": 5, "symbol": "x"},
        hovertemplate="%{y:.2f}",
    )


def _draw_forecasts(
    chart: go.Figure, brand: str, rows: Sequence[Document], period: timedelta, colour: str
) -> None:
    at = [on_chart(row["valid_time"], period) for row in rows]
    for side, fill in (("lower", None), ("upper", "tonexty")):
        chart.add_scatter(
            x=at,
            y=[row[side] for row in rows],
            name=f"{brand} {side}",
            meta=f"forecast-{brand}-{side}",
            legendgroup=brand,
            showlegend=False,
            hoverinfo="skip",
            mode="lines",
            line={"width": 0, "color": colour},
            fill=fill,
            fillcolor=transparent(colour, 0.2),
        )
    chart.add_scatter(
        x=at,
        y=[row["point"] for row in rows],
        name=brand,
        meta=f"forecast-{brand}",
        legendgroup=brand,
        showlegend=False,
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": "dot"},
        marker={"size": 5},
        customdata=[minute(row["origin"]) for row in rows],
        hovertemplate="→ %{y:.2f} (%{customdata})",
    )
