"""Where an answer comes from: the fields and headers that every forecast carries.

Here: model, version, alias, data version, run and the flags `synthetic` and `stale`. Not here: the
request id, which `instrumentation` adds to every answer.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from fastapi import Response
from pydantic import BaseModel, Field

from serving.deployments import Deployment


class Provenance(BaseModel):
    """What an answer rests on."""

    model_name: str = Field(description="name in the registry", examples=["sample.bitcoin_close"])
    candidate: str = Field(description="recipe of the model", examples=["ridge"])
    version: str = Field(description="version in the registry", examples=["3"])
    alias: str | None = Field(
        description="alias by which the version was chosen; null when it was asked for by number",
        examples=["champion"],
    )
    data_version: str = Field(description="version of the published data", examples=["8c1f7a20"])
    run_id: str = Field(
        description="MLflow run of the fit", examples=["b7d1c8e2f4a94f0cb4a9a8c1f1d0e3a5"]
    )
    synthetic: bool = Field(description="whether data and model are generated, not observed")
    stale: bool = Field(description="whether the newest data is older than the problem allows")


def provenance(deployment: Deployment, now: datetime) -> Provenance:
    """What the answers of a deployment rest on at `now`."""
    card, registered = deployment.model.card, deployment.model.registered
    manifest = deployment.snapshot.manifest
    return Provenance(
        model_name=registered.name,
        candidate=card.candidate,
        version=registered.version,
        alias=deployment.alias,
        data_version=manifest.data_version,
        run_id=card.mlflow_run_id,
        synthetic=manifest.synthetic,
        stale=deployment.snapshot.is_stale(now),
    )


def set_headers(response: Response, deployment: Deployment) -> None:
    """Repeat the provenance as headers."""
    registered = deployment.model.registered
    for name, value in (
        ("X-Model-Name", registered.name),
        ("X-Model-Version", registered.version),
        ("X-Model-Alias", deployment.alias or ""),
        ("X-Data-Version", deployment.snapshot.manifest.data_version),
        ("X-Run-Id", deployment.model.card.mlflow_run_id),
    ):
        # Headers are Latin-1; a name that is not would fail the answer.
        response.headers[name] = quote(value, safe=" /:;,.=+@")
