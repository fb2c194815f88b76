"""Questions to the API, their answers kept for some seconds.

Here: which answers are kept, and for how long. Not here: requests (`api`) and what is drawn.
"""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboard.api import Api, ApiRefusalError, Document
from dashboard.settings import DashboardSettings, load_dashboard_settings

KEPT_SECONDS: Final = 15
"""An answer is as old as this at most; errors are never kept."""

_VERSION_PAGE: Final = 200
_MOST_VERSION_PAGES: Final = 10

Parameter = str | int | None


@st.cache_resource(show_spinner=False)
def settings() -> DashboardSettings:
    """The settings of this process, read once."""
    return load_dashboard_settings()


@st.cache_resource(show_spinner=False)
def api() -> Api:
    """The client of this process: one, since its connections are shared."""
    held = settings()
    key = held.dashboard_api_key
    return Api(
        held.api_page,
        timeout_seconds=held.dashboard_timeout_seconds,
        key=None if key is None else key.get_secret_value(),
    )


def ask_now(path: str, **query: Parameter) -> Document:
    """A fresh answer to a GET."""
    return api().get(path, query)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=500, show_spinner=False)
def ask(path: str, **query: Parameter) -> Document:
    """The answer to a GET, kept for `KEPT_SECONDS`."""
    return api().get(path, query)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=500, show_spinner=False)
def ask_all(path: str, **query: Parameter) -> Document:
    """The answer with all rows of a listing, kept for `KEPT_SECONDS`."""
    return api().listing(path, query)


def problems() -> list[Document]:
    """The published problems, by name."""
    return list(ask("/v1/problems")["problems"])


def series_of(problem: str) -> list[Document]:
    """The series of a problem with their labels, by name."""
    return list(ask_all(f"/v1/problems/{problem}/series")["rows"])


def has_candles(problem: str) -> bool:
    """Whether a problem's target is a traded price; nothing observed: whether it has no labels."""
    try:
        rows = ask(f"/v1/observations/{problem}", limit=1)["rows"]
    except ApiRefusalError as refusal:
        if refusal.status != 404:
            raise
        rows = []
    if rows:
        return "close" in rows[0]
    return not any(p["series_keys"] for p in problems() if p["problem"] == problem)


def versions_of(problem: str) -> list[Document]:
    """The registered versions of a problem's model, the newest first."""
    path, found, after = f"/v1/models/{problem}/versions", list[Document](), None
    for _ in range(_MOST_VERSION_PAGES):
        page = ask(path, limit=_VERSION_PAGE, after=after)
        found += page["versions"]
        after = page["next"]
        if after is None:
            break
    return found
