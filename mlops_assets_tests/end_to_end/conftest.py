from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.cli.summary import RunSummary
from mlops_assets_tests.end_to_end.world import World, first_run


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this test session."""
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="session")
def first(session: Path) -> World:
    """A world after its first run, to look at only."""
    return first_run(session)[0]


@pytest.fixture(scope="session")
def summary(session: Path) -> RunSummary:
    """What that run came to."""
    return first_run(session)[1]


@pytest.fixture
def world(first: World, tmp_path: Path) -> World:
    """A copy of it, to do with what one likes."""
    return first.copy(tmp_path / "world")
