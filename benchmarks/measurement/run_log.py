"""What Dagster's event log says about a run: seconds of each step, counts, metadata."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg


def step_seconds(logs: Sequence[dg.EventLogEntry], problem: str) -> dict[str, float]:
    """Wall seconds of each step from its start to its success, by asset (or `<asset>_checks`)."""
    started: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for entry in logs:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.is_step_start:
            started[event.step_key] = entry.timestamp
        elif event.is_step_success:
            name = event.step_key.removeprefix(f"{problem}__")
            seconds[name] = entry.timestamp - started[event.step_key]
    return seconds


def resource_seconds(logs: Sequence[dg.EventLogEntry]) -> float:
    """Wall seconds in which the run's resources were initialised."""
    total, since = 0.0, None
    for entry in logs:
        kind = entry.dagster_event.event_type if entry.dagster_event else None
        if kind is dg.DagsterEventType.RESOURCE_INIT_STARTED:
            since = entry.timestamp
        elif kind is dg.DagsterEventType.RESOURCE_INIT_SUCCESS and since is not None:
            total, since = total + entry.timestamp - since, None
    return total


def materialised_number(logs: Sequence[dg.EventLogEntry], key: dg.AssetKey, name: str) -> int:
    """A whole number from the metadata of an asset's materialisation."""
    for entry in logs:
        found = entry.asset_materialization
        if found is not None and found.asset_key == key:
            return int(str(found.metadata[name].value))
    raise LookupError(f"{key.to_user_string()} was not materialised in this run")
