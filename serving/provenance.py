"""Where an answer comes from: the fields and headers that every forecast carries.

Here: model, version, alias, data version, run and the flags `synthetic` and `stale`. Not here: the
request id's header, which the layer around the application adds to every answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from serving.deployments import Deployment

HeaderBytes = tuple[bytes, bytes]
"""A header as ASGI takes it: lower-case name and value."""


class Provenance(msgspec.Struct, kw_only=True, frozen=True):
    """What an answer rests on."""

    model_name: Annotated[
        str,
        msgspec.Meta(description="name in the registry", examples=["sample.bitcoin_close"]),
    ]
    candidate: Annotated[str, msgspec.Meta(description="recipe of the model", examples=["ridge"])]
    version: Annotated[str, msgspec.Meta(description="version in the registry", examples=["3"])]
    alias: Annotated[
        str | None,
        msgspec.Meta(
            description="alias by which the version was chosen; null when it was asked for by "
            "number",
            examples=["champion"],
        ),
    ]
    data_version: Annotated[
        str, msgspec.Meta(description="version of the published data", examples=["8c1f7a20"])
    ]
    run_id: Annotated[
        str,
        msgspec.Meta(
            description="MLflow run of the fit", examples=["b7d1c8e2f4a94f0cb4a9a8c1f1d0e3a5"]
        ),
    ]
    synthetic: Annotated[
        bool, msgspec.Meta(description="whether data and model are generated, not observed")
    ]
    stale: Annotated[
        bool,
        msgspec.Meta(description="whether the newest data is older than the problem allows"),
    ]


def source_fields(deployment: Deployment) -> dict[str, Any]:
    """The fields of `Provenance` but `stale`, which changes with time."""
    card, registered = deployment.model.card, deployment.model.registered
    manifest = deployment.snapshot.manifest
    return {
        "model_name": registered.name,
        "candidate": card.candidate,
        "version": registered.version,
        "alias": deployment.alias,
        "data_version": manifest.data_version,
        "run_id": card.mlflow_run_id,
        "synthetic": manifest.synthetic,
    }


def provenance(deployment: Deployment, now: datetime) -> Provenance:
    """What the answers of a deployment rest on at `now`."""
    return Provenance(**source_fields(deployment), stale=deployment.snapshot.is_stale(now))


def headers_of(deployment: Deployment) -> tuple[HeaderBytes, ...]:
    """The provenance as headers."""
    registered = deployment.model.registered
    named = (
        (b"x-model-name", registered.name),
        (b"x-model-version", registered.version),
        (b"x-model-alias", deployment.alias or ""),
        (b"x-data-version", deployment.snapshot.manifest.data_version),
        (b"x-run-id", deployment.model.card.mlflow_run_id),
    )
    # Headers are Latin-1; a name that is not would fail the answer.
    return tuple((name, quote(value, safe=" /:;,.=+@").encode()) for name, value in named)


def set_headers(response: Response, deployment: Deployment) -> None:
    """Repeat the provenance as headers of a framework's response."""
    response.raw_headers.extend(headers_of(deployment))
