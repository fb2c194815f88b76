"""What the tests of the pages share: one API, one dashboard, one browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from mlops_assets_tests.dashboard.running import chromium, dashboard, reader
from mlops_assets_tests.dashboard.worlds import publish_everything
from mlops_assets_tests.end_to_end.world import empty_registry
from mlops_assets_tests.serving.published import World
from mlops_assets_tests.serving.running import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world that the pages show."""
    home = tmp_path_factory.mktemp("dashboard") / "home"
    world = World.create(home, empty_registry(home.parent))
    publish_everything(world)
    return world


@pytest.fixture(scope="session")
def api(published: World) -> Iterator[httpx.Client]:
    """A client of the real API over that world."""
    with served(published) as client:
        yield client


@pytest.fixture(scope="session")
def pages(api: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real dashboard over that API."""
    port = api.base_url.port
    assert port is not None
    with dashboard(tmp_path_factory.mktemp("streamlit"), api_port=port) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module's tests; each reader has a context of its own.

    Playwright keeps an event loop running in this thread while its browser is open, so it must be
    closed before other tests begin loops of their own.
    """
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A reader at a laptop, in English, with a light theme."""
    with reader(browser) as found:
        yield found


@pytest.fixture
def own_world(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world of one's own, with nothing registered and nothing published."""
    return World.create(tmp_path / "home", empty_registry(tmp_path_factory.getbasetemp()))
