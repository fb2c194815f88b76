"""A bounded folder of Python objects that are costly to make, each under a key of its own.

Here: keeping, finding and forgetting. Not here: what a key must cover (`training.recall`), and
tables (`storage.tables`). What is found is what was kept, bit for bit. Losing the folder costs
time and nothing else, so an object that another version of the code wrote is simply made again:
its key differs.

Objects are pickled, and reading a pickle runs what it names: the folder must be this user's own.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Final

from mlops_assets.storage.files import TEMPORARY_SUFFIX

MAX_BYTES: Final = 2 * 1024**3
"""Size of a folder beyond which the objects that were not used for longest are forgotten."""

_ENDING: Final = ".pickle"


class KeptObjects:
    """The objects kept in one folder; several processes may share it."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        """Create nothing yet.

        Args:
            folder: this user's own.
            max_bytes: bound on the size of all its objects together.
        """
        self._folder = folder
        self._max_bytes = max_bytes

    def find(self, key: str) -> object | None:
        """The object kept under a key; None where there is none. It counts as used now."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            os.utime(path)
        except FileNotFoundError:  # never kept, or forgotten by another process just now
            return None
        found: object = pickle.loads(content)
        return found

    def keep(self, key: str, kept: object) -> None:
        """Keep an object, and forget others where the folder grows too large."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(key)
        partial = path.with_suffix(f".{os.getpid()}{TEMPORARY_SUFFIX}")
        partial.write_bytes(pickle.dumps(kept, protocol=pickle.HIGHEST_PROTOCOL))
        partial.rename(path)
        self._forget()

    def _forget(self) -> None:
        """Remove what was not used for longest, as far as the bound asks for it."""
        stats = [(path, path.stat()) for path in self._folder.glob(f"*{_ENDING}")]
        size = sum(stat.st_size for _, stat in stats)
        for path, stat in sorted(stats, key=lambda pair: pair[1].st_mtime_ns):
            if size <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            size -= stat.st_size

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}{_ENDING}"
