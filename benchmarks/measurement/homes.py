"""Throw-away homes: a benchmark reads no setting of the user and writes nothing of theirs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlops_assets.settings import DataMode, Settings, load_settings


@contextlib.contextmanager
def temporary_folder(data: DataMode, data_dir: Path | None = None) -> Iterator[Path]:
    """A folder that disappears, made the current one so that no `.env` is found.

    Every `MLOPS_*` variable is dropped; data mode and folder of the files are set.
    """
    for name in [name for name in os.environ if name.startswith("MLOPS_")]:
        del os.environ[name]
    os.environ["MLOPS_DATA"] = data
    if data_dir is not None:
        os.environ["MLOPS_DATA_DIR"] = str(data_dir.resolve())
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder, contextlib.chdir(folder):
        yield Path(folder)


def use_home(home: Path) -> Settings:
    """Make `home` the home of this process and prepare its stores, as `mlops run` does."""
    from mlops_assets.cli.stores import prepare

    os.environ["MLOPS_HOME"] = str(home)
    settings = load_settings()
    prepare(settings, lambda _line: None)
    return settings
