"""Reads one published snapshot of a problem and verifies every file by its checksum.

Here: `latest.json`, the manifest's checksums and the cap on sizes. Not here: what the files hold
(`snapshot_content`, `published_evidence`), when which storage is read (`snapshots`) and how bytes
are read (`storage`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.contract.monitoring import Monitoring
from serving.contract.snapshot import (
    CALIBRATION,
    EVIDENCE_FILES,
    INPUTS,
    LATEST,
    MANIFEST,
    MONITORING,
    VERDICT,
    Manifest,
    problem_prefix,
)
from serving.domain_errors import SnapshotRefusedError
from serving.published_evidence import read_evidence
from serving.snapshot_content import (
    Snapshot,
    parse_calibration,
    parse_inputs,
    parse_manifest,
    parse_monitoring,
    parse_verdict,
)
from serving.storage import PublishedStorage

_LARGEST_LATEST = 100_000


class Latest(BaseModel):
    """`latest.json`: the newest complete snapshot of a problem."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    snapshot_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class ReadSnapshot:
    """A verified snapshot with the bytes that were read for it."""

    snapshot: Snapshot
    contents: Mapping[str, bytes]
    """File -> its content, the manifest among them."""


class SnapshotReader:
    """Reads snapshots of a storage."""

    def __init__(self, storage: PublishedStorage, *, max_bytes: int) -> None:
        """Refuse files of more than `max_bytes`."""
        self._storage = storage
        self._max_bytes = max_bytes

    def latest(self, problem: str) -> Latest | None:
        """Which snapshot of a problem is the newest; None when none is complete.

        Raises:
            SnapshotRefusedError: the file that says so cannot be read.
            StorageUnreachableError: the storage does not answer.
        """
        content = self._storage.read(
            f"{problem_prefix(problem)}/{LATEST}", max_bytes=_LARGEST_LATEST
        )
        if content is None:
            return None
        try:
            return Latest.model_validate_json(content)
        except ValidationError as error:
            raise SnapshotRefusedError(
                f"{LATEST} of {problem} is not readable; it must name snapshot_id and "
                "manifest_sha256; publish again"
            ) from error

    def read(self, problem: str, latest: Latest) -> ReadSnapshot:
        """One snapshot with all its files.

        Raises:
            SnapshotRefusedError: a file is absent, changed, too large or not readable.
            StorageUnreachableError: the storage does not answer.
        """
        folder = f"{problem_prefix(problem)}/{latest.snapshot_id}"
        content = self._content(folder, MANIFEST, latest.manifest_sha256)
        manifest = parse_manifest(content, problem=problem)
        contents = {MANIFEST: content}
        for file in (INPUTS, CALIBRATION):
            contents[file] = self._listed(folder, manifest, file)
        for file in (VERDICT, MONITORING, *EVIDENCE_FILES):
            if file in manifest.files:
                contents[file] = self._listed(folder, manifest, file)
        return ReadSnapshot(_parsed(manifest, contents), contents)

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


def _parsed(manifest: Manifest, contents: Mapping[str, bytes]) -> Snapshot:
    inputs = parse_inputs(contents[INPUTS])
    verdict: Mapping[str, Any] | None = None
    if VERDICT in contents:
        verdict = parse_verdict(contents[VERDICT])
    monitoring: Monitoring | None = None
    if MONITORING in contents:
        monitoring = parse_monitoring(contents[MONITORING])
    evidence = {file: contents[file] for file in EVIDENCE_FILES if file in contents}
    return Snapshot(
        manifest=manifest,
        inputs=inputs,
        calibration=parse_calibration(contents[CALIBRATION], inputs),
        verdict=verdict,
        monitoring=monitoring,
        evidence=read_evidence(evidence),
    )
