"""Whole files below a root, each replaced in one step: on a folder or on `s3://`.

Here: bytes under a relative path. Not here: tables (`storage.tables`) and the order in which the
files of a snapshot appear (`storage.publication`).

On a folder a file is written beside its place and renamed over it; on S3 an object appears when
its upload is complete. A reader therefore sees the old file or the new one, never a part.
"""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow.fs as pafs

TEMPORARY_SUFFIX: Final = ".partial"
"""Ending of a file that is being written; left behind only by a crash."""


class StorePathError(ValueError):
    """A path leads out of the store's root."""


class StoredFileMissingError(LookupError):
    """A file is not in the store."""


class FileStore:
    """The files below `root`, a folder or an `s3://bucket/prefix` address.

    Addresses and keys of S3 are read from the environment (`AWS_*`) by the client library.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    @property
    def is_folder(self) -> bool:
        """Whether the root is a folder of this machine."""
        return "://" not in self.root

    def address(self, path: str) -> str:
        """The full address of `path`: the root, a slash and the path.

        Raises:
            StorePathError: the path is absolute, empty, or climbs with `..`.
        """
        parts = PurePosixPath(path)
        if not path or parts.is_absolute() or ".." in parts.parts:
            raise StorePathError(
                f"{path!r} is no path below {self.root}; write a relative path without '..'"
            )
        return f"{self.root}/{parts}"

    def write(self, path: str, content: bytes) -> None:
        """Create or replace a file in one step."""
        filesystem, target = self._resolve(path)
        if not self.is_folder:
            with filesystem.open_output_stream(target) as stream:
                stream.write(content)
            return
        filesystem.create_dir(str(PurePosixPath(target).parent), recursive=True)
        partial = f"{target}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
        with filesystem.open_output_stream(partial) as stream:
            stream.write(content)
        filesystem.move(partial, target)

    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            StoredFileMissingError: there is no such file.
        """
        filesystem, source = self._resolve(path)
        try:
            with filesystem.open_input_file(source) as stream:
                content: bytes = stream.read()
        except FileNotFoundError as error:
            raise StoredFileMissingError(
                f"{path!r} is not in {self.root}; a file must be written before it is read; "
                "materialise the asset that writes it"
            ) from error
        return content

    def exists(self, path: str) -> bool:
        """Whether there is a file at `path`."""
        from pyarrow.fs import FileType

        filesystem, target = self._resolve(path)
        found: bool = filesystem.get_file_info(target).type == FileType.File
        return found

    def delete(self, path: str) -> None:
        """Remove a file; it must be there."""
        filesystem, target = self._resolve(path)
        filesystem.delete_file(target)

    def folders(self, path: str) -> list[str]:
        """Names of the folders directly below `path`, sorted; empty when there is no such path."""
        from pyarrow.fs import FileSelector, FileType

        filesystem, target = self._resolve(path)
        found = filesystem.get_file_info(FileSelector(target, allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == FileType.Directory)

    def delete_folder(self, path: str) -> None:
        """Remove a folder with all its files; it must be there."""
        filesystem, target = self._resolve(path)
        filesystem.delete_dir(target)

    def _resolve(self, path: str) -> tuple[pafs.FileSystem, str]:
        import pyarrow.fs as pafs

        address = self.address(path)
        if self.is_folder:
            return pafs.LocalFileSystem(), address
        filesystem, target = pafs.FileSystem.from_uri(address)
        return filesystem, target
