"""Examples that work: what is served at the moment takes the place of what is written.

Here: the values of a running service, and putting them into the examples of an OpenAPI document.
Not here: the examples themselves, which are written beside their endpoints.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from serving.contract.steps import needs_segment
from serving.deployments import Deployment, Deployments
from serving.forecasts.share_questions import KEYS, day_of
from serving.inference_protocol.service import example_inputs

Json = dict[str, Any]

_PARAMETERS: Final = KEYS | {
    "problem",
    "model",
    "version",
    "replay",
    "from",
    "origin",
    "date",
}
"""Parameters whose example is a live value, where they have an example or must be given."""


def with_live_examples(document: Json, deployments: Deployments) -> Json:
    """A copy of a document whose examples can be sent as they stand.

    Examples with features need a model that takes them, which one of shares does not: they are
    left out where every problem is one of shares.
    """
    served = [
        deployment
        for problem in deployments.problems
        if (deployment := deployments.deployed(problem)) is not None
    ]
    if not served:
        return document
    # Features are taken where forecasts are no shares: such a problem shows every example.
    served.sort(key=lambda deployment: needs_segment(deployment.model.card.steps))
    shares = next((d for d in served if set(d.snapshot.manifest.series_keys) == KEYS), None)
    values = _values(served[0]) | (_share_values(shares) if shares else {})
    live = copy.deepcopy(document)
    for methods in live["paths"].values():
        for operation in methods.values():
            _enliven(operation, values)
    return live


def _values(deployment: Deployment) -> Json:
    card, snapshot = deployment.model.card, deployment.snapshot
    series = snapshot.series[0]
    values: Json = {
        "problem": card.problem,
        "model": card.problem,
        "version": deployment.model.registered.version,
        "inputs": example_inputs(card),
        "series": series,
        "origin": _text(snapshot.newest_origin(series)),
        "from": _text(snapshot.newest_origin(series)),
    }
    if snapshot.evidence.replays:
        values["replay"] = next(iter(snapshot.evidence.replays))
    if not needs_segment(card.steps):
        example = card.example
        values["features"] = {
            feature.name: value
            for feature, value in zip(card.features, example.features[0], strict=True)
        }
        values["last_value"] = example.last_value[0]
    return values


def _share_values(deployment: Deployment) -> Json:
    snapshot = deployment.snapshot
    series = snapshot.series[0]
    row = snapshot.inputs.at(series, snapshot.newest_origin(series))[0]
    labels = zip(snapshot.manifest.series_keys, series.split("/"), strict=True)
    return {
        **dict(labels),
        "date": day_of(deployment, snapshot.inputs.valid_time[row]).isoformat(),
    }


def _enliven(operation: Json, values: Json) -> None:
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        shown = parameter["required"] or "example" in parameter
        if name in values and name in _PARAMETERS and shown:
            parameter["example"] = values[name]
    for media in operation.get("requestBody", {}).get("content", {}).values():
        examples = media.get("examples", {})
        for name, example in list(examples.items()):
            if not isinstance(example["value"], dict):
                continue
            if "features" in example["value"] and "features" not in values:
                del examples[name]
            else:
                example["value"] = {
                    key: _alike(written, values[key]) if key in values else written
                    for key, written in example["value"].items()
                }


def _alike(written: object, value: object) -> object:
    """A live value in the form of the written one: alone, or as a list or columns of it."""
    if isinstance(value, list):
        return value
    if isinstance(written, list):
        return [value] * len(written)
    if isinstance(written, Mapping) and isinstance(value, Mapping):
        lists = [len(column) for column in written.values() if isinstance(column, list)]
        return {name: [v] * lists[0] for name, v in value.items()} if lists else dict(value)
    return value


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
