"""The page of markets: candles, and whose forecasts are laid over them.

Here: controls and order of the page. Not here: the figure (`market_chart`), rows and errors of
what is laid over (`layers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from html import escape
from typing import Final

import streamlit as st

from dashboard import frame
from dashboard.api import ApiRefusalError, Document
from dashboard.language import say
from dashboard.layers import Layer, Span, accuracy, free_colour, rows_of
from dashboard.market_chart import Words, figure
from dashboard.questions import (
    Parameter,
    ask,
    ask_all,
    ask_now,
    has_candles,
    problems,
    series_of,
    settings,
    versions_of,
)
from dashboard.stamps import instant, minute

SPANS: Final = (3, 7, 30, 90)
"""Days that can be shown; the API publishes the newest 90."""

_DEFAULT_DAYS: Final = 7


def show() -> None:
    """The whole page."""
    with_candles = [p for p in problems() if has_candles(p["problem"])]
    problem = frame.head("market", with_candles)
    if problem is None:
        return
    series = _series(problem["problem"])
    refresh = settings().dashboard_refresh_seconds
    st.fragment(_newest, run_every=refresh)(problem, series)
    span = _span(problem, series)
    layers = _layers(problem["problem"])
    drawn = st.empty()
    _choose(problem["problem"], layers)
    _listed(layers)
    with drawn.container():
        _chart(problem, span, layers)
    st.caption(say("no_advice"))


def _series(problem: str) -> str:
    names = [str(row["series"]) for row in series_of(problem)]
    if len(names) == 1:
        return names[0]
    return st.selectbox(say("series"), names, key=f"series-{problem}")


def _span(problem: Document, series: str) -> Span:
    """Which days are shown."""
    last = instant(problem["as_of"]).date()
    left, right = st.columns(2)
    with left:
        days = st.segmented_control(
            say("days_shown"), SPANS, default=_DEFAULT_DAYS, required=True, key="days"
        )
    with right:
        until = st.date_input(
            say("until"),
            value=last,
            min_value=last - timedelta(days=max(SPANS)),
            max_value=last,
            key=f"until-{problem['problem']}",
        )
    end = datetime.combine(until, time(), UTC) + timedelta(days=1)
    # Up to now the interval stays open, so that the newest origin is always in it.
    before = None if until >= last else end
    return Span(problem["problem"], series, end - timedelta(days=days or _DEFAULT_DAYS), before)


def _newest(problem: Document, series: str) -> None:
    """The last value and the newest forecast, looked at again every few seconds."""
    with frame.excused():
        answer = ask_now(f"/v1/forecasts/{problem['problem']}/latest", series=series, horizon=1)
        forecast = answer["forecasts"][0]
        last = _last_candle(problem["problem"], series, forecast["last_observed"])
        columns = st.columns(4)
        columns[0].metric(
            say("last_value"),
            frame.number(None if last is None else last["close"]),
            help=say("valid_at", moment=minute(forecast["last_observed"])),
        )
        change = None if last is None else forecast["point"] - last["close"]
        columns[1].metric(
            say("next_forecast", moment=minute(forecast["valid_time"])[11:]),
            frame.number(forecast["point"]),
            delta=None if change is None else f"{change:+,.2f} {problem['unit']}",
            delta_color="off",
            help=say("made_by", candidate=forecast["candidate"], version=forecast["version"]),
        )
        share = f"{forecast['nominal_coverage']:.0%}"
        columns[2].metric(say("band_from", share=share), frame.number(forecast["lower"]))
        columns[3].metric(say("band_to", share=share), frame.number(forecast["upper"]))
        _follow(problem["problem"], forecast["origin"])


def _follow(problem: str, origin: str) -> None:
    """Draw the page anew when a newer origin is published than the one it was drawn with."""
    key = f"origin-{problem}"
    drawn = st.session_state.get(key)
    st.session_state[key] = origin
    if drawn is not None and drawn != origin:
        st.cache_data.clear()
        st.rerun()


def _last_candle(problem: str, series: str, valid_time: str) -> Document | None:
    query: dict[str, Parameter] = {"series": series, "from": valid_time, "limit": 1}
    try:
        rows = ask_now(f"/v1/observations/{problem}", **query)["rows"]
    except ApiRefusalError as refusal:
        if refusal.status != 404:
            raise
        return None
    return rows[0] if rows and rows[0]["close"] is not None else None


def _layers(problem: str) -> list[Layer]:
    """What is laid over; the champion to begin with."""
    key = f"layers-{problem}"
    if key not in st.session_state:
        st.session_state[key] = [Layer("champion")]
    held: list[Layer] = st.session_state[key]
    # Its name is a phrase, which changes with the reader's language.
    name = say("champion_stitched")
    held[:] = [replace(x, label=name) if x.kind == "champion" else x for x in held]
    return held


def _choose(problem: str, layers: list[Layer]) -> None:
    """Controls that add a layer."""
    with st.expander(say("add_forecasts"), icon=":material/add_chart:", expanded=True):
        champion, candidate, version = st.columns(3, vertical_alignment="bottom")
        with champion:
            st.caption(say("champion_help"))
            wanted = Layer("champion", label=say("champion_stitched"))
            _add_button("add_champion", wanted, layers)
        candidates, versions = _candidates(problem), _versions(problem)
        with candidate:
            name = st.selectbox(say("candidate"), candidates, key=f"candidate-{problem}")
            if name is not None:
                _add_button("add_candidate", Layer("candidate", name, name), layers)
        with version:
            number = st.selectbox(
                say("version_by_date"),
                list(versions),
                format_func=lambda number: versions.get(number, number),
                key=f"version-{problem}",
            )
            if number is not None:
                wanted = Layer("version", number, versions[number])
                _add_button("add_version", wanted, layers)


def _add_button(words: str, wanted: Layer, layers: list[Layer]) -> None:
    there = wanted.key in {layer.key for layer in layers}
    if st.button(say(words), key=words, disabled=there, width="stretch"):
        colour = free_colour(layers)
        layers.append(Layer(wanted.kind, wanted.name, wanted.label, colour))
        st.rerun()


def _candidates(problem: str) -> list[str]:
    """The candidates of the leaderboard; none where it is not published."""
    try:
        board = ask(f"/v1/leaderboard/{problem}")
    except ApiRefusalError as refusal:
        if refusal.status not in (404, 422):
            raise
        return []
    return [str(row["candidate"]) for row in board["rows"]]


def _versions(problem: str) -> dict[str, str]:
    """Each registered version -> its date, candidate, number and aliases; the newest first."""
    try:
        found = versions_of(problem)
    except ApiRefusalError as refusal:
        st.caption(say("refused", said=refusal))
        return {}
    return {
        str(row["version"]): " · ".join(
            [
                minute(row["as_of"] or row["created_at"]),
                row["candidate"] or "?",
                f"v{row['version']}",
                *row["aliases"],
            ]
        )
        for row in found
    }


def _listed(layers: list[Layer]) -> None:
    """The layers, each to be removed, or all."""
    if not layers:
        st.info(say("no_layers"), icon=":material/layers_clear:")
        return
    for layer in tuple(layers):
        name, button = st.columns([4, 1], vertical_alignment="center")
        name.markdown(f'<span style="color:{layer.colour}">⬤</span> {escape(layer.label)}',
                      unsafe_allow_html=True)  # fmt: skip
        if button.button(say("remove"), key=f"remove-{layer.key}", width="stretch"):
            layers.remove(layer)
            st.rerun()
    if st.button(say("clear"), key="clear", icon=":material/layers_clear:"):
        layers.clear()
        st.rerun()


def _chart(problem: Document, span: Span, layers: Sequence[Layer]) -> None:
    """The figure and the errors of what it shows."""
    period = timedelta(seconds=problem["frequency_seconds"])
    candles, values = _observed(span)
    drawn: list[tuple[Layer, Sequence[Document]]] = []
    for layer in layers:
        try:
            drawn.append((layer, rows_of(layer, span)))
        except ApiRefusalError as refusal:
            st.warning(f"{layer.label}: {refusal}", icon=":material/warning:")
    bands = st.toggle(say("show_bands"), value=True, key="bands")
    words = Words(say("price"), say("volume"), say("newest_forecast"), problem["unit"])
    chart = figure(candles, drawn, _newest_row(span), period=period, bands=bands, words=words)
    chart.update_layout(uirevision=f"{span.problem}/{span.series}/{span.since}")
    st.plotly_chart(chart, key="market-chart", config=frame.CHART_CONFIG)
    if not candles:
        st.info(say("no_candles_here"), icon=":material/info:")
    _errors(drawn, values, problem["unit"])


def _observed(span: Span) -> tuple[list[Document], dict[datetime, float]]:
    query = span.query
    try:
        rows = list(ask_all(f"/v1/observations/{span.problem}", **query)["rows"])
    except ApiRefusalError as refusal:
        if refusal.status != 404:
            raise
        rows = []
    closes = {instant(row["valid_time"]): row["close"] for row in rows}
    return rows, {moment: close for moment, close in closes.items() if close is not None}


def _newest_row(span: Span) -> Document | None:
    if span.before is not None:
        return None
    answer = ask_now(f"/v1/forecasts/{span.problem}/latest", series=span.series, horizon=1)
    return dict(answer["forecasts"][0])


def _errors(
    drawn: Sequence[tuple[Layer, Sequence[Document]]],
    values: dict[datetime, float],
    unit: str,
) -> None:
    """How what is shown did, beside the last value on the same hours."""
    rows = []
    for layer, forecasts in drawn:
        found = accuracy(forecasts, values)
        if found is None:
            continue
        ratio = found.mae / found.mae_last_value if found.mae_last_value else None
        rows.append(
            {
                say("whose"): layer.label,
                say("rows"): f"{found.n:,}",
                f"MAE, {unit}": frame.number(found.mae),
                f"RMSE, {unit}": frame.number(found.rmse),
                say("against_last"): frame.number(ratio, 4),
                say("coverage"): frame.percent(found.coverage),
            }
        )
    if rows:
        st.subheader(say("errors_shown"), anchor=False)
        frame.table(rows)
        st.caption(say("errors_help"))
