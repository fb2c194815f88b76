"""A client of the forecast API.

Here: one request, all pages of a listing, and what can go wrong on the way. Not here: which
questions are asked (the pages), and answers that are kept for a while (`questions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import httpx

Document = dict[str, Any]
"""A JSON object of the API."""

Query = Mapping[str, str | int | None]
"""Parameters of an address; None is left out."""

PAGE_ROWS: Final = 5000
"""Rows that are asked for at once: the most that the API gives by default."""

_MOST_PAGES: Final = 100


class ApiError(RuntimeError):
    """The API gave no answer that can be drawn."""


class ApiDownError(ApiError):
    """Nothing answers at the API's address; the message is that address."""


class ApiSlowError(ApiError):
    """The answer took longer than is allowed; the message is the question's path."""


class ApiRefusalError(ApiError):
    """The API answered with a problem document (RFC 9457)."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        """Keep the document: value, rule and remedy."""
        self.status = status
        self.document = dict(document)
        super().__init__(str(document.get("detail") or f"status {status}"))

    @property
    def remedy(self) -> str:
        """What the API says can be done."""
        return str(self.document.get("remedy") or self)


class Api:
    """The API at one address."""

    def __init__(self, address: str, *, timeout_seconds: float, key: str | None = None) -> None:
        """Ask `address`; each answer may take `timeout_seconds`."""
        self.address = address
        headers = {} if key is None else {"X-Api-Key": key}
        # Loopback is never reached through a proxy, whatever the environment says.
        self._client = httpx.Client(
            base_url=address, timeout=timeout_seconds, headers=headers, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, query: Query) -> Document:
        """The answer to a GET.

        Raises:
            ApiDownError: nothing answers.
            ApiSlowError: the answer takes too long.
            ApiRefusalError: the API says why it does not answer.
        """
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask(self._client.build_request("GET", path, params=given))

    def post(self, path: str, body: Document) -> Document:
        """The answer to a POST of JSON.

        Raises:
            ApiDownError: nothing answers.
            ApiSlowError: the answer takes too long.
            ApiRefusalError: the API says why it does not answer.
        """
        return self._ask(self._client.build_request("POST", path, json=body))

    def listing(self, path: str, query: Query) -> Document:
        """The first page's answer with `rows` of all pages.

        Raises:
            ApiDownError: nothing answers.
            ApiSlowError: an answer takes too long.
            ApiRefusalError: the API says why it does not answer.
        """
        asked: dict[str, str | int | None] = {**query, "limit": PAGE_ROWS}
        try:
            first = self.get(path, asked)
        except ApiRefusalError as refusal:
            if not str(refusal.document.get("value")).startswith("limit "):
                raise
            # The operator allows fewer rows in one answer; without a limit the API chooses.
            del asked["limit"]
            first = self.get(path, asked)
        rows, following = list(first["rows"]), first.get("next")
        for _ in range(_MOST_PAGES):
            if following is None:
                break
            page = self.get(path, {**asked, "after": following})
            rows += page["rows"]
            following = page.get("next")
        return {**first, "rows": rows, "next": following}

    def _ask(self, request: httpx.Request) -> Document:
        try:
            response = self._client.send(request)
        except httpx.TimeoutException as error:
            raise ApiSlowError(request.url.path) from error
        except httpx.TransportError as error:
            raise ApiDownError(self.address) from error
        try:
            document = response.json()
        except ValueError:
            document = {"detail": response.text[:200]}
        if response.is_success:
            return dict(document)
        raise ApiRefusalError(response.status_code, document)
