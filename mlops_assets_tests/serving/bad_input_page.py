"""The table of bad input, and docs/bad-input.md, which is made of it.

Run as a module it writes the page. Not here: the kinds themselves (`bad_input` names where).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mlops_assets_tests.serving.bad_bodies import BODIES, NUMBERS
from mlops_assets_tests.serving.bad_input import NOTHING, PROTOCOL, SERVER, BadInput
from mlops_assets_tests.serving.bad_names import NAMES
from mlops_assets_tests.serving.bad_requests import ACCESS, HTTP
from mlops_assets_tests.serving.bad_stretches import PAGES, TIMES
from mlops_assets_tests.serving.bad_tensors import INFERENCE

PAGE: Final = Path(__file__).parents[2] / "docs" / "bad-input.md"
SECTIONS: Final = {
    "Bodies": BODIES,
    "Numbers": NUMBERS,
    "Names": NAMES,
    "Instants": TIMES,
    "Pages and batches": PAGES,
    "Tensors of the Open Inference Protocol": INFERENCE,
    "Access and administration": ACCESS,
    "Addresses, methods, sizes": HTTP,
}
TABLE: Final = tuple(row for rows in SECTIONS.values() for row in rows)
_SHOWN_CHARACTERS: Final = 70
_FORMS: Final = {
    PROTOCOL: "the protocol's `error`",
    SERVER: "plain text",
    NOTHING: "no body",
}
_INTRODUCTION: Final = """\
# Bad input and its answers

Every row is a test: the bytes are sent to a running service, which must answer with this status and
these words, show neither a stack trace nor a path of its machine, and go on answering. Errors are
problem documents after RFC 9457; the kind is the end of their `type`, which `/docs` explains. The
Open Inference Protocol has a form of its own, and what is no HTTP at all gets plain text.

A service in which nothing is published answers forecasts with 503; no other row is a 5xx. JSON with
a key twice is read as most readers do: the last one counts.

This page is written by `.venv/bin/python -m mlops_assets_tests.serving.bad_input_page`.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for title, rows in SECTIONS.items():
        lines = ["| Input | Sent | Status | Kind | Says |", "|---|---|---|---|---|"]
        lines += [_line(row) for row in rows]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(row: BadInput) -> str:
    kind = _FORMS.get(row.kind, f"`{row.kind}`")
    cells = (row.what, f"`{_sent(row.request)}`", str(row.status), kind, row.says)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _sent(request: bytes) -> str:
    """The request's first line without the version, and the beginning of its body."""
    head, _, body = request.partition(b"\r\n\r\n")
    line = head.partition(b"\r\n")[0].removesuffix(b" HTTP/1.1")
    return " ".join(part for part in (_cut(line), _cut(body)) if part)


def _cut(content: bytes) -> str:
    shown = content[: _SHOWN_CHARACTERS + 1].decode("latin-1").encode("unicode_escape").decode()
    text = shown.replace("`", "'")
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
