from __future__ import annotations

from pathlib import Path

import pyarrow.fs
import pytest

from mlops_assets.storage.files import (
    TEMPORARY_SUFFIX,
    FileStore,
    StoredFileMissingError,
    StorePathError,
)


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path / "store"))


def test_a_file_is_read_as_it_was_written(files: FileStore) -> None:
    files.write("a/b.bin", b"\x00one")
    files.write("a/b.bin", b"\x00two")

    assert files.read("a/b.bin") == b"\x00two"
    assert files.exists("a/b.bin")


def test_a_missing_file_is_named_with_the_remedy(files: FileStore) -> None:
    with pytest.raises(StoredFileMissingError, match=r"'a/none\.bin' .* materialise"):
        files.read("a/none.bin")


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", ""])
def test_a_path_out_of_the_root_is_refused(files: FileStore, path: str) -> None:
    with pytest.raises(StorePathError, match="relative path"):
        files.write(path, b"x")


def test_a_crash_before_the_rename_leaves_the_old_file(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write("a.json", b"old")

    monkeypatch.setattr(pyarrow.fs, "LocalFileSystem", _filesystem_that_cannot_rename())
    with pytest.raises(OSError, match="stops here"):
        files.write("a.json", b"new")
    monkeypatch.undo()

    assert files.read("a.json") == b"old"
    assert len(list(Path(files.root).glob(f"*{TEMPORARY_SUFFIX}"))) == 1


def test_folders_are_listed_in_order_and_deleted_whole(files: FileStore) -> None:
    for name in ("b", "a", "c"):
        files.write(f"top/{name}/x", b"x")
    files.write("top/file", b"x")

    assert files.folders("top") == ["a", "b", "c"]
    files.delete_folder("top/b")
    assert files.folders("top") == ["a", "c"]
    assert files.folders("nowhere") == []


def _filesystem_that_cannot_rename() -> type:
    local = pyarrow.fs.LocalFileSystem()

    class Crashing:
        def __getattr__(self, name: str) -> object:
            return getattr(local, name)

        def move(self, *_: object) -> None:
            raise OSError("the machine stops here")

    return Crashing
