"""Turns errors into RFC 9457 problem documents: the one place where errors meet HTTP.

Here: status codes, the body of every error answer, and the handlers. Not here: the errors
themselves (`domain_errors`). No answer carries a stack trace or a path of this machine.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from serving.domain_errors import (
    KeyNeededError,
    LargeHeadError,
    NotAllowedError,
    NotLoggedError,
    NotReadyError,
    RateExceededError,
    ServingError,
    SlowRequestError,
    TimeIsUpError,
    UnknownNameError,
    UnusableInputError,
)

_LOG = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID_HEADER: Final = "X-Request-Id"

STATUS: Final[dict[type[ServingError], HTTPStatus]] = {
    UnknownNameError: HTTPStatus.NOT_FOUND,
    UnusableInputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotReadyError: HTTPStatus.SERVICE_UNAVAILABLE,
    NotLoggedError: HTTPStatus.SERVICE_UNAVAILABLE,
    KeyNeededError: HTTPStatus.UNAUTHORIZED,
    NotAllowedError: HTTPStatus.FORBIDDEN,
    RateExceededError: HTTPStatus.TOO_MANY_REQUESTS,
    SlowRequestError: HTTPStatus.REQUEST_TIMEOUT,
    LargeHeadError: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    TimeIsUpError: HTTPStatus.SERVICE_UNAVAILABLE,
}

_HTTP_KINDS: Final[dict[int, tuple[str, str]]] = {
    HTTPStatus.BAD_REQUEST: ("bad-request", "The request cannot be read"),
    HTTPStatus.NOT_FOUND: ("not-found", "There is no such address"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method-not-allowed", "The address has no such method"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("content-too-large", "The body is too large"),
}

_SHOWN_FAULTS = 5
_SHOWN_CHARACTERS = 200
_SHOWN_IN_ALL: Final = 1000
"""A value that came in, or a path, is shown up to here: an answer must not grow with a request."""


class ProblemDetails(BaseModel):
    """What went wrong, after RFC 9457, with the rule, the remedy and what would be accepted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/docs#unknown-name",
                    "title": "There is nothing of that name",
                    "status": 404,
                    "detail": "series eth: it must be published; use one of the known series",
                    "instance": "/forecasts/bitcoin_close/latest",
                    "value": "series eth",
                    "rule": "it must be published",
                    "remedy": "use one of the known series",
                    "known": ["btc"],
                    "request_id": "5f0c2c9e4b0d4a55a3c1b7a0f7f3f0d1",
                }
            ]
        }
    )

    type: str = Field(description="what kind of problem; leads to its description")
    title: str = Field(description="the kind in words")
    status: int = Field(description="HTTP status")
    detail: str = Field(description="this problem in one sentence")
    instance: str = Field(description="path of the request")
    value: str | None = Field(default=None, description="what was wrong")
    rule: str = Field(description="the rule it breaks")
    remedy: str = Field(description="what to do")
    known: list[str] = Field(default_factory=list, description="what would be accepted")
    request_id: str = Field(description="as in the header X-Request-Id and in the logs")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI descriptions of the error answers of an endpoint."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


def problem_response(
    request: Request,
    status: int,
    *,
    code: str,
    title: str,
    rule: str,
    remedy: str,
    value: str | None = None,
    known: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem document."""
    request_id: str = getattr(request.state, "request_id", "")
    value = None if value is None else _cut(value)
    said = "" if value is None else f"{value}: "
    document = ProblemDetails(
        type=f"/docs#{code}",
        title=title,
        status=status,
        detail=f"{said}{rule}; {remedy}",
        instance=_cut(request.url.path),
        value=value,
        rule=rule,
        remedy=remedy,
        known=list(known),
        request_id=request_id,
    )
    # ASCII, because a value that came in may hold half of a surrogate pair.
    body = json.dumps(document.model_dump(exclude_none=True), ensure_ascii=True)
    sent = dict(headers or {})
    if request_id:
        sent[REQUEST_ID_HEADER] = request_id
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        sent["Retry-After"] = "5"
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=sent)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_IN_ALL else f"{text[:_SHOWN_IN_ALL]}..."


def domain_problem(request: Request, error: ServingError) -> Response:
    """The answer to an error of the domain, wherever it was raised."""
    return problem_response(
        request,
        STATUS[type(error)],
        code=error.code,
        title=error.title,
        rule=error.rule,
        remedy=error.remedy,
        value=error.value,
        known=error.known,
        headers=_headers(error),
    )


def _headers(error: ServingError) -> dict[str, str]:
    """What the status of an error obliges the answer to say (RFC 9110)."""
    match error:
        case KeyNeededError():
            return {"WWW-Authenticate": 'Bearer realm="forecasts"'}
        case RateExceededError():
            return {"Retry-After": str(math.ceil(error.wait_seconds))}
        case SlowRequestError():
            # The rest of the body may still come; only the end of the connection ends it.
            return {"Connection": "close"}
        case _:
            return {}


async def _serving_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServingError)
    return domain_problem(request, error)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    # FastAPI reads a body as JSON only where the header says that it is.
    is_unread = any(isinstance(fault.get("input"), bytes) for fault in faults)
    return problem_response(
        request,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        code="invalid-request",
        title="The request does not have the documented form",
        rule=" | ".join(_rule(fault) for fault in faults[:_SHOWN_FAULTS]),
        remedy="send JSON with the header Content-Type: application/json, as /docs describes"
        if is_unread
        else "send what /docs describes",
        value=", ".join(_place(fault) for fault in faults[:_SHOWN_FAULTS]),
    )


def _place(fault: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    shown = fault.get("input")
    # An absent key has the whole body as its input, which says nothing about the fault.
    if fault["type"] == "missing" or isinstance(shown, (dict, list, bytes)):
        return place
    return f"{place} = {ascii(shown)[:_SHOWN_CHARACTERS]}"


def _rule(fault: dict[str, Any]) -> str:
    return str(fault["msg"]).removeprefix("Value error, ")


def http_problem(request: Request, error: HTTPException) -> Response:
    """The answer to an error that carries its status."""
    code, title = _HTTP_KINDS.get(error.status_code, ("bad-request", "The request has no answer"))
    response = problem_response(
        request,
        error.status_code,
        code=code,
        title=title,
        rule=str(error.detail),
        remedy="see /docs for what this service answers",
    )
    response.headers.update(error.headers or {})
    return response


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return http_problem(request, error)


async def _unexpected(request: Request, error: Exception) -> Response:
    request_id = getattr(request.state, "request_id", "")
    _LOG.error("request %s failed", request_id, exc_info=error)
    return problem_response(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        code="internal-error",
        title="The service has a fault",
        rule="an answer could not be computed",
        remedy="report the request id to the operators, who find the cause in the log",
    )


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of an application with a problem document."""
    app.add_exception_handler(ServingError, _serving_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
