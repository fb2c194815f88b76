"""What the OpenAPI document says of access: keys, and the answers that the edge gives.

Here: the two ways to send a key, and the statuses that any operation may answer with before it
begins. Not here: the rules (`policy`), the rest of the document (`documentation`).
"""

from __future__ import annotations

from typing import Any, Final

from serving.access.policy import is_administration
from serving.errors import problem_responses

_SCHEMES: Final = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}
_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


def describe_access(document: dict[str, Any]) -> None:
    """Add keys and the edge's answers to every operation of a document, in place.

    Programs on the machine of the service need no key but for administration, so elsewhere keys are
    described as optional.
    """
    document.setdefault("components", {})["securitySchemes"] = _SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS:
                _describe(operation, administration=is_administration(method.upper(), path))


def _describe(operation: dict[str, Any], *, administration: bool) -> None:
    keys: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
    operation["security"] = keys if administration else [{}, *keys]
    statuses = [401, 429, 431, 503]
    if administration:
        statuses.append(403)
    if "requestBody" in operation:
        statuses += [408, 413]
    responses = operation["responses"]
    for status, description in problem_responses(*statuses).items():
        responses.setdefault(str(status), description)
