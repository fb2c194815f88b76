"""Files and folders that appear whole or not at all, whoever else writes the same.

Here: a draft beside the target, and a rename. Not here: what is kept in them (`model_cache`,
`snapshot_cache`).
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DRAFT_SECONDS: Final = 3600.0
"""A draft that is so much older than its neighbour was left by a process that was killed."""


class CacheError(Exception):
    """The disk does not take or give what it should; the message is fit for a public page."""

    @classmethod
    def of(cls, error: OSError) -> CacheError:
        """What went wrong, without a path."""
        return cls(os.strerror(error.errno) if error.errno else type(error).__name__)


def require_plain(name: str) -> str:
    """A name that stays inside its folder.

    Raises:
        CacheError: it could lead elsewhere.
    """
    if not _PLAIN.fullmatch(name):
        raise CacheError(f"{name[:60]!r} is no plain name of a folder")
    return name


def place_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the whole of it or what was there before.

    Raises:
        OSError: the disk does not take it; nothing is left behind.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft_of(path)
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError:
        _discard(draft)
        raise


def place_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files so that a reader sees all of them or none.

    A folder of that name that is there already is replaced, unless it holds just these files:
    another worker may be reading it.

    Raises:
        OSError: the disk does not take it; nothing is left behind.
    """
    if _holds(path, contents):
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft_of(path)
    try:
        draft.mkdir(mode=0o700)
        for name, content in contents.items():
            (draft / name).write_bytes(content)
        # A folder cannot be renamed onto one with files.
        shutil.rmtree(path, ignore_errors=True)
        draft.rename(path)
    except OSError as error:
        _discard(draft)
        # Another worker has put the same content there in between.
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise


def remove_others(folder: Path, *, keep: str) -> None:
    """Remove the folders beside `keep`, and drafts that nobody finishes any more."""
    newest = (folder / keep).stat().st_mtime
    for found in folder.iterdir():
        if found.name.startswith("."):
            # Another worker may finish or remove its draft at this moment.
            with suppress(FileNotFoundError):
                if found.stat().st_mtime < newest - _DRAFT_SECONDS:
                    _discard(found)
        elif found.is_dir() and found.name != keep:
            _discard(found)


def _holds(folder: Path, contents: Mapping[str, bytes]) -> bool:
    try:
        return all((folder / name).read_bytes() == content for name, content in contents.items())
    except OSError:
        # Whatever keeps a file from being read, the folder is to be written.
        return False


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}-{uuid.uuid4().hex}")


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
