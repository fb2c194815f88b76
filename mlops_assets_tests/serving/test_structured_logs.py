from __future__ import annotations

import contextvars
import json
import logging
from typing import Any

import pytest

from serving.structured_logs import REQUEST, JsonFormatter, TextFormatter


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    """A record as a logger makes it."""
    made = logging.LogRecord("serving.x", logging.WARNING, "x.py", 1, message, arguments, None)
    made.created = 1772452800.25
    vars(made).update(extra)
    return made


@pytest.fixture
def request_context() -> contextvars.Context:
    """A context in which a request is being answered."""
    context = contextvars.copy_context()
    state: dict[str, Any] = {
        "request_id": "id-1",
        "caller": "app",
        "served": ("bitcoin_close", "3"),
    }
    context.run(REQUEST.set, state)
    return context


def test_a_line_is_one_json_object_with_what_is_known_of_the_request(
    request_context: contextvars.Context,
) -> None:
    line = request_context.run(
        JsonFormatter().format, record("a %s\nand more", "word", status=200, ms=1.5, other="no")
    )
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-03-02T12:00:00.250+00:00",
        "level": "warning",
        "logger": "serving.x",
        "message": "a word\nand more",
        "request_id": "id-1",
        "caller": "app",
        "problem": "bitcoin_close",
        "version": "3",
        "status": 200,
        "ms": 1.5,
    }


def test_outside_a_request_nothing_is_said_of_one() -> None:
    assert set(json.loads(JsonFormatter().format(record("x")))) == {
        "time",
        "level",
        "logger",
        "message",
    }


def test_an_exception_is_a_field() -> None:
    made = record("failed")
    try:
        raise OSError("broken")
    except OSError as error:
        made.exc_info = (OSError, error, error.__traceback__)
    line = json.loads(JsonFormatter().format(made))
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("OSError: broken")


def test_a_line_for_people_ends_with_the_request(request_context: contextvars.Context) -> None:
    line = request_context.run(TextFormatter().format, record("a %s", "word"))
    assert line.endswith(
        "WARNING serving.x: a word [request_id=id-1 caller=app problem=bitcoin_close version=3]"
    )
    assert TextFormatter().format(record("x")).endswith("WARNING serving.x: x")
