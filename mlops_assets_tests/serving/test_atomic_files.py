from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.atomic_files import CacheError, place_file, place_folder, remove_others, require_plain


def test_a_file_is_replaced_and_no_draft_is_left(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    place_file(target, b"one")
    place_file(target, b"two")
    assert target.read_bytes() == b"two"
    assert os.listdir(target.parent) == ["file"]
    assert target.parent.stat().st_mode & 0o777 == 0o700


def test_many_who_place_the_same_folder_leave_one_that_is_whole(tmp_path: Path) -> None:
    contents = {"a": b"1" * 1000, "b": b"2" * 1000}
    with ThreadPoolExecutor(8) as pool:
        for done in [
            pool.submit(place_folder, tmp_path / "in" / "folder", contents) for _ in range(100)
        ]:
            done.result()
    assert os.listdir(tmp_path / "in") == ["folder"]
    found = {p.name: p.read_bytes() for p in (tmp_path / "in" / "folder").iterdir()}
    assert found == contents


def test_a_disk_that_is_full_leaves_what_was_there_and_no_draft(tmp_path: Path) -> None:
    place_file(tmp_path / "file", b"one")
    place_folder(tmp_path / "folder", {"a": b"one"})
    program = (
        "import resource, sys; from pathlib import Path; "
        "from serving.atomic_files import place_file, place_folder\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); at = Path(sys.argv[1])\n"
        "for place, what in ((place_file, b'x' * 5000), (place_folder, {'a': b'x' * 5000})):\n"
        "    try: place(at / ('file' if place is place_file else 'folder'), what)\n"
        "    except OSError as error: print(error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["File too large"] * 2
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == b"one"
    assert (tmp_path / "folder" / "a").read_bytes() == b"one"


def test_other_folders_and_abandoned_drafts_go_and_fresh_drafts_stay(tmp_path: Path) -> None:
    for name in ("kept", "old", ".old-draft", ".fresh-draft"):
        (tmp_path / name).mkdir()
    (tmp_path / "latest.json").write_bytes(b"{}")
    newest = (tmp_path / "kept").stat().st_mtime
    os.utime(tmp_path / ".old-draft", (newest - 4000, newest - 4000))
    remove_others(tmp_path, keep="kept")
    assert sorted(os.listdir(tmp_path)) == [".fresh-draft", "kept", "latest.json"]


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/a", ".hidden", "a\0", "a" * 201])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(CacheError, match="no plain name"):
        require_plain(name)


def test_what_went_wrong_is_said_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file") as error:
        place_file(tmp_path / "file" / "below", b"x")
    assert str(CacheError.of(error.value)) in {"Not a directory", "File exists"}
