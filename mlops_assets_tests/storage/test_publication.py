from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.storage.publication import PublicationError, latest_snapshot_id, publish
from mlops_assets.storage.tables import TableStore
from serving.contract.snapshot import Manifest

NOON = datetime(2025, 6, 19, 12, tzinfo=UTC)
FILES: dict[str, bytes | pl.DataFrame] = {
    "forecasts.parquet": pl.DataFrame({"point": [1.0, 2.0]}),
    "verdict.json": b"{}",
}


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path))


def draft(*, as_of: datetime = NOON, run: str = "run") -> Manifest:
    return Manifest(
        snapshot_id="",
        problem="p",
        title="P",
        unit="USDT",
        as_of=as_of,
        created_at=as_of,
        frequency_seconds=3600.0,
        horizon=1,
        stale_after_seconds=7200.0,
        synthetic=True,
        data_mode="sample",
        data_version="abc",
        dagster_run_id=run,
        registered_model="sample.p",
        files={},
    )


def snapshots(store: TableStore) -> list[str]:
    return store.files.folders("published/p")


def test_a_snapshot_is_read_back_from_its_pointer_to_its_files(store: TableStore) -> None:
    manifest = publish(store, draft(), FILES)

    pointer = json.loads(store.read_file("published/p/latest.json"))
    folder = f"published/p/{pointer['snapshot_id']}"
    written = store.read_file(f"{folder}/manifest.json")
    assert hashlib.sha256(written).hexdigest() == pointer["manifest_sha256"]
    assert Manifest.model_validate_json(written) == manifest
    content = store.read_file(f"{folder}/forecasts.parquet")
    entry = manifest.files["forecasts.parquet"]
    assert hashlib.sha256(content).hexdigest() == entry.sha256
    assert (entry.rows, entry.size_bytes) == (2, len(content))
    assert manifest.files["verdict.json"].rows is None
    assert pl.read_parquet(io.BytesIO(content))["point"].to_list() == [1.0, 2.0]


def test_the_id_starts_with_the_instant_and_tells_publications_apart(store: TableStore) -> None:
    one = publish(store, draft(run="one"), FILES)
    two = publish(store, draft(run="two"), FILES)

    assert one.snapshot_id.startswith("20250619T120000Z-")
    assert len(one.snapshot_id) == len("20250619T120000Z-") + 8
    assert one.snapshot_id != two.snapshot_id
    assert latest_snapshot_id(store, "p") == two.snapshot_id


@pytest.mark.parametrize("crash_at", ["verdict.json", "manifest.json", "latest.json"])
def test_a_crash_between_files_leaves_the_previous_snapshot_served(
    store: TableStore, monkeypatch: pytest.MonkeyPatch, crash_at: str
) -> None:
    previous = publish(store, draft(), FILES)
    write = TableStore.write_file

    def write_until(self: TableStore, path: str, content: bytes) -> None:
        if path.endswith(crash_at):
            raise OSError(f"no space left for {path}")
        write(self, path, content)

    monkeypatch.setattr(TableStore, "write_file", write_until)
    with pytest.raises(OSError, match="no space"):
        publish(store, draft(as_of=NOON + timedelta(hours=1)), FILES)
    monkeypatch.undo()

    assert latest_snapshot_id(store, "p") == previous.snapshot_id
    folder = f"published/p/{previous.snapshot_id}"
    kept = Manifest.model_validate_json(store.read_file(f"{folder}/manifest.json"))
    assert all(store.files.exists(f"{folder}/{name}") for name in kept.files)


def test_publishing_the_past_never_moves_the_pointer_back(store: TableStore) -> None:
    newest = publish(store, draft(), FILES)
    past = publish(store, draft(as_of=NOON - timedelta(days=1)), FILES)

    assert latest_snapshot_id(store, "p") == newest.snapshot_id
    assert snapshots(store) == [past.snapshot_id, newest.snapshot_id]


def test_only_the_newest_snapshots_are_kept(store: TableStore) -> None:
    ids = [
        publish(store, draft(as_of=NOON + timedelta(hours=hour)), FILES, keep=3).snapshot_id
        for hour in range(5)
    ]

    assert snapshots(store) == ids[2:]
    assert latest_snapshot_id(store, "p") == ids[4]


def test_leftovers_of_a_crash_are_deleted_with_their_age(store: TableStore) -> None:
    store.write_file("published/p/20240101T000000Z-deadbeef/forecasts.parquet", b"half")

    only = publish(store, draft(), FILES, keep=1)

    assert snapshots(store) == [only.snapshot_id]


@pytest.mark.parametrize(
    ("files", "keep", "message"),
    [
        ({}, 30, "without files"),
        ({"manifest.json": b""}, 30, "'manifest.json' is written by the publication"),
        (FILES, 0, "keep=0 would delete every snapshot"),
    ],
)
def test_a_snapshot_that_cannot_be_is_refused_before_anything_is_written(
    store: TableStore, files: dict[str, bytes | pl.DataFrame], keep: int, message: str
) -> None:
    with pytest.raises(PublicationError, match=message):
        publish(store, draft(), files, keep=keep)

    assert not Path(store.root, "published").exists()
