"""The page of shares: brands in one group of people, all groups at once, one question answered.

Here: controls and order of the page. Not here: the figures (`share_chart`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import streamlit as st

from dashboard import frame
from dashboard.api import ApiRefusalError, Document
from dashboard.language import say
from dashboard.questions import api, ask, ask_all, problems, series_of
from dashboard.share_chart import heat_map, lines
from dashboard.stamps import day_of, instant, minute, written

KEYS: Final = frozenset({"age_group", "brand", "gender"})
"""Labels that the series of a problem have on this page."""

SPANS: Final = (14, 30, 90)
"""Days that can be shown."""

_DEFAULT_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Panel:
    """A problem of shares and its series."""

    problem: Document
    labels: Mapping[str, Mapping[str, str]]
    """Series -> key -> label."""
    forecasts: Sequence[Document]
    """The newest, of every series."""

    @property
    def name(self) -> str:
        """The problem's name."""
        return str(self.problem["problem"])

    @property
    def period(self) -> timedelta:
        """Length of a period."""
        return timedelta(seconds=self.problem["frequency_seconds"])

    def known(self, key: str) -> list[str]:
        """The labels under a key, ascending."""
        return sorted({labels[key] for labels in self.labels.values()})


def show() -> None:
    """The whole page."""
    problem = frame.head("search", [p for p in problems() if set(p["series_keys"]) >= KEYS])
    if problem is None:
        return
    name = problem["problem"]
    panel = Panel(
        problem,
        {row["series"]: row["labels"] for row in series_of(name)},
        ask(f"/v1/forecasts/{name}/latest")["forecasts"],
    )
    with frame.part("shares_by_brand"):
        _by_brand(panel)
    with frame.part("heat_map"):
        _segments(panel)
    with frame.part("predict"):
        _form(panel)


def _by_brand(panel: Panel) -> None:
    gender_column, age_column, days_column = st.columns(3)
    with gender_column:
        gender = st.selectbox(say("gender"), panel.known("gender"), key="gender")
    with age_column:
        age_group = st.selectbox(say("age_group"), panel.known("age_group"), key="age-group")
    with days_column:
        days = st.segmented_control(
            say("days_shown"), SPANS, default=_DEFAULT_DAYS, required=True, key="share-days"
        )
    with_past = st.toggle(say("with_past"), key="with-past", help=say("with_past_help"))
    chosen = {
        labels["brand"]: series
        for series, labels in panel.labels.items()
        if labels["gender"] == gender and labels["age_group"] == age_group
    }
    since = written(instant(panel.problem["as_of"]) - timedelta(days=days or _DEFAULT_DAYS))
    observed = _observed(panel, since)
    past = _past(panel, chosen, since) if with_past else {}
    chart = lines(
        {brand: observed.get(series, []) for brand, series in sorted(chosen.items())},
        {brand: _newest(panel, series) for brand, series in chosen.items()},
        past,
        period=panel.period,
        unit=panel.problem["unit"],
    )
    st.plotly_chart(chart, key="share-lines", config=frame.CHART_CONFIG)
    if not observed:
        st.info(say("no_values_here"), icon=":material/info:")
    st.caption(say("share_lines_help"))


def _observed(panel: Panel, since: str) -> dict[str, list[Document]]:
    """Series -> observations; empty where none are published."""
    try:
        rows = ask_all(f"/v1/observations/{panel.name}", **{"from": since})["rows"]
    except ApiRefusalError as refusal:
        if refusal.status != 404:
            raise
        rows = []
    found: dict[str, list[Document]] = {}
    for row in rows:
        found.setdefault(row["series"], []).append(row)
    return found


def _past(panel: Panel, chosen: Mapping[str, str], since: str) -> dict[str, list[Document]]:
    """Brand -> what champions said one step ahead; says so where none are published."""
    path = f"/v1/forecasts/{panel.name}/champion"
    try:
        return {
            brand: list(ask_all(path, series=series, step=1, **{"from": since})["rows"])
            for brand, series in chosen.items()
        }
    except ApiRefusalError as refusal:
        if refusal.status != 404:
            raise
        st.info(say("not_published", remedy=refusal.remedy), icon=":material/info:")
        return {}


def _newest(panel: Panel, series: str) -> list[Document]:
    return [row for row in panel.forecasts if row["series"] == series]


def _segments(panel: Panel) -> None:
    days = sorted({day_of(row["valid_time"], panel.period) for row in panel.forecasts})
    day = st.selectbox(
        say("forecast_day"), days, format_func=lambda found: found.isoformat(), key="heat-day"
    )
    shares = {}
    for row in panel.forecasts:
        if day_of(row["valid_time"], panel.period) == day:
            labels = panel.labels[row["series"]]
            shares[f"{labels['gender']} · {labels['age_group']}", labels["brand"]] = row["point"]
    chart = heat_map(shares, unit=panel.problem["unit"])
    st.plotly_chart(chart, key="heat-map", config=frame.CHART_CONFIG)


def _form(panel: Panel) -> None:
    days = sorted({day_of(row["valid_time"], panel.period) for row in panel.forecasts})
    with st.form("predict", border=True):
        columns = st.columns(4)
        day: date = columns[0].date_input(say("date"), value=days[0], key="predict-day")
        age_group = columns[1].selectbox(
            say("age_group"), panel.known("age_group"), key="predict-age-group"
        )
        gender = columns[2].selectbox(say("gender"), panel.known("gender"), key="predict-gender")
        brand = columns[3].selectbox(say("brand"), panel.known("brand"), key="predict-brand")
        asked = st.form_submit_button(say("ask_share"), type="primary")
    if not asked:
        st.caption(say("predict_help"))
        return
    question = {
        "date": day.isoformat(),
        "age_group": age_group,
        "gender": gender,
        "brand": brand,
    }
    answer = api().post("/predict", question)["forecasts"][0]
    unit, point = panel.problem["unit"], frame.number(answer["point"])
    left, right = st.columns(2)
    left.metric(f"{brand} · {gender} · {age_group} · {day}", f"{point} {unit}")
    share = f"{answer['nominal_coverage']:.0%}"
    right.metric(say("band", share=share), frame.between(answer["lower"], answer["upper"]))
    st.caption(
        say("made_by", candidate=answer["candidate"], version=answer["version"])
        + f" · {minute(answer['origin'])} UTC"
    )
