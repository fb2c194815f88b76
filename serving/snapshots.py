"""Follows published snapshots: finds the newest of each problem, verifies it and offers it.

Here: discovery of problems, `latest.json`, checksums and caps. Not here: what a snapshot holds
(`snapshot_content`), which model it feeds (`deployments`), how bytes are read (`storage`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from serving.contract.monitoring import Monitoring
from serving.contract.snapshot import (
    CALIBRATION,
    INPUTS,
    LATEST,
    MANIFEST,
    MONITORING,
    PUBLISHED,
    VERDICT,
    Manifest,
    problem_prefix,
)
from serving.deployments import Deployments
from serving.domain_errors import SnapshotRefusedError, StorageUnreachableError
from serving.polling import Retries
from serving.snapshot_content import (
    Snapshot,
    parse_calibration,
    parse_inputs,
    parse_manifest,
    parse_monitoring,
    parse_verdict,
)
from serving.storage import PublishedStorage

_LOG = logging.getLogger(__name__)


class _Latest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    snapshot_id: str
    manifest_sha256: str


class SnapshotFollower:
    """Looks for problems and their newest snapshots; a refused one leaves the last one serving."""

    def __init__(
        self,
        storage: PublishedStorage,
        deployments: Deployments,
        *,
        max_bytes: int,
        retries: Retries,
    ) -> None:
        """Follow `storage` on behalf of `deployments`."""
        self._storage = storage
        self._deployments = deployments
        self._max_bytes = max_bytes
        self._retries = retries
        self._seen: dict[str, _Latest] = {}

    def poll(self) -> None:
        """Look once at every problem."""
        try:
            for problem in self._storage.folders(PUBLISHED):
                self._follow(problem)
        except StorageUnreachableError as error:
            if self._deployments.storage_complains(
                f"the storage of snapshots does not answer ({error}); the last snapshots keep "
                "serving; bring the storage back or correct MLOPS_STORAGE_URI"
            ):
                _LOG.warning("the storage of snapshots does not answer", exc_info=error)
        else:
            self._deployments.storage_complains(None)

    def _follow(self, problem: str) -> None:
        latest: _Latest | None = None
        try:
            latest = self._latest(problem)
            if latest in (None, self._seen.get(problem)) or self._retries.must_wait(
                problem, latest
            ):
                return
            snapshot = self._load(problem, latest)
        except SnapshotRefusedError as error:
            self._retries.refused(problem, latest)
            self._deployments.snapshot_refused(problem, str(error))
        else:
            self._seen[problem] = latest
            self._deployments.offer_snapshot(problem, snapshot)

    def _latest(self, problem: str) -> _Latest | None:
        content = self._storage.read(f"{problem_prefix(problem)}/{LATEST}", max_bytes=100_000)
        if content is None:
            return None
        try:
            return _Latest.model_validate_json(content)
        except ValidationError as error:
            raise SnapshotRefusedError(
                f"{LATEST} of {problem} is not readable; it must name snapshot_id and "
                "manifest_sha256; publish again"
            ) from error

    def _load(self, problem: str, latest: _Latest) -> Snapshot:
        folder = f"{problem_prefix(problem)}/{latest.snapshot_id}"
        manifest = parse_manifest(
            self._content(folder, MANIFEST, latest.manifest_sha256), problem=problem
        )
        inputs = parse_inputs(self._listed(folder, manifest, INPUTS))
        calibration = parse_calibration(self._listed(folder, manifest, CALIBRATION), inputs)
        verdict: Mapping[str, Any] | None = None
        if VERDICT in manifest.files:
            verdict = parse_verdict(self._listed(folder, manifest, VERDICT))
        monitoring: Monitoring | None = None
        if MONITORING in manifest.files:
            monitoring = parse_monitoring(self._listed(folder, manifest, MONITORING))
        return Snapshot(
            manifest=manifest,
            inputs=inputs,
            calibration=calibration,
            verdict=verdict,
            monitoring=monitoring,
        )

    def _listed(self, folder: str, manifest: Manifest, file: str) -> bytes:
        if file not in manifest.files:
            raise SnapshotRefusedError(
                f"{MANIFEST} of {manifest.snapshot_id} lists no {file}; it is needed; publish again"
            )
        return self._content(folder, file, manifest.files[file].sha256)

    def _content(self, folder: str, file: str, sha256: str) -> bytes:
        content = self._storage.read(f"{folder}/{file}", max_bytes=self._max_bytes)
        if content is None:
            raise SnapshotRefusedError(f"{folder}/{file} does not exist; publish again")
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise SnapshotRefusedError(
                f"{folder}/{file} has sha256 {found[:12]}..., {sha256[:12]}... was published; "
                "a file that was changed is not served; publish again"
            )
        return content
