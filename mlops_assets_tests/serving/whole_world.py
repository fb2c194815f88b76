"""A world in which every endpoint has something to answer, and a client of its service.

`bitcoin_close` has evidence of every kind, a champion (version 2, recipe r2, slope -0.2) and a
challenger (version 1, recipe r1, slope -0.1), which was the champion before; `drink_share` has a
model of shares and no evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from mlops_assets_tests.serving.administration.steered import (
    PROMOTED_FIRST,
    PROMOTED_LAST,
    pipeline_tags,
    promotion,
    tag,
)
from mlops_assets_tests.serving.published import (
    MODEL_NAME,
    NOW,
    PROBLEM,
    World,
    calibration_rows,
    model_files,
)
from mlops_assets_tests.serving.published_past import past
from mlops_assets_tests.serving.published_shares import (
    SHARES,
    SHARES_MODEL_NAME,
    publish_shares,
    share_files,
)
from mlops_assets_tests.serving.running import started, until
from serving.access.keys import Role, add_key


def whole_world(folder: Path, empty_registry: Path) -> World:
    """A world as this module says, in a folder."""
    world = World.create(folder / "home", empty_registry)
    for slope, candidate, recipe, as_of in (
        (-0.1, "first", "r1", PROMOTED_FIRST),
        (-0.2, "second", "r2", PROMOTED_LAST),
    ):
        version = world.register(model_files(slope, candidate=candidate, recipe_id=recipe))
        tag(world, version, pipeline_tags(candidate, recipe, as_of) | promotion(as_of))
    world.client.set_registered_model_alias(MODEL_NAME, "challenger", "1")
    rows = [*calibration_rows(recipe_id="r1"), *calibration_rows(recipe_id="r2")]
    world.publish(calibration=rows, files=past(world.home))
    world.register(share_files(), name=SHARES_MODEL_NAME)
    publish_shares(world)
    return world


def add_admin(world: World) -> str:
    """A key with the role admin, which a service started afterwards knows."""
    return add_key(world.settings.keys, "operator", Role.ADMIN, now=NOW)


@contextmanager
def whole_service(world: World) -> Iterator[httpx.Client]:
    """A client of the service, once both problems are answered."""
    with started(world) as client:
        for problem in (PROBLEM, SHARES):
            address = f"/v1/forecasts/{problem}/latest"
            until(lambda at=address: client.get(at).is_success, what=f"{address} is answered")  # type: ignore[misc]
        yield client
