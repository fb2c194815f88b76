"""Publishing a snapshot: files first, then the manifest, then the pointer to it.

Here: the order of writing, the checksums and how many snapshots are kept. Not here: what the files
hold (`serving.contract.snapshot`) and who makes them (the asset `published`).

A reader starts at `latest.json`, so a crash at any point leaves it with the previous snapshot.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import polars as pl

from mlops_assets.storage.tables import TableStore
from serving.contract.snapshot import LATEST, MANIFEST, FileEntry, Manifest, problem_prefix

KEPT_SNAPSHOTS: Final = 30
"""Complete snapshots that stay; older ones are deleted after a publication."""

_ID_TIME: Final = "%Y%m%dT%H%M%SZ"


class PublicationError(ValueError):
    """A snapshot cannot be published as asked."""


def publish(
    store: TableStore,
    draft: Manifest,
    files: Mapping[str, bytes | pl.DataFrame],
    *,
    keep: int = KEPT_SNAPSHOTS,
) -> Manifest:
    """Write a snapshot and, unless a newer one is out, point `latest.json` at it.

    "Newer" means a later `as_of`: publishing the past again never moves the service back.

    Args:
        store: where the folder `published/` lives.
        draft: the manifest's facts; its `snapshot_id` and `files` are filled in here.
        files: name in the snapshot -> content; a frame is written as Parquet.
        keep: number of snapshots that stay, the newest by `as_of`.

    Returns:
        The manifest as written.

    Raises:
        PublicationError: there is no file, a file has a reserved name, or `keep` is below 1.
    """
    _check(files, keep)
    contents = {name: _content(value) for name, value in files.items()}
    entries = {name: _entry(files[name], contents[name]) for name in files}
    manifest = draft.model_copy(update={"snapshot_id": _snapshot_id(draft, entries)})
    manifest = manifest.model_copy(update={"files": entries})
    folder = f"{problem_prefix(manifest.problem)}/{manifest.snapshot_id}"
    for name, content in contents.items():
        store.write_file(f"{folder}/{name}", content)
    written = manifest.model_dump_json(indent=2).encode()
    store.write_file(f"{folder}/{MANIFEST}", written)
    _point_latest(store, manifest, hashlib.sha256(written).hexdigest())
    _delete_old(store, manifest, keep)
    return manifest


def latest_snapshot_id(store: TableStore, problem: str) -> str | None:
    """The snapshot that the service reads now; None before the first publication."""
    path = f"{problem_prefix(problem)}/{LATEST}"
    if not store.files.exists(path):
        return None
    return str(json.loads(store.read_file(path))["snapshot_id"])


def _check(files: Mapping[str, bytes | pl.DataFrame], keep: int) -> None:
    if not files:
        raise PublicationError("a snapshot without files; it must hold at least one; pass `files`")
    if reserved := sorted({MANIFEST, LATEST} & set(files)):
        raise PublicationError(
            f"{reserved[0]!r} is written by the publication itself; rename the file"
        )
    if keep < 1:
        raise PublicationError(f"keep={keep} would delete every snapshot; keep at least 1")


def _content(value: bytes | pl.DataFrame) -> bytes:
    if isinstance(value, bytes):
        return value
    buffer = io.BytesIO()
    value.write_parquet(buffer)
    return buffer.getvalue()


def _entry(value: bytes | pl.DataFrame, content: bytes) -> FileEntry:
    return FileEntry(
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        rows=len(value) if isinstance(value, pl.DataFrame) else None,
    )


def _snapshot_id(draft: Manifest, entries: Mapping[str, FileEntry]) -> str:
    """`<as_of>-<8 hex digits>`; the digits tell two publications of one `as_of` apart."""
    told = draft.model_copy(update={"snapshot_id": "", "files": dict(entries)})
    digest = hashlib.sha256(told.model_dump_json().encode()).hexdigest()
    return f"{draft.as_of.astimezone(UTC):{_ID_TIME}}-{digest[:8]}"


def _as_of(snapshot_id: str) -> datetime:
    time, _, _ = snapshot_id.partition("-")
    return datetime.strptime(time, _ID_TIME).replace(tzinfo=UTC)


def _point_latest(store: TableStore, manifest: Manifest, manifest_sha256: str) -> None:
    current = latest_snapshot_id(store, manifest.problem)
    if current is not None and _as_of(current) > _as_of(manifest.snapshot_id):
        return
    pointer = {"snapshot_id": manifest.snapshot_id, "manifest_sha256": manifest_sha256}
    path = f"{problem_prefix(manifest.problem)}/{LATEST}"
    store.write_file(path, json.dumps(pointer, indent=2).encode())


def _delete_old(store: TableStore, manifest: Manifest, keep: int) -> None:
    """Delete all but the newest snapshots; the served one and the one just written always stay."""
    prefix = problem_prefix(manifest.problem)
    needed = {manifest.snapshot_id, latest_snapshot_id(store, manifest.problem)}
    for snapshot_id in store.files.folders(prefix)[:-keep]:
        if snapshot_id in needed:
            continue
        if store.files.exists(f"{prefix}/{snapshot_id}/{MANIFEST}"):
            # First the manifest: a deletion that stops half-way must not look complete.
            store.files.delete(f"{prefix}/{snapshot_id}/{MANIFEST}")
        store.files.delete_folder(f"{prefix}/{snapshot_id}")
