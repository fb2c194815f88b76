"""Pages of a published table: how many rows, where the next page begins.

Here: cursors and limits, without HTTP. Not here: the table (`sorted_table`), query parameters and
answers (`published_reading`).

A cursor names the key of the last row that was answered, so that the pages of a walk hold every row
once, also where another snapshot takes over in between.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from serving.contract.prediction_log import Kind
from serving.domain_errors import UnusableInputError
from serving.sorted_table import Array, SortedTable

DEFAULT_LIMIT: Final = 1000
"""Rows of a page where no limit is given."""

_LARGEST: Final = 2**63

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one answer."""

    rows: Array
    """Positions in the table, ascending."""
    next: str | None
    """The cursor of the next page; None where nothing follows."""


class Asked(Protocol):
    """Which stretch of a table is asked for; None is no bound."""

    @property
    def since(self) -> datetime | None:
        """First instant."""

    @property
    def before(self) -> datetime | None:
        """The instant to stop before."""

    @property
    def after(self) -> str | None:
        """Cursor of the page before."""


def page_size(limit: int | None, most: int) -> int:
    """How many rows a page has.

    Raises:
        UnusableInputError: more are asked for than one answer holds.
    """
    if limit is None:
        return min(DEFAULT_LIMIT, most)
    if limit > most:
        raise UnusableInputError(
            value=f"limit {limit}",
            rule=f"one answer has at most {most} rows",
            remedy="use a smaller limit, and give `next` of each answer as `after` of the next "
            "request",
        )
    return limit


def page_of(
    table: SortedTable,
    asked: Asked,
    *,
    equal: Mapping[str, str | int | bool],
    instant: str,
    size: int,
) -> Page:
    """The rows after a cursor that meet the conditions (see `SortedTable.among`).

    Raises:
        UnusableInputError: the cursor is of no page of this table, or `since` is not before
            `before`.
    """
    since, before, after = asked.since, asked.before, asked.after
    if since is not None and before is not None and since >= before:
        raise UnusableInputError(
            value=f"from {since.isoformat()} to {before.isoformat()}",
            rule="the interval [from, to) needs an end after its start",
            remedy="give an earlier `from` or a later `to`",
        )
    start = 0 if after is None else table.span(decode(after, kinds_of(table))).stop
    found = table.among(equal, instant=instant, since=since, before=before, start=start)
    rows = found[:size]
    follows = len(found) > size
    return Page(rows, encode(table.key_at(int(rows[-1]))) if follows else None)


def kinds_of(table: SortedTable) -> tuple[type[str] | type[int], ...]:
    """What the parts of a table's key are."""
    return tuple(str if table.columns[name].kind is Kind.TEXT else int for name in table.key)


def encode(key: Key) -> str:
    """A key as a cursor, which is safe in an address."""
    text = json.dumps(key, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, kinds: Sequence[type[str] | type[int]]) -> Key:
    """The key that a cursor names.

    Raises:
        UnusableInputError: it is no cursor of keys of these kinds.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        key = None
    fits = (
        isinstance(key, list)
        and len(key) == len(kinds)
        # `type`, since a bool is an int.
        and all(type(part) is kind for part, kind in zip(key, kinds, strict=True))
        and all(-_LARGEST <= part < _LARGEST for part in key if isinstance(part, int))
    )
    if not fits:
        raise UnusableInputError(
            value=f"after {cursor[:100]!a}",
            rule="it must be `next` of an earlier answer of the same endpoint",
            remedy="copy it from there, or leave it out to begin at the first row",
        )
    return tuple(key)
