"""The dashboard's script: Streamlit runs it from the top for every reader and every click.

Here: the pages there are, the language, the time an answer may take. Not here: the pages
themselves. Start it with `python -m dashboard`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

from dashboard import frame, live, market, models, replay, search
from dashboard.language import CHOICE, LANGUAGES, preferred, say
from dashboard.questions import settings

# A file of ours: Streamlit's named icons of a tab are fetched from the internet.
ICON: Final = str(Path(__file__).with_name("icon.svg"))


def main() -> None:
    """The chosen page in the chosen language."""
    st.set_page_config(page_title="MLOps", page_icon=ICON, layout="wide")
    with st.sidebar:
        _choose_language()
    pages = [
        st.Page(
            market.show,
            title=say("market"),
            icon=":material/candlestick_chart:",
            default=True,
        ),
        st.Page(search.show, title=say("search"), icon=":material/search:", url_path="search"),
        st.Page(models.show, title=say("models"), icon=":material/trophy:", url_path="models"),
        st.Page(live.show, title=say("live"), icon=":material/monitor_heart:", url_path="live"),
        st.Page(replay.show, title=say("replay"), icon=":material/replay:", url_path="replay"),
    ]
    page = st.navigation(pages)
    seconds = f"{settings().dashboard_timeout_seconds:g}"
    with st.spinner(say("asking", seconds=seconds), show_time=True), frame.excused():
        page.run()
    with st.sidebar:
        st.caption(say("about"))
        st.caption(f"[{say('open_api')}]({settings().api_page}/docs)")


def _choose_language() -> None:
    if CHOICE not in st.session_state:
        st.session_state[CHOICE] = preferred()
    st.segmented_control(
        "Language · 언어",
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        key=CHOICE,
        required=True,
    )


main()
