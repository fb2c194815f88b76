"""The page of drift and of live errors: how the champion does now, and what arrives now.

Here: controls and order of the page, and days added up. Not here: figures (`day_chart`).
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import frame
from dashboard.api import Document
from dashboard.day_chart import Line, days_chart
from dashboard.language import say
from dashboard.live_days import LiveDay, by_day, over_all
from dashboard.questions import ask, ask_all, problems, settings
from dashboard.stamps import instant, minute


def show() -> None:
    """The whole page."""
    problem = frame.head("live", problems())
    if problem is None:
        return
    name = problem["problem"]
    with frame.part("live_errors"):
        _live(name)
    with frame.part("variants"):
        _variants(name)
    with frame.part("drift"):
        _drift(name)
    _report_link(name)


def _live(problem: str) -> None:
    answer = ask_all(f"/v1/live-scores/{problem}")
    rows, unit = answer["rows"], answer["unit"]
    steps = sorted({row["step"] for row in rows})
    if not steps:
        st.info(say("nothing_came_true"), icon=":material/info:")
        return
    step = steps[0]
    if len(steps) > 1:
        step = st.selectbox(say("step"), steps, key=f"step-{problem}")
    days = by_day(rows, step=step, role="champion")
    if not days:
        st.info(say("nothing_came_true"), icon=":material/info:")
        return
    _figures(over_all(days), unit)
    at = [f"{instant(day.day):%Y-%m-%d}" for day in days]
    errors = [
        Line("mae", say("champion"), at, [day.mae for day in days]),
        Line("mae-last", say("saying_last"), at, [day.mae_last_value for day in days]),
    ]
    st.plotly_chart(
        days_chart(errors, title=f"MAE, {unit}"), key="live-mae", config=frame.CHART_CONFIG
    )
    coverage = [Line("coverage", say("coverage"), at, [day.coverage for day in days])]
    st.plotly_chart(
        days_chart(coverage, title=say("coverage"), share=True),
        key="live-coverage",
        config=frame.CHART_CONFIG,
    )
    st.caption(say("live_help"))


def _figures(total: LiveDay, unit: str) -> None:
    columns = st.columns(4)
    columns[0].metric(say("rows"), f"{total.n:,}")
    columns[1].metric(f"MAE, {unit}", frame.number(total.mae))
    ratio = total.mae / total.mae_last_value if total.mae and total.mae_last_value else None
    columns[2].metric(say("against_last"), frame.number(ratio, 4))
    columns[3].metric(say("coverage"), frame.percent(total.coverage))


def _variants(problem: str) -> None:
    answer = ask(f"/v1/answers/{problem}")
    unit = answer["unit"]
    frame.table(
        [
            {
                say("alias"): (row["alias"] or frame.DASH)
                + ("" if row["returned"] else " (shadow)"),
                say("whose"): f"{row['candidate']} v{row['version']}",
                say("answers"): f"{row['answers']:,}",
                say("rows"): f"{row['n']:,}",
                f"MAE, {unit}": frame.number(row["mae"]),
                say("coverage"): frame.percent(row["coverage"]),
                say("verdict"): row["verdict"],
            }
            for row in answer["rows"]
        ]
    )


def _alias(row: Document) -> str:
    return (row["alias"] or frame.DASH) + ("" if row["returned"] else f" ({say('shadow')})")


def _drift(problem: str) -> None:
    answer = ask(f"/v1/drift/{problem}")
    newest, history = answer["newest"], answer["history"]
    left, middle, right = st.columns(3)
    left.metric(say("drift_share"), frame.percent(newest["share_drifted"]))
    concept = {True: say("risen"), False: say("not_risen"), None: frame.DASH}[
        newest["concept_drift"]
    ]
    middle.metric(say("concept_drift"), concept)
    right.metric(say("report_of"), minute(newest["as_of"]))
    at = [f"{instant(row['as_of']):%Y-%m-%dT%H:%M:%S}" for row in history]
    shares = [Line("drift", say("drift_share"), at, [row["share_drifted"] for row in history])]
    st.plotly_chart(
        days_chart(shares, title=say("drift_share"), share=True),
        key="drift-share",
        config=frame.CHART_CONFIG,
    )
    frame.table(_columns(newest["columns"]))
    st.caption(say("drift_help"))


def _columns(columns: Sequence[Document]) -> list[dict[str, object]]:
    words = {True: f"● {say('drifted')}", False: say("steady"), None: say("not_judged")}
    # What drifted most stands first; what could not be judged, last.
    ordered = sorted(
        columns, key=lambda c: (c["drifted"] is not True, -(c["statistic"] or 0.0), c["feature"])
    )
    return [
        {
            say("feature"): column["feature"],
            say("distance"): frame.number(column["statistic"], 3),
            say("threshold"): frame.number(column["threshold"], 3),
            say("outcome"): words[column["drifted"]],
            say("rows"): f"{column['current_rows']:,} / {column['reference_rows']:,}",
        }
        for column in ordered
    ]


def _report_link(problem: str) -> None:
    st.link_button(
        say("open_evidently"),
        f"{settings().dagster_page}/assets/{problem}/drift_report",
        icon=":material/open_in_new:",
        help=say("evidently_help"),
    )
