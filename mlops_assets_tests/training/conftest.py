from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlops_assets.settings import Settings
from mlops_assets_tests.training.namespace import namespace


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A namespace whose MLflow store the tests of one module share."""
    with namespace(tmp_path_factory.mktemp("home"), tmp_path_factory.getbasetemp()) as made:
        yield made
