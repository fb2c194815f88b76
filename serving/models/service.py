"""The served model of a problem, described; a pure function of the deployment and the instant."""

from __future__ import annotations

from datetime import datetime

from serving.deployments import Deployment
from serving.models.schemas import ServedModelAnswer


def served_model(deployment: Deployment, *, now: datetime) -> ServedModelAnswer:
    """Card, version, alias and verdict of the model that takes the traffic."""
    card, registered = deployment.model.card, deployment.model.registered
    snapshot = deployment.snapshot
    return ServedModelAnswer(
        problem=card.problem,
        model_name=registered.name,
        version=registered.version,
        alias=deployment.alias,
        candidate=card.candidate,
        refit_at=card.refit_at,
        refit_age_seconds=(now - card.refit_at).total_seconds(),
        snapshot_id=snapshot.manifest.snapshot_id,
        verdict=None if snapshot.verdict is None else dict(snapshot.verdict),
        card=card,
    )
