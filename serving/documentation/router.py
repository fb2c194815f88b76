"""The documentation page and its two assets, served from this package.

FastAPI's own page loads its script from another machine; this one needs nothing but the service.
Here: the page, and the OpenAPI document put together. Not here: the endpoints' descriptions, which
are written beside them, and how operations (`operations`) and live examples (`live_examples`) come
into the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import RedirectResponse, Response

from serving.access.description import describe_access
from serving.deployments import Deployments
from serving.documentation.live_examples import with_live_examples
from serving.documentation.operations import add_operations
from serving.errors import ProblemDetails
from serving.operations import Operation

router = APIRouter(include_in_schema=False)

_FOLDER: Final = Path(__file__).parent
_PAGE: Final = (_FOLDER / "page.html").read_bytes()
_STYLE: Final = (_FOLDER / "page.css").read_bytes()
_SCRIPT: Final = (_FOLDER / "page.js").read_bytes()

_HEADERS: Final = {
    # The browser refuses whatever would come from, or go to, another machine.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


@router.get("/")
async def root() -> RedirectResponse:
    """Lead a browser to the documentation."""
    return RedirectResponse("/docs")


@router.get("/docs")
async def page() -> Response:
    """The page."""
    return Response(_PAGE, media_type="text/html; charset=utf-8", headers=_HEADERS)


@router.get("/docs/page.css")
async def style() -> Response:
    """The page's style."""
    return Response(_STYLE, media_type="text/css; charset=utf-8", headers=_HEADERS)


@router.get("/docs/page.js")
async def script() -> Response:
    """The page's script."""
    return Response(_SCRIPT, media_type="text/javascript; charset=utf-8", headers=_HEADERS)


def describe(app: FastAPI, operations: Sequence[Operation], deployments: Deployments) -> None:
    """Let the OpenAPI document hold operations, the schema of errors, and examples that work."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, operations)
        return with_live_examples(app.openapi_schema, deployments)

    # FastAPI's documented way to extend its document is to replace the method.
    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, operations: Sequence[Operation]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema(
        ref_template="#/components/schemas/{model}"
    )
    add_operations(document, operations)
    describe_access(document)
    return document
