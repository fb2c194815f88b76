"""Reads the registry of an MLflow server by its REST API.

Here: requests, credentials, error codes and pages. Not here: what a database answers (`database`)
and the requests that change something (`writer`, over the same connection). Credentials are those
of MLflow's own clients: MLFLOW_TRACKING_USERNAME and _PASSWORD or ~/.mlflow/credentials, or
MLFLOW_TRACKING_TOKEN; MLFLOW_TRACKING_SERVER_CERT_PATH, _CLIENT_CERT_PATH and _INSECURE_TLS.
"""

from __future__ import annotations

import configparser
import os
import ssl
import threading
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from serving.domain_errors import RegistryUnreachableError
from serving.model_files import ModelFiles
from serving.registry.artifacts import Artifacts
from serving.registry.reader import RegisteredModel, VersionDescription, is_version_number
from serving.served_model import RegisteredVersion

if TYPE_CHECKING:
    import httpx

_API: Final = "/api/2.0/mlflow"
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
_SECONDS: Final = 10.0
"""A server that is down is noticed within seconds; MLflow's own clients take minutes."""

_PAGE: Final = 200
_CHUNK: Final = 1 << 20
_ABSENT: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""No such thing, or a name that nothing can have."""


class RegistryAnswerError(Exception):
    """The server refused a request; the message is its error code."""


class RegistryServer:
    """A connection to an MLflow server, opened on first use; for several threads."""

    def __init__(self, address: str) -> None:
        """Remember the address, with its path where the server has a prefix."""
        self._address = address.rstrip("/")
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One request of the API; `path` is below `/api/2.0/mlflow`.

        Raises:
            RegistryUnreachableError: the server does not answer, or answers with no JSON object.
            RegistryAnswerError: it refuses the request.
        """
        import httpx

        try:
            answer = self._open().request(method, f"{_API}{path}", params=query, json=body)
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RegistryUnreachableError(type(error).__name__) from error
        if not isinstance(document, dict):
            raise RegistryUnreachableError(f"status {answer.status_code} without an object")
        if answer.is_success:
            return document
        code = document.get("error_code")
        # Overload and failures of the server pass; what it says about the request does not.
        if not isinstance(code, str) or answer.status_code >= 500:
            raise RegistryUnreachableError(f"status {answer.status_code}")
        raise RegistryAnswerError(code)

    def download(self, path: str, *, max_bytes: int) -> bytes | int | None:
        """See `artifacts.ProxiedFiles`."""
        import httpx

        content = bytearray()
        try:
            with self._open().stream("GET", f"{_ARTIFACTS}/{path}") as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    return None
                if not answer.is_success:
                    raise RegistryUnreachableError(f"status {answer.status_code} for a file")
                for chunk in answer.iter_bytes(_CHUNK):
                    content += chunk
                    if len(content) > max_bytes:
                        return _announced(answer.headers, len(content))
        except httpx.HTTPError as error:
            raise RegistryUnreachableError(type(error).__name__) from error
        return bytes(content)

    def _open(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                try:
                    self._client = httpx.Client(
                        base_url=self._address,
                        timeout=_SECONDS,
                        auth=_basic(),
                        headers=_bearer(),
                        verify=_trust(),
                        follow_redirects=True,
                    )
                except (OSError, httpx.InvalidURL) as error:
                    raise RegistryUnreachableError(type(error).__name__) from error
                weakref.finalize(self, self._client.close)
            return self._client


class RestRegistry:
    """A `reader.Registry` over an MLflow server."""

    def __init__(self, server: RegistryServer, artifacts: Artifacts) -> None:
        """Ask `server`; files come from where the versions say."""
        self._server = server
        self._artifacts = artifacts

    def model(self, name: str) -> RegisteredModel | None:
        """See `Registry`."""
        document = self._get("/registered-models/get", {"name": name})
        if document is None:
            return None
        found = document.get("registered_model", {})
        return RegisteredModel(
            name=name,
            aliases={a["alias"]: str(a["version"]) for a in found.get("aliases", ())},
            tags=_tags(found),
        )

    def version(self, name: str, number: str) -> RegisteredVersion | None:
        """See `Registry`."""
        if not is_version_number(number):
            return None
        document = self._get("/model-versions/get", {"name": name, "version": number})
        return None if document is None else _described(document["model_version"]).registered

    def versions(self, name: str) -> list[VersionDescription]:
        """See `Registry`."""
        quote = '"' if "'" in name else "'"
        query: dict[str, str | int] = {"filter": f"name={quote}{name}{quote}", "max_results": _PAGE}
        found: list[VersionDescription] = []
        token: str | None = ""
        while token is not None:
            page = self._get("/model-versions/search", query | {"page_token": token}) or {}
            found += [_described(version) for version in page.get("model_versions", ())]
            token = page.get("next_page_token") or None
        return sorted(found, key=lambda version: int(version.version), reverse=True)

    def files(self, version: RegisteredVersion) -> ModelFiles:
        """See `Registry`."""
        return self._artifacts.files(version)

    def _get(self, path: str, query: Mapping[str, str | int]) -> dict[str, Any] | None:
        given = {key: value for key, value in query.items() if value != ""}
        try:
            return self._server.call("GET", path, query=given)
        except RegistryAnswerError as error:
            if str(error) in _ABSENT:
                return None
            raise RegistryUnreachableError(str(error)) from error


def _described(version: Mapping[str, Any]) -> VersionDescription:
    return VersionDescription(
        name=version["name"],
        version=str(version["version"]),
        created_at=datetime.fromtimestamp(int(version["creation_timestamp"]) / 1000, UTC),
        source=version.get("source", ""),
        run_id=version.get("run_id"),
        tags=_tags(version),
    )


def _tags(of: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in of.get("tags", ())}


def _announced(headers: Mapping[str, str], received: int) -> int:
    """The size of a file that is larger than what was received."""
    announced = headers.get("content-length", "")
    return int(announced) if announced.isdecimal() and len(announced) < 19 else received


def _bearer() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token and _basic() is None else {}


def _basic() -> tuple[str, str] | None:
    file = configparser.ConfigParser()
    file.read(Path("~/.mlflow/credentials").expanduser())
    name, password = (
        os.environ.get(variable) or file.get("mlflow", variable.lower(), fallback=None)
        for variable in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    )
    return (name, password) if name and password else None


def _trust() -> ssl.SSLContext | bool:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"true", "1"}:
        return False
    authority = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    own = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
    if not authority and not own:
        return True
    context = ssl.create_default_context(cafile=authority)
    if own:
        context.load_cert_chain(own)
    return context
