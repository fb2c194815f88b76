"""HTTP of the Open Inference Protocol: routes, headers, the protocol's form of an error.

Not here: messages as bytes (`messages`, `tensors`), what they mean (`service`), and the way of a
question to a logged answer (`forecasts.answering`). Request and answer of `infer` are read and
written without pydantic, since a tensor may have a hundred thousand values.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from serving.contract.prediction_log import Asked
from serving.dependencies import AppParts, Parts
from serving.deployments import CHAMPION, Deployment
from serving.domain_errors import NotReadyError, ServingError, UnusableInputError
from serving.errors import domain_problem, http_problem
from serving.forecasts.answering import Answering
from serving.health.service import require_ready
from serving.inference_protocol import service
from serving.inference_protocol.messages import EXTENSIONS, JSON_LENGTH_HEADER, parse_request
from serving.inference_protocol.schemas import (
    REQUEST_BODY,
    InferenceAnswer,
    ModelMetadata,
    ModelReady,
    ProtocolError,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from serving.inference_protocol.tensors import read_tensors
from serving.operations import Call

_SHOWN_KNOWN: Final = 20


class _ProtocolRoute(APIRoute):
    """A route whose errors have the protocol's form, `{"error": "..."}`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with errors written here."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except ServingError as error:
                known = f" (known: {', '.join(error.known[:_SHOWN_KNOWN])})" if error.known else ""
                return _error(domain_problem(request, error), f"{error}{known}")
            except RequestValidationError as error:
                rules = [f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors()]
                refusal = HTTPException(HTTPStatus.BAD_REQUEST, " | ".join(rules))
            except HTTPException as error:
                refusal = error
            problem = http_problem(request, refusal)
            return _error(problem, f"{refusal.detail}; send what /docs describes")

        return answer


def _error(problem: Response, text: str) -> Response:
    """A problem document's status and headers, in the protocol's form."""
    status = problem.status_code
    # The protocol calls every request that cannot be used a bad request.
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        status = HTTPStatus.BAD_REQUEST
    headers = {k: v for k, v in problem.headers.items() if not k.startswith("content-")}
    # Half of a surrogate pair may have come in; it cannot be written as UTF-8.
    readable = text.encode("ascii", "backslashreplace").decode("ascii")
    return JSONResponse({"error": readable}, status_code=status, headers=headers)


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": ProtocolError, "description": HTTPStatus(status).phrase}
        for status in statuses
    }


_RAW: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Forecasts; raw tensors follow the JSON where the request wants them",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
router = APIRouter(prefix="/v2", tags=["open inference protocol"], route_class=_ProtocolRoute)

ModelPath = Annotated[
    str,
    Path(
        max_length=200,
        description="a published problem, or the name of its registered model",
        examples=["bitcoin_close"],
    ),
]
VersionPath = Annotated[
    str, Path(max_length=20, description="a version in the registry", examples=["1"])
]


@router.get("", summary="Server metadata")
async def server_metadata() -> ServerMetadata:
    """Name, version and extensions of this server."""
    return ServerMetadata(name="forecasts", version="1", extensions=list(EXTENSIONS))


@router.get("/health/live", summary="Whether the server is live", responses=_errors(503))
async def server_live(parts: AppParts, response: Response) -> ServerLive:
    """Status 200, or 503 when a background thread has died and only a restart helps."""
    live = not parts.stopped
    response.status_code = HTTPStatus.OK if live else HTTPStatus.SERVICE_UNAVAILABLE
    return ServerLive(live=live)


@router.get("/health/ready", summary="Whether the server is ready", responses=_errors(503))
async def server_ready(parts: AppParts) -> ServerReady:
    """Status 200 once at least one model answers."""
    require_ready(parts.deployments)
    return ServerReady(ready=True)


@router.get("/models/{model}", summary="Model metadata", responses=_errors(400, 404, 503))
async def model_metadata(model: ModelPath, parts: AppParts) -> ModelMetadata:
    """Versions, inputs and outputs of the model that answers."""
    return await _metadata(parts, model, None)


