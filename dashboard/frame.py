"""What every page shares: its head, the choice of a problem, and what is said when nothing comes.

Here: the frame around a page. Not here: the pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

import streamlit as st

from dashboard.api import ApiDownError, ApiRefusalError, ApiSlowError, Document
from dashboard.language import say
from dashboard.questions import settings
from dashboard.stamps import minute

CHART_CONFIG: Final[dict[str, Any]] = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "toImage"],
}
"""Of every Plotly chart: no link to anywhere, and no tool that nothing answers to."""

DASH: Final = "—"
"""Stands where a figure is not known."""

_HOUR: Final = 3600.0
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~$:.-])")


@contextmanager
def excused() -> Iterator[None]:
    """Say in words what to do when the API does not answer, in place of what was to be shown."""
    try:
        yield
    except ApiDownError as error:
        st.error(say("api_down", address=error), icon=":material/cloud_off:")
        st.code("mlops up\n# or the API alone:\npython -m serving", language="bash")
        st.button(say("try_again"), key="try-again")
    except ApiSlowError as error:
        seconds = settings().dashboard_timeout_seconds
        st.error(say("api_slow", path=error, seconds=f"{seconds:g}"), icon=":material/timer:")
        st.button(say("try_again"), key="try-again")
    except ApiRefusalError as refusal:
        _refused(refusal)


@contextmanager
def part(heading: str) -> Iterator[None]:
    """A part of a page under its heading; what is not published leaves the other parts alone."""
    st.subheader(say(heading), anchor=False)
    try:
        yield
    except ApiRefusalError as refusal:
        _refused(refusal)


def head(title: str, problems: Sequence[Document]) -> Document | None:
    """The page's title, the chosen problem and its badges; None where no problem fits the page."""
    st.title(say(title), anchor=False)
    if not problems:
        st.info(say(f"no_problem_{title}"), icon=":material/info:")
        st.code(f"mlops run {_EXAMPLE.get(title, 'bitcoin_close')}", language="bash")
        return None
    names = [str(problem["problem"]) for problem in problems]
    titles = {str(problem["problem"]): str(problem["title"]) for problem in problems}
    chosen = names[0]
    if len(names) > 1:
        chosen = st.selectbox(
            say("problem"), names, format_func=titles.__getitem__, key=f"problem-{title}"
        )
    else:
        st.markdown(f"**{titles[chosen]}**")
    problem = problems[names.index(chosen)]
    _badges(problem)
    return problem


def table(
    rows: Sequence[Mapping[str, object]], *, height: int | Literal["content"] = "content"
) -> None:
    """A table of ready texts: real text in the page, so that it can be read and copied.

    Args:
        rows: column -> text, all with the same columns.
        height: pixels from which on it scrolls.
    """
    cells = [{literal(name): literal(str(cell)) for name, cell in row.items()} for row in rows]
    st.table(cells, hide_index=True, border="horizontal", height=height)


def literal(text: str) -> str:
    """A text that Markdown shows as it is: names hold underscores, reasons hold anything."""
    return _MARKUP.sub(r"\\\1", text)


def number(value: float | None, digits: int = 2) -> str:
    """A figure for people; a dash where there is none."""
    return DASH if value is None else f"{value:,.{digits}f}"


def between(low: float, high: float) -> str:
    """An interval for people."""
    return say("from_to", low=number(low), high=number(high))


def percent(value: float | None) -> str:
    """A share between 0 and 1 in percent; a dash where there is none."""
    return DASH if value is None else f"{value:.1%}"


_EXAMPLE: Final = {"search": "sports_drink_share"}


def _badges(problem: Document) -> None:
    words = [f":gray-badge[{problem['unit']}]"]
    if problem["synthetic"]:
        words.append(f":orange-badge[:material/science: {say('synthetic')}]")
    if problem["stale"]:
        words.append(f":red-badge[{say('stale')}]")
    if not problem["ready"]:
        words.append(f":red-badge[{say('not_ready')}]")
    hours = float(problem["frequency_seconds"]) / _HOUR
    st.markdown(" ".join(words))
    st.caption(say("as_of", moment=minute(problem["as_of"]), hours=f"{hours:g}"))


def _refused(refusal: ApiRefusalError) -> None:
    if refusal.status == 404:
        st.info(say("not_published", remedy=refusal.remedy), icon=":material/info:")
    else:
        st.warning(say("refused", said=refusal), icon=":material/warning:")
