"""The fast path's operations in the OpenAPI document, described by the types that read and write.

Here: paths, parameters, bodies, answers and components from `operations.Operation`. Not here: the
framework's own routes (`router`), and live values for the examples (`live_examples`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from serving.errors import problem_responses
from serving.operations import CALLER_HEADER, Operation

_REFERENCE: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
Json = dict[str, Any]


def add_operations(document: Json, operations: Sequence[Operation]) -> None:
    """Put operations before the routes of an OpenAPI document, and their schemas among its own."""
    forms = {form for o in operations for form in (*o.answers, *o.bodies)}
    _, components = msgspec.json.schema_components(
        sorted(forms, key=lambda form: form.__name__), ref_template=_REFERENCE
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(components)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    for path, methods in document.get("paths", {}).items():
        paths.setdefault(path, {}).update(methods)
    document["paths"] = paths


def _described(operation: Operation) -> Json:
    described: Json = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "operationId": "_".join((operation.method.lower(), *re.findall(r"\w+", operation.path))),
        "responses": {
            "200": {
                "description": "OK",
                "content": {_JSON: {"schema": _one_of(operation.answers)}},
            },
            **{
                str(status): answer
                for status, answer in problem_responses(*operation.problems).items()
            },
        },
    }
    if parameters := list(_parameters(operation)):
        described["parameters"] = parameters
    if operation.bodies:
        described["requestBody"] = {
            "required": True,
            "content": {
                _JSON: {
                    "schema": _one_of(operation.bodies),
                    "examples": {
                        name: {"summary": example.summary, "value": dict(example.value)}
                        for name, example in operation.examples.items()
                    },
                }
            },
        }
    return described


def _one_of(forms: Sequence[type[msgspec.Struct]]) -> Json:
    references = [{"$ref": _REFERENCE.format(name=form.__name__)} for form in forms]
    return references[0] if len(references) == 1 else {"anyOf": references}


def _parameters(operation: Operation) -> Iterable[Json]:
    """The path's name, the query's fields, and the header that asks for a stable variant."""
    if "{" in operation.path:
        yield {
            "name": "problem",
            "in": "path",
            "required": True,
            "description": "a published problem",
            "schema": {"type": "string", "maxLength": 60, "examples": ["bitcoin_close"]},
        }
    if operation.query is not None:
        (shown,) = [example.value for example in operation.examples.values()]
        ((_, schema),) = msgspec.json.schema_components([operation.query])[1].items()
        for name, kind in schema["properties"].items():
            # A parameter is left out or given: null is a value of JSON only.
            plain = next((part for part in kind.get("anyOf", ()) if part != {"type": "null"}), kind)
            parameter = {
                "name": name,
                "in": "query",
                "required": name in schema["required"],
                "description": plain.get("description", ""),
                "schema": {key: part for key, part in plain.items() if key != "description"},
            }
            yield parameter | ({"example": shown[name]} if name in shown else {})
    yield {
        "name": CALLER_HEADER.decode().title(),
        "in": "header",
        "required": False,
        "description": "where traffic is split, the same key always meets the same version",
        "schema": {"type": "string", "maxLength": 200},
    }
