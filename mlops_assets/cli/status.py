"""`mlops status`: champion, age and stores of each problem, and what listens on the ports.

Here: reading, one fact a field. Not here: how it looks (`cli.render`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_assets.cli.summary import RunSummary
from mlops_assets.settings import Settings
from serving.contract.snapshot import MANIFEST, Manifest, problem_prefix


@dataclass(frozen=True)
class ProblemStatus:
    """One problem as it stands now; None where nothing is published."""

    problem: str
    summary: RunSummary | None
    snapshot_id: str | None
    age: timedelta | None


def problem_status(settings: Settings, problem: str, *, now: datetime) -> ProblemStatus:
    """Read what a problem has published last.

    Args:
        settings: name the storage.
        problem: the problem's name.
        now: the age is counted from the data's `as_of` to here.
    """
    from mlops_assets.cli.run import read_summary

    manifest = newest_manifest(settings, problem)
    return ProblemStatus(
        problem=problem,
        summary=read_summary(settings, problem),
        snapshot_id=manifest.snapshot_id if manifest else None,
        age=now - manifest.as_of if manifest else None,
    )


def newest_manifest(settings: Settings, problem: str) -> Manifest | None:
    """The manifest that `latest.json` names; None before the first publication."""
    from mlops_assets.storage.publication import latest_snapshot_id
    from mlops_assets.storage.tables import TableStore

    store = TableStore(settings.storage)
    snapshot_id = latest_snapshot_id(store, problem)
    if snapshot_id is None:
        return None
    path = f"{problem_prefix(problem)}/{snapshot_id}/{MANIFEST}"
    return Manifest.model_validate_json(store.read_file(path))


def stores(settings: Settings) -> list[tuple[str, str]]:
    """Where this namespace keeps what: name and address, without passwords."""
    return [
        ("data mode", settings.data),
        ("tables and snapshots", settings.storage),
        ("MLflow store", without_password(settings.tracking_uri)),
        ("MLflow artifacts", settings.artifact_uri),
        ("Dagster home", str(settings.dagster_home)),
    ]


def without_password(address: str) -> str:
    """The address with `***` in place of a password."""
    from sqlalchemy.engine import make_url

    return make_url(address).render_as_string(hide_password=True) if "@" in address else address
