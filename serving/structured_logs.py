"""The service's log lines, for people or for machines, each with the request it belongs to.

Here: the two forms, and the configuration of every logger, the server's own included. Not here:
what is logged. Exceptions are shown in the log only, never in an answer.
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal

REQUEST: Final[ContextVar[dict[str, Any]]] = ContextVar("REQUEST")
"""State of the request that is being answered: `request_id`, `caller`, `served`."""

_EXTRA: Final = ("status", "ms", "route")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what is known of the request."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_request(),
        }
        line.update({name: vars(record)[name] for name in _EXTRA if name in vars(record)})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


class TextFormatter(logging.Formatter):
    """A line of text: time, level, logger, message, and the request's id in brackets."""

    def __init__(self) -> None:
        """Fix the order of the parts."""
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line of a record, before its exception."""
        shown = super().formatMessage(record)
        values = {**_request(), **{n: vars(record)[n] for n in ("ms",) if n in vars(record)}}
        details = " ".join(f"{name}={value}" for name, value in values.items())
        return f"{shown} [{details}]" if details else shown


def _request() -> dict[str, str]:
    """What is known of the request in whose context a line is written."""
    state = REQUEST.get(None)
    if state is None:
        return {}
    problem, version = state.get("served", ("", ""))
    known = {
        "request_id": state.get("request_id", ""),
        "caller": state.get("caller", ""),
        "problem": problem,
        "version": version,
    }
    return {name: value for name, value in known.items() if value}


def log_configuration(form: Literal["text", "json"]) -> dict[str, Any]:
    """Settings for `logging.config.dictConfig`: every logger writes to standard error.

    Args:
        form: `json` for one object a line, `text` for people.
    """
    formatter = JsonFormatter if form == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": f"{__name__}.{formatter.__name__}"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "serving": {"level": "INFO"},
            "uvicorn": {"level": "INFO"},
        },
    }
