from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets_tests.end_to_end.world import empty_registry
from mlops_assets_tests.promotion.registered import Shelf


@pytest.fixture
def shelf(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A registry of one's own, with nothing in it."""
    return Shelf(tmp_path, empty_registry(tmp_path_factory.getbasetemp()))
