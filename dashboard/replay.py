"""The page of replays: what would have happened, origin by origin, and under other rules.

Here: controls and order of the page. Not here: figures (`day_chart`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import streamlit as st

from dashboard import frame
from dashboard.api import Document
from dashboard.day_chart import Line, days_chart
from dashboard.language import say
from dashboard.questions import ask, problems
from dashboard.stamps import instant, minute

_LEDGER_HEIGHT: Final = 480
"""Pixels of the ledger before it scrolls."""

_LEDGER_ROWS: Final = 10
"""Rows of a ledger that never scrolls."""

_RULES: Final = {"gate", "lower", "newest"}


def show() -> None:
    """The whole page."""
    problem = frame.head("replay", problems())
    if problem is None:
        return
    name = problem["problem"]
    with frame.part("replays"):
        found = {row["replay_id"]: row for row in ask(f"/v1/replays/{name}")["rows"]}
        if not found:
            st.info(say("no_replays"), icon=":material/info:")
            st.code(f"mlops replay {name} --from 2024-02-01 --to 2025-06-12 --every 7d")
            return
        chosen = st.selectbox(
            say("replay_of"),
            list(found),
            format_func=lambda replay: _label(found[replay]),
            key=f"replay-{name}",
        )
        answer = ask(f"/v1/replays/{name}/{chosen}")
        _outcome(answer["replay"], answer["unit"])
        _rules(answer["replay"], answer["unit"])
        _ledger(answer["replay"]["rows"])


def _label(row: Document) -> str:
    span = say("from_to", low=minute(row["start"])[:10], high=minute(row["end"])[:10])
    return f"{row['replay_id']} · {span} · {row['steps']}"


def _outcome(replay: Document, unit: str) -> None:
    """What came true over the whole replay."""
    live = replay.get("live")
    if live is None:
        st.info(say("nothing_came_true"), icon=":material/info:")
        return
    columns = st.columns(4)
    columns[0].metric(say("rows"), f"{live['n']:,}")
    columns[1].metric(f"MAE, {unit}", frame.number(live["mae"]))
    columns[2].metric(say("rmse_ratio"), frame.number(_ratio(live), 4))
    columns[3].metric(say("coverage"), frame.percent(live["coverage"]))


def _rules(replay: Document, unit: str) -> None:
    """The gate beside simpler rules on the same forecasts."""
    rules = replay.get("rules") or ()
    if not rules:
        return
    st.subheader(say("rules_compared"), anchor=False)
    frame.table([_rule(row, unit) for row in rules])
    st.caption(say("rules_help"))


def _rule(row: Document, unit: str) -> dict[str, object]:
    live = row["live"]
    name = row["rule"]
    return {
        say("rule"): say(f"rule_{name}") if name in _RULES else name,
        say("promotions"): f"{row['promotions']:,}",
        say("churn"): f"{row['churn']:,}",
        f"MAE, {unit}": frame.DASH if live is None else frame.number(live["mae"]),
        say("rmse_ratio"): frame.DASH if live is None else frame.number(_ratio(live), 4),
        say("coverage"): frame.DASH if live is None else frame.percent(live["coverage"]),
        say("missing"): f"{row['missing']:,}",
    }


def _ratio(live: Document) -> float | None:
    return live["rmse"] / live["rmse_last_value"] if live["rmse_last_value"] else None


def _ledger(rows: Sequence[Document]) -> None:
    """Every origin, the newest first, and the live ratio over time."""
    st.subheader(say("ledger"), anchor=False)
    told = [row for row in rows if row.get("live")]
    if told:
        at = [f"{instant(row['origin']):%Y-%m-%dT%H:%M:%S}" for row in told]
        line = Line("ratio", say("rmse_ratio"), at, [_ratio(row["live"]) for row in told])
        st.plotly_chart(
            days_chart([line], title=say("rmse_ratio"), level=1.0),
            key="replay-ratio",
            config=frame.CHART_CONFIG,
        )
    height: int | Literal["content"] = _LEDGER_HEIGHT if len(rows) > _LEDGER_ROWS else "content"
    frame.table([_step(row) for row in reversed(rows)], height=height)


def _step(row: Document) -> dict[str, object]:
    live = row.get("live")
    version = row["version"]
    return {
        say("origin"): minute(row["origin"]),
        say("triggers"): ", ".join(row["triggers"]) or frame.DASH,
        say("decision"): row["decision"] or frame.DASH,
        say("champion"): (row["candidate"] or frame.DASH) + (f" v{version}" if version else ""),
        say("rmse_ratio"): frame.DASH if live is None else frame.number(_ratio(live), 4),
        say("reasons"): " ".join(row.get("reasons") or ()) or frame.DASH,
    }
