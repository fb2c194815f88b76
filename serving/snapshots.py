"""Follows published snapshots: finds the newest of each problem, has it verified and offers it.

Here: discovery of problems, when which snapshot is read, and when it is kept on disk. Not here: how
one is read and verified (`snapshot_reading`), what it holds (`snapshot_content`), which model it
feeds (`deployments`), where the last good ones are kept (`snapshot_cache`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from serving.atomic_files import CacheError
from serving.contract.snapshot import PUBLISHED
from serving.deployments import Deployments, Topic
from serving.domain_errors import SnapshotRefusedError, StorageUnreachableError
from serving.polling import Retries
from serving.snapshot_cache import SnapshotCache
from serving.snapshot_reading import Latest, SnapshotReader
from serving.storage import PublishedStorage

_LOG = logging.getLogger(__name__)


class SnapshotFollower:
    """Looks for problems and their newest snapshots; a refused one leaves the last one serving."""

    def __init__(
        self,
        storage: PublishedStorage,
        deployments: Deployments,
        *,
        max_bytes: int,
        retries: Retries,
        cache: SnapshotCache | None = None,
    ) -> None:
        """Follow `storage` on behalf of `deployments`, and keep what was served in `cache`."""
        self._storage = storage
        self._reader = SnapshotReader(storage, max_bytes=max_bytes)
        self._deployments = deployments
        self._max_bytes = max_bytes
        self._retries = retries
        self._cache = cache
        self._cache_retries = Retries(retries.looks)
        self._seen: dict[str, Latest] = {}
        self._kept: dict[str, Latest] = {}
        self._contents: dict[str, tuple[Latest, Mapping[str, bytes]]] = {}
        self._looking = threading.Lock()

    def restore(self) -> None:
        """Offer the snapshots that were kept on disk, before the storage is asked."""
        if self._cache is None:
            return
        kept = self._cache.storage
        reader = SnapshotReader(kept, max_bytes=self._max_bytes)
        try:
            problems = kept.folders(PUBLISHED)
        except StorageUnreachableError as error:
            _LOG.warning("the snapshots on disk cannot be read (%s)", error)
            return
        for problem in problems:
            self._restore(problem, reader)

    def _restore(self, problem: str, reader: SnapshotReader) -> None:
        try:
            latest = reader.latest(problem)
            if latest is None:
                return
            snapshot = reader.read(problem, latest).snapshot
        except (SnapshotRefusedError, StorageUnreachableError) as error:
            _LOG.warning("the snapshot of %s on disk is refused: %s", problem, error)
            self._deployments.snapshot_refused(
                problem, f"the snapshot that was kept on disk is refused: {error}"
            )
            return
        self._seen[problem] = self._kept[problem] = latest
        self._deployments.offer_snapshot(
            problem,
            snapshot,
            complaint=f"snapshot {latest.snapshot_id} was kept on disk, the storage has not "
            "confirmed it yet; bring it back or correct MLOPS_STORAGE_URI if this stays",
        )

    def poll(self) -> None:
        """Look once at every problem."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        try:
            published = self._storage.folders(PUBLISHED)
            for problem in published:
                self._follow(problem)
        except StorageUnreachableError as error:
            self._complain(
                f"the storage of snapshots does not answer ({error}); the last snapshots keep "
                "serving; bring the storage back or correct MLOPS_STORAGE_URI",
                error,
            )
            return
        if gone := sorted(self._seen.keys() - set(published)):
            self._complain(
                f"the storage no longer has snapshots of {', '.join(gone)}; the last snapshots "
                "keep serving; bring the storage back, or restart to forget these problems"
            )
        else:
            self._deployments.storage_complains(None)

    def _complain(self, message: str, error: Exception | None = None) -> None:
        if self._deployments.storage_complains(message):
            _LOG.warning("%s", message, exc_info=error)

    def _follow(self, problem: str) -> None:
        latest: Latest | None = None
        try:
            latest = self._reader.latest(problem)
            if latest is None:
                return
            if latest == self._seen.get(problem):
                self._deployments.snapshot_settled(problem)
            elif not self._retries.must_wait(problem, latest):
                self._load(problem, latest)
            self._keep(problem, latest)
        except SnapshotRefusedError as error:
            self._retries.refused(problem, latest)
            self._deployments.snapshot_refused(problem, str(error))

    def _load(self, problem: str, latest: Latest) -> None:
        found = self._reader.read(problem, latest)
        self._seen[problem] = latest
        if self._cache is not None:
            self._contents[problem] = (latest, found.contents)
        self._deployments.offer_snapshot(problem, found.snapshot)

    def _keep(self, problem: str, latest: Latest) -> None:
        """Keep a snapshot on disk once it is in service, so that what is kept can serve."""
        deployment = self._deployments.deployed(problem)
        if (
            self._cache is None
            or deployment is None
            or deployment.snapshot.manifest.snapshot_id != latest.snapshot_id
            or self._kept.get(problem) == latest
            or self._cache_retries.must_wait(problem, latest)
        ):
            return
        of, contents = self._contents.pop(problem, (None, {}))
        if of != latest:
            contents = self._reader.read(problem, latest).contents
        try:
            self._cache.write(
                problem,
                latest.snapshot_id,
                contents=contents,
                latest=latest.model_dump_json().encode(),
            )
        except CacheError as error:
            self._cache_retries.refused(problem, latest)
            message = (
                f"the snapshot cannot be kept on disk ({error}); answers go on, but a start "
                "without the storage would have none; free the disk or correct MLOPS_API_CACHE"
            )
            if self._deployments.complain(problem, Topic.SNAPSHOT_CACHE, message):
                _LOG.warning("%s", message)
        else:
            self._kept[problem] = latest
            self._deployments.complain(problem, Topic.SNAPSHOT_CACHE, None)
