"""A world with two recipes and three versions, and a client of its service with an admin's key.

Version 1 (recipe r1, slope -0.1) was promoted first, version 2 (r1, slope -0.2) is its newer fit,
version 3 (r2, slope -0.3) holds the alias; version 2 is the challenger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import httpx

from mlops_assets_tests.serving.published import (
    AS_OF,
    MODEL_NAME,
    NOW,
    PROBLEM,
    World,
    calibration_rows,
    model_files,
)
from mlops_assets_tests.serving.running import listening, until
from serving.access.keys import Role, add_key
from serving.app import create_app
from serving.settings import ServingSettings

LATEST = f"/v1/forecasts/{PROBLEM}/latest"
DAY = timedelta(days=1)
PROMOTED_FIRST = AS_OF - 2 * DAY
PROMOTED_LAST = AS_OF - DAY


def pipeline_tags(candidate: str, recipe: str, as_of: datetime) -> dict[str, str]:
    """The tags that the pipeline gives to every version."""
    return {
        "candidate": candidate,
        "recipe_id": recipe,
        "as_of": as_of.isoformat(),
        "data_version": "d1",
    }


def promotion(as_of: datetime) -> dict[str, str]:
    """The tags of a version that the gate promoted."""
    return {
        "verdict": "promote",
        "verdict_as_of": as_of.isoformat(),
        "verdict_reasons": "It beats the others.\nIt takes the alias.",
        "verdict_figures": '{"tests":[],"mean_losses":{"a":1.0},"alpha":0.05,"look":2}',
    }


def tag(world: World, version: str, tags: Mapping[str, str]) -> None:
    """Tag a version with MLflow's client."""
    for name, value in tags.items():
        world.client.set_model_version_tag(MODEL_NAME, version, name, value)


def publish_both(world: World, *, data_mode: str = "sample") -> str:
    """A snapshot that feeds both recipes; returns its id."""
    rows = [*calibration_rows(recipe_id="r1"), *calibration_rows(recipe_id="r2")]
    return world.publish(calibration=rows, data_mode=data_mode)


def steer(world: World) -> World:
    """Fill a world as this module says."""
    for slope, candidate, recipe, as_of in (
        (-0.1, "first", "r1", PROMOTED_FIRST),
        (-0.2, "first", "r1", PROMOTED_LAST),
        (-0.3, "second", "r2", PROMOTED_LAST),
    ):
        files = model_files(slope, candidate=candidate, recipe_id=recipe)
        version = world.register(files)
        tag(world, version, pipeline_tags(candidate, recipe, as_of))
    tag(world, "1", promotion(PROMOTED_FIRST))
    tag(world, "3", promotion(PROMOTED_LAST))
    world.client.set_registered_model_alias(MODEL_NAME, "challenger", "2")
    publish_both(world)
    return world


@contextmanager
def administered(world: World, settings: ServingSettings | None = None) -> Iterator[httpx.Client]:
    """A client with an admin's key, once version 3 answers."""
    used = settings or world.settings
    key = add_key(used.keys, "operator", Role.ADMIN, now=NOW)
    with listening(create_app(used, clock=lambda: NOW)) as client:
        client.headers["X-Api-Key"] = key
        until(
            lambda: client.post("/v1/admin/reload").status_code == 200 and answering(client) == "3",
            what="version 3 answers",
        )
        yield client


def answering(client: httpx.Client) -> str | None:
    """The version that answers; None when none does."""
    answer = client.get(LATEST)
    return answer.headers["X-Model-Version"] if answer.status_code == 200 else None


def aliases(world: World) -> dict[str, str]:
    """Alias -> version, as MLflow's client sees them."""
    held = world.client.get_registered_model(MODEL_NAME).aliases
    return {alias: str(version) for alias, version in held.items()}


def tags_of(world: World, version: str) -> dict[str, str]:
    """Tags of a version, as MLflow's client sees them."""
    return dict(world.client.get_model_version(MODEL_NAME, version).tags)
