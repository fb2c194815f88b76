"""What the query of a table's endpoint must be: each parameter once, in UTF-8.

Here: the refusal of what the framework would quietly settle, by taking the last of two values and
putting a replacement for what is no UTF-8. Not here: the parameters (`published_reading` and the
schemas of the endpoints), and the queries of the fast path (`operations.read_query`).
"""

from __future__ import annotations

from collections import Counter
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Request

from serving.domain_errors import UnusableInputError


async def _refuse_unclear(request: Request) -> None:
    query: bytes = request.scope["query_string"]
    if not query:
        return
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError as error:
        raise UnusableInputError(
            value="the query",
            rule=f"it must be UTF-8, percent-encoded: {error.reason}",
            remedy="encode every parameter so",
        ) from error
    counts = Counter(name for name, _ in request.query_params.multi_items())
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise UnusableInputError(
            value=f"parameter {', '.join(twice)[:200]}",
            rule="a parameter is given once",
            remedy="leave out all but one",
        )


PLAIN_QUERY = Depends(_refuse_unclear)
"""A dependency of routers whose endpoints have parameters."""
