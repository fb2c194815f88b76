"""The last good snapshot of each problem on disk, so that a start needs no storage.

Here: what is kept and in which form: that of the published storage, so that it is read back, and
verified by its checksums, like any published snapshot. Not here: when one is kept (`snapshots`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from serving.atomic_files import CacheError, place_file, place_folder, remove_others, require_plain
from serving.contract.snapshot import LATEST, problem_prefix
from serving.storage import PublishedStorage


class SnapshotCache:
    """The last good snapshots below one folder."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; it is made by the first write."""
        self._root = folder / "snapshots"

    @property
    def storage(self) -> PublishedStorage:
        """What is kept, as a storage."""
        return PublishedStorage(str(self._root))

    def write(
        self, problem: str, snapshot_id: str, *, contents: Mapping[str, bytes], latest: bytes
    ) -> None:
        """Keep a verified snapshot in place of the one before.

        Args:
            problem: whose snapshot it is.
            snapshot_id: its folder.
            contents: its files as published, the manifest among them.
            latest: the file that names it, as published.

        Raises:
            CacheError: the disk does not take it.
        """
        folder = self._root / problem_prefix(require_plain(problem))
        try:
            place_folder(folder / require_plain(snapshot_id), contents)
            place_file(folder / LATEST, latest)
            remove_others(folder, keep=snapshot_id)
        except OSError as error:
            raise CacheError.of(error) from error
