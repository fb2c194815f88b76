"""Reads files of the published storage: a local folder or an `s3://` address.

Here: bytes and folder names, with a size cap. Not here: what the files mean (`snapshots`).
"""

from __future__ import annotations

from typing import Any

from serving.domain_errors import SnapshotRefusedError, StorageUnreachableError


class PublishedStorage:
    """Read-only access below one root; opened on first use, so that it costs no start-up time."""

    def __init__(self, root: str) -> None:
        """Remember the root, a folder or an address with a scheme."""
        self._root = root
        self._opened: tuple[Any, str] | None = None

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            from pyarrow import fs

            if "://" in self._root:
                self._opened = fs.FileSystem.from_uri(self._root)
            else:
                self._opened = (fs.LocalFileSystem(), self._root)
        return self._opened

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below `prefix`, sorted; none when it does not exist.

        Raises:
            StorageUnreachableError: the storage does not answer.
        """
        from pyarrow import fs

        try:
            filesystem, root = self._open()
            found = filesystem.get_file_info(
                fs.FileSelector(f"{root}/{prefix}", allow_not_found=True)
            )
        except OSError as error:
            raise StorageUnreachableError(type(error).__name__) from error
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

    def read(self, path: str, *, max_bytes: int) -> bytes | None:
        """The bytes of a file below the root, or None when there is no such file.

        Raises:
            SnapshotRefusedError: the file is larger than `max_bytes`.
            StorageUnreachableError: the storage does not answer.
        """
        from pyarrow import fs

        try:
            filesystem, root = self._open()
            info = filesystem.get_file_info(f"{root}/{path}")
            if info.type == fs.FileType.NotFound:
                return None
            if info.size > max_bytes:
                raise SnapshotRefusedError(
                    f"{path} has {info.size} bytes, {max_bytes} are allowed; "
                    "publish fewer origins or raise MLOPS_API_MAX_SNAPSHOT_MB"
                )
            with filesystem.open_input_stream(f"{root}/{path}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageUnreachableError(type(error).__name__) from error
