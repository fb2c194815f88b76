"""The state of the service as of an instant; pure functions of what is served."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from serving.deployments import Deployment, Deployments
from serving.domain_errors import NotReadyError
from serving.health.schemas import Health, ModelHealth, ProblemHealth, SnapshotHealth, Status

_NOTHING = (
    "no snapshot of any problem is published; materialise the assets of a problem, "
    "for example with `mlops run bitcoin_close`"
)


def health(deployments: Deployments, *, stopped: Sequence[str], now: datetime) -> Health:
    """The service and its problems; `stopped` names the followers that no longer run."""
    problems = [problem_health(deployments, problem, now=now) for problem in deployments.problems]
    reasons = [
        *(f"the follower of {name} has stopped; restart the service" for name in stopped),
        *deployments.complaints(),
    ]
    if not problems:
        reasons.append(_NOTHING)
    ready = any(problem.ready for problem in problems)
    degraded = bool(reasons) or any(problem.status != "ok" for problem in problems)
    return Health(
        live=not stopped,
        ready=ready,
        status=_status(ready=ready, degraded=degraded),
        reasons=reasons,
        problems=problems,
    )


def problem_health(deployments: Deployments, problem: str, *, now: datetime) -> ProblemHealth:
    """One problem: what serves it, and what is wrong."""
    deployment = deployments.deployed(problem)
    reasons = list(deployments.complaints(problem))
    if deployment is None and not reasons:
        reasons = ["its champion has not been loaded yet; wait a few seconds"]
    return ProblemHealth(
        problem=problem,
        status=_status(ready=deployment is not None, degraded=bool(reasons)),
        ready=deployment is not None,
        reasons=reasons,
        model=None if deployment is None else _model(deployment, now),
        snapshot=None if deployment is None else _snapshot(deployment, now),
    )


def require_ready(deployments: Deployments) -> None:
    """Pass when at least one problem can be answered.

    Raises:
        NotReadyError: none can; with the reasons and the remedy.
    """
    if any(deployments.deployed(problem) for problem in deployments.problems):
        return
    reasons = [r for problem in deployments.problems for r in deployments.complaints(problem)]
    raise NotReadyError(
        rule="no problem has both a champion and a snapshot that feeds it"
        + (f": {' | '.join(reasons)}" if reasons else ""),
        remedy="materialise the assets of a problem, for example with `mlops run bitcoin_close`",
    )


def _status(*, ready: bool, degraded: bool) -> Status:
    if not ready:
        return "not_ready"
    return "degraded" if degraded else "ok"


def _model(deployment: Deployment, now: datetime) -> ModelHealth:
    card, registered = deployment.model.card, deployment.model.registered
    return ModelHealth(
        name=registered.name,
        version=registered.version,
        alias=deployment.alias,
        candidate=card.candidate,
        refit_at=card.refit_at,
        refit_age_seconds=(now - card.refit_at).total_seconds(),
    )


def _snapshot(deployment: Deployment, now: datetime) -> SnapshotHealth:
    manifest = deployment.snapshot.manifest
    return SnapshotHealth(
        snapshot_id=manifest.snapshot_id,
        as_of=manifest.as_of,
        age_seconds=(now - manifest.as_of).total_seconds(),
        stale=deployment.snapshot.is_stale(now),
        synthetic=manifest.synthetic,
    )
