"""The page of models: who is how good, who held the alias when and why, and every version's card.

Here: controls and order of the page. Not here: the figure of the champions (`champion_chart`).
"""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from dashboard import frame
from dashboard.api import Document
from dashboard.champion_chart import timeline
from dashboard.language import say
from dashboard.questions import ask, ask_all, problems, settings, versions_of
from dashboard.stamps import minute

SIGNIFICANT: Final = 0.05
"""A smaller p-value is called significant on this page; the gate has its own budget."""

_SHOWN_VERDICTS: Final = 20
_SHOWN_DIGITS: Final = 4


def show() -> None:
    """The whole page."""
    problem = frame.head("models", problems())
    if problem is None:
        return
    _links(problem["problem"])
    with frame.part("leaderboard"):
        _leaderboard(problem)
    with frame.part("champions"):
        _champions(problem)
    with frame.part("versions"):
        _versions(problem["problem"])


def _links(problem: str) -> None:
    held = settings()
    left, right = st.columns(2)
    left.link_button(
        say("open_mlflow"),
        f"{held.mlflow_page}/#/experiments?workflowType=machine_learning",
        icon=":material/open_in_new:",
        width="stretch",
    )
    right.link_button(
        say("open_dagster"),
        f"{held.dagster_page}/assets/{problem}/champion",
        icon=":material/open_in_new:",
        width="stretch",
    )


def _leaderboard(problem: Document) -> None:
    board = ask(f"/v1/leaderboard/{problem['problem']}")
    unit = board["unit"]
    frame.table(
        [
            {
                say("candidate"): row["candidate"] + (" ◦" if row["baseline"] else ""),
                f"MAE, {unit}": frame.number(row["mae"], _SHOWN_DIGITS),
                f"RMSE, {unit}": frame.number(row["rmse"], _SHOWN_DIGITS),
                say("skill"): frame.DASH if row["skill"] is None else f"{row['skill']:+.2%}",
                say("p_value"): frame.DASH if row["p_value"] is None else f"{row['p_value']:.2g}",
                say("significance"): _significance(row),
                say("coverage"): frame.percent(row["coverage"]),
                say("rows"): f"{row['n']:,}",
            }
            for row in board["rows"]
        ]
    )
    st.caption(say("leaderboard_help", alpha=SIGNIFICANT))


def _significance(row: Document) -> str:
    if row["baseline"]:
        return say("baseline")
    better = row["p_value"] is not None and row["p_value"] < SIGNIFICANT
    return say("better") if better else say("not_shown")


def _champions(problem: Document) -> None:
    found = list(ask_all(f"/v1/verdicts/{problem['problem']}")["rows"])
    chart = timeline(found, until=problem["as_of"])
    st.plotly_chart(chart, key="champions", config=frame.CHART_CONFIG)
    st.caption(say("champions_help"))
    frame.table(
        [
            {
                say("moment"): minute(row["as_of"]),
                say("decision"): row["decision"],
                say("champion"): _holder(row),
                say("reasons"): " ".join(row.get("reasons") or ()),
            }
            for row in found[:_SHOWN_VERDICTS]
        ],
    )


def _holder(row: Document) -> str:
    version = row.get("version")
    return f"{row.get('candidate') or frame.DASH}" + ("" if version is None else f" v{version}")


def _versions(problem: str) -> None:
    found = {str(row["version"]): row for row in versions_of(problem)}
    if not found:
        st.info(say("no_versions"), icon=":material/info:")
        return
    version = st.selectbox(
        say("version"),
        list(found),
        format_func=lambda number: _label(found[number]),
        key=f"card-{problem}",
    )
    answer = ask(f"/v1/models/{problem}/versions/{version}")
    for key in ("refusal", "misfit"):
        if answer[key]:
            st.warning(f"{say(key)}: {answer[key]}", icon=":material/warning:")
    _card(answer)


def _label(row: Document) -> str:
    day = minute(row["as_of"] or row["created_at"])
    return " · ".join([f"v{row['version']}", row["candidate"] or "?", day, *row["aliases"]])


def _card(answer: Document) -> None:
    """What a version was fitted on, what it takes in, and where its run can be seen."""
    card: dict[str, Any] | None = answer["card"]
    held = settings()
    name, version = answer["model_name"], answer["version"]
    links = [f"[MLflow]({held.mlflow_page}/#/models/{name}/versions/{version})"]
    if card is None:
        st.markdown(" · ".join(links))
        return
    links.append(f"[{say('dagster_run')}]({held.dagster_page}/runs/{card['dagster_run_id']})")
    st.markdown(" · ".join(links))
    rows = {
        "candidate": card["candidate"],
        "aliases": ", ".join(answer["aliases"]) or frame.DASH,
        "refit_at": minute(card["refit_at"]),
        "training_span": say(
            "from_to", low=minute(card["training_start"]), high=minute(card["training_end"])
        ),
        "training_rows": f"{card['training_rows']:,}",
        "recipe": card["recipe_id"],
        "data_version": ", ".join(f"{k}: {v}" for k, v in card["data_versions"].items()),
        "code": f"{card['code_version']} · {card['git_revision'][:12]}",
        "data_kind": say("synthetic") if card["synthetic"] else say("observed_data"),
    }
    frame.table(
        [{say("what"): say(key), say("value"): text} for key, text in rows.items()],
    )
    with st.expander(say("features_of", n=len(card["features"]))):
        frame.table(
            [
                {say("feature"): f["name"], say("unit"): f["unit"], say("source"): f["source"]}
                for f in card["features"]
            ]
        )
