from __future__ import annotations

import ast
from string import Formatter

import pytest

from dashboard.language import LANGUAGES, dictionary, phrase
from mlops_assets_tests.architecture.source_code import modules

SAYS = {"say", "phrase", "part", "head"}


def fields(text: str) -> set[str]:
    """Names of the `{fields}` of a phrase."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def constants() -> set[str]:
    """Every text in the dashboard's code; of a text with fields, its beginning and a star."""
    found = set()
    for module in modules("dashboard"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                found.add(f"{node.values[0].value!s}*")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


@pytest.mark.parametrize("key", sorted(dictionary()))
def test_every_phrase_is_there_in_every_language_with_the_same_fields(key: str) -> None:
    texts = dictionary()[key]
    assert set(texts) == set(LANGUAGES)
    assert all(text.strip() for text in texts.values())
    assert len({frozenset(fields(text)) for text in texts.values()}) == 1, texts


def test_korean_phrases_are_korean() -> None:
    untranslated = {
        key
        for key, texts in dictionary().items()
        if not any("가" <= letter <= "힣" for letter in texts["ko"]) and key != "from_to"
    }
    assert not untranslated


def test_every_phrase_that_the_code_says_is_in_the_dictionary() -> None:
    said = {
        str(node.args[0].value)
        for module in modules("dashboard")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "attr", None) or getattr(node.func, "id", "")) in SAYS
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(said) > 50, "the search finds too few phrases, so it is broken"
    assert said - set(dictionary()) == set()


def test_every_phrase_of_the_dictionary_is_said_somewhere() -> None:
    found = constants()
    beginnings = {text[:-1] for text in found if text.endswith("_*")}
    unused = {
        key
        for key in dictionary()
        if key not in found and not any(key.startswith(start) for start in beginnings)
    }
    assert not unused


def test_a_phrase_has_its_fields_filled_in() -> None:
    assert phrase("from_to", "en", low="1", high="2") == "1 to 2"
    assert phrase("from_to", "ko", low="1", high="2") == "1 ~ 2"
