from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np

from mlops_assets.storage.kept_objects import KeptObjects


def age(folder: Path, seconds: int) -> None:
    """Make everything in a folder look as if it was last used so long ago."""
    for path in folder.iterdir():
        used = path.stat().st_mtime - seconds
        os.utime(path, (used, used))


def test_what_is_found_is_what_was_kept_bit_for_bit(tmp_path: Path) -> None:
    kept = KeptObjects(tmp_path / "fits")
    values = np.random.default_rng(1).normal(size=100)

    kept.keep("a", values)

    found = KeptObjects(tmp_path / "fits").find("a")
    assert isinstance(found, np.ndarray)
    assert found.tobytes() == values.tobytes()


def test_nothing_is_found_where_nothing_was_kept(tmp_path: Path) -> None:
    kept = KeptObjects(tmp_path / "fits")
    kept.keep("a", 1)
    assert kept.find("b") is None
    assert KeptObjects(tmp_path / "elsewhere").find("a") is None


def test_a_key_that_is_kept_again_holds_the_newer_object(tmp_path: Path) -> None:
    kept = KeptObjects(tmp_path)
    kept.keep("a", 1)
    kept.keep("a", 2)
    assert kept.find("a") == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_what_was_not_used_for_longest_is_forgotten_first(tmp_path: Path) -> None:
    content = bytes(1000)
    kept = KeptObjects(tmp_path, max_bytes=2500)
    kept.keep("old", content)
    age(tmp_path, 20)
    kept.keep("used", content)
    age(tmp_path, 10)
    assert kept.find("old") is not None  # used now, so `used` is the oldest

    kept.keep("new", content)

    assert kept.find("used") is None
    assert kept.find("old") == kept.find("new") == content


def test_nobody_else_can_put_an_object_into_the_folder(tmp_path: Path) -> None:
    KeptObjects(tmp_path / "fits").keep("a", 1)
    assert stat.S_IMODE((tmp_path / "fits").stat().st_mode) == 0o700