@router.get(
    "/models/{model}/versions/{version}",
    summary="Metadata of a version",
    responses=_errors(400, 404, 503),
)
async def version_metadata(
    model: ModelPath, version: VersionPath, parts: AppParts
) -> ModelMetadata:
    """Inputs and outputs of a version."""
    return await _metadata(parts, model, version)


@router.get(
    "/models/{model}/ready",
    summary="Whether a model is ready",
    responses=_errors(400, 404, 503),
)
async def model_ready(model: ModelPath, parts: AppParts) -> ModelReady:
    """Status 200 when the model answers."""
    await _deployment(parts, model)
    return ModelReady(name=model, ready=True)


@router.get(
    "/models/{model}/versions/{version}/ready",
    summary="Whether a version is ready",
    responses=_errors(400, 404, 503),
)
async def version_ready(model: ModelPath, version: VersionPath, parts: AppParts) -> ModelReady:
    """Status 200 when the version answers; it is loaded where it must be."""
    await _deployment(parts, model, version)
    return ModelReady(name=model, ready=True)


@router.post(
    "/models/{model}/infer",
    summary="Forecasts from tensors of features",
    response_model=InferenceAnswer,
    responses=_RAW | _errors(400, 404, 413, 503),
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def infer(model: ModelPath, request: Request) -> Response:
    """One forecast for each row, in target units: outputs `point`, `lower` and `upper`.

    Inputs are one tensor `features` of shape [rows, features] in the order of the card, or one
    tensor for each feature; with `last_value` where the model forecasts changes, and `segment`
    where it forecasts shares. Missing values are NaN, in JSON `null`. Raw tensors behind the JSON
    (the binary tensor data extension) are read and, where asked for, written.
    """
    return await _infer(request, model, None)


@router.post(
    "/models/{model}/versions/{version}/infer",
    summary="Forecasts of a version from tensors of features",
    response_model=InferenceAnswer,
    responses=_RAW | _errors(400, 404, 413, 503),
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def infer_version(model: ModelPath, version: VersionPath, request: Request) -> Response:
    """As without a version, answered by this one."""
    return await _infer(request, model, version)


async def _deployment(parts: Parts, model: str, version: str | None = None) -> Deployment:
    """Who answers when this model is asked for; the champion where no version is named."""
    problem = service.problem_of(parts.deployments, model)
    alias = CHAMPION if version is None else None
    return (await parts.choose(problem, alias=alias, version=version)).deployment


async def _metadata(parts: Parts, model: str, version: str | None) -> ModelMetadata:
    deployment = await _deployment(parts, model, version)
    problem = deployment.model.card.problem
    try:
        versions = [found.version for found in await parts.models.versions(problem)]
    except NotReadyError:
        # The registry is down: what is held can be asked for all the same.
        versions = [deployment.model.registered.version]
    return service.model_metadata(model, deployment.model.card, versions)


async def _infer(request: Request, model: str, version: str | None) -> Response:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnusableInputError(
            value=f"Content-Encoding = {request.headers['Content-Encoding'][:20]!r}",
            rule="bodies are read as they are",
            remedy="send the request without compression",
        )
    answering: Answering = request.app.state.answering
    parts = answering.parts
    asked, raw = parse_request(await request.body(), request.headers.get(JSON_LENGTH_HEADER))
    outputs = service.asked_outputs(asked)
    tensors = read_tensors(asked, raw, max_rows=parts.settings.api_max_rows)
    body = service.AnswerBody(model, asked.id, outputs)
    reply = await answering.answer(
        Call(request.scope, model, b""),
        service.problem_of(parts.deployments, model),
        service.GivenTensors(tensors),
        asked=Asked.FEATURES,
        body=body,
        alias=asked.parameters.alias,
        version=version,
    )
    kind = "application/json" if body.json_length is None else "application/octet-stream"
    response = Response(
        reply.body,
        media_type=kind,
        background=None if reply.afterwards is None else BackgroundTask(_begin, reply.afterwards),
    )
    response.raw_headers.extend(reply.headers)
    if body.json_length is not None:
        response.headers[JSON_LENGTH_HEADER] = str(body.json_length)
    return response


async def _begin(afterwards: Callable[[], None]) -> None:
    """What follows the answer, on the event loop: a plain function would run in a thread."""
    afterwards()
