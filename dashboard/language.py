"""What the pages say, in English and Korean.

Here: which language a reader has, and a phrase in it. Not here: the phrases (`words.toml`, the one
dictionary) and sentences of the API, which are English.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Final, Literal

import streamlit as st

Language = Literal["en", "ko"]

LANGUAGES: Final[dict[Language, str]] = {"en": "English", "ko": "한국어"}
"""Each language by its own name."""

CHOICE: Final = "language"
"""Key of the reader's choice in the session."""


@cache
def dictionary() -> dict[str, dict[str, str]]:
    """Every phrase: key -> language -> text with `{fields}`."""
    text = Path(__file__).with_name("words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def phrase(key: str, language: Language, **fields: object) -> str:
    """A phrase with its fields filled in.

    Raises:
        KeyError: the dictionary has no such phrase, or it needs another field.
    """
    return dictionary()[key][language].format(**fields)


def preferred() -> Language:
    """The language of the reader's browser; English where it is another one."""
    asked = str(st.query_params.get("lang") or st.context.locale or "")
    return "ko" if asked.lower().startswith("ko") else "en"


def language() -> Language:
    """The language chosen in this session."""
    chosen: Language = st.session_state.get(CHOICE) or preferred()
    return chosen


def say(key: str, **fields: object) -> str:
    """A phrase in the language of this session."""
    return phrase(key, language(), **fields)
