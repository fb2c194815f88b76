"""A demonstration's way to serve a model, as a peer: FastAPI, pydantic, pyfunc, pandas.

Here: what many a tutorial does: `def` endpoints, one DataFrame a request, a middleware that counts
and times each request, and a reload that drops the model before it loads the next. Run by
`uvicorn benchmarks.serving.demo_service:app`; `FOREST_MODEL` names the folder of the MLflow model.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import mlflow.pyfunc
import pandas as pd
from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import Counter, Histogram, generate_latest
from pydantic import create_model

from benchmarks.serving.forest import INPUTS

Row = create_model("Row", **dict.fromkeys(INPUTS, (float, ...)))  # type: ignore[call-overload]

app = FastAPI()
model: Any = mlflow.pyfunc.load_model(os.environ["FOREST_MODEL"])

_COUNT = Counter("http_requests", "Requests.", ("method", "handler", "status"))
_SECONDS = Histogram("http_request_duration_seconds", "Duration.", ("method", "handler"))
_REQUEST_BYTES = Histogram("http_request_size_bytes", "Request size.", ("handler",))
_ANSWER_BYTES = Histogram("http_response_size_bytes", "Answer size.", ("handler",))


@app.middleware("http")
async def instrument(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Count and time a request."""
    began = perf_counter()
    response = await call_next(request)
    handler = request.url.path
    _COUNT.labels(request.method, handler, str(response.status_code)).inc()
    _SECONDS.labels(request.method, handler).observe(perf_counter() - began)
    _REQUEST_BYTES.labels(handler).observe(int(request.headers.get("content-length", 0)))
    _ANSWER_BYTES.labels(handler).observe(int(response.headers.get("content-length", 0)))
    return response


def _predict(rows: list[dict[str, float]]) -> list[float]:
    if model is None:
        raise HTTPException(503, "the model is not loaded")
    found: list[float] = model.predict(pd.DataFrame(rows)).tolist()
    return found


@app.post("/predict")
def predict(row: Row) -> dict[str, float]:  # type: ignore[valid-type]
    """The forecast of one row."""
    return {"prediction": _predict([row.model_dump()])[0]}  # type: ignore[attr-defined]


@app.post("/predict/batch")
def predict_batch(rows: list[Row]) -> dict[str, list[float]]:  # type: ignore[valid-type]
    """The forecasts of many rows."""
    return {"predictions": _predict([row.model_dump() for row in rows])}  # type: ignore[attr-defined]


@app.post("/reload")
def reload() -> dict[str, str]:
    """Drop the model, then load the newest one."""
    global model  # noqa: PLW0603  (the way that is measured)
    model = None
    model = mlflow.pyfunc.load_model(os.environ["FOREST_MODEL"])
    return {"status": "loaded"}


@app.get("/metrics")
def metrics() -> Response:
    """The counters."""
    return Response(generate_latest(), media_type="text/plain")
