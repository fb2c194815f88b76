"""Where a request departs from its documented form: the place, the value and the rule.

Here: reading msgspec's message together with what was sent, which it does not show. Not here: the
problem document (`errors`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

_MESSAGE: Final = re.compile(r"(?P<rule>.*?)(?: - at `(?P<place>.*?)`(?: in `(?P<parent>.*)`)?)?")
_STEP: Final = re.compile(r"\.(?P<key>[^.\[\]]+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")
_FOUND: Final = re.compile(r"got `(?P<kind>\w+)`")
_KINDS: Final[dict[type, str]] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "array",
    dict: "object",
    type(None): "null",
}
_SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """One departure from the documented form."""

    value: str
    """The place, such as `body.features.ret`, with what stands there."""
    rule: str


def find_fault(error: msgspec.ValidationError, sent: object, *, part: str) -> Fault:
    """Locate what msgspec complains about.

    Args:
        error: raised while `part` was read.
        sent: the part's content without types; None where it cannot be read without them.
        part: `body` or `query`.
    """
    matched = _MESSAGE.fullmatch(str(error))
    assert matched is not None, "the expression matches every line"
    rule, place = matched["rule"], matched["place"]
    if place is None or matched["parent"] is not None:
        return Fault(part, rule)
    found = _FOUND.search(rule)
    candidates = _walk(sent, _STEP.findall(place), part)
    for path, value in candidates:
        if found is None or _KINDS.get(type(value)) == found["kind"]:
            # None for a whole part is a part that could not be read.
            hidden = isinstance(value, dict | list) or (value is None and path == part)
            shown = "" if hidden else f" = {value!a}"
            return Fault(f"{path}{shown}"[:_SHOWN_CHARACTERS], rule)
    return Fault(part + place.removeprefix("$"), rule)


def _walk(value: object, steps: list[tuple[str, str, str]], path: str) -> Iterator[tuple[str, Any]]:
    """Every value that a place can mean, with its path."""
    if not steps:
        yield path, value
        return
    key, index, _ = steps[0]
    if key and isinstance(value, dict) and key in value:
        yield from _walk(value[key], steps[1:], f"{path}.{key}")
    elif index and isinstance(value, list) and int(index) < len(value):
        yield from _walk(value[int(index)], steps[1:], f"{path}.{index}")
    elif not key and not index and isinstance(value, dict):
        for name, inner in value.items():
            yield from _walk(inner, steps[1:], f"{path}.{name}")
