"""The last good champion of each problem on disk, so that a start needs no registry.

Here: what is kept, written atomically, and read back. Not here: the checks of the files, which are
those of any model (`model_files`), and what is done with them (`model_store`). The last good
snapshots lie beside it in the form they are published in (`snapshots`).

Layout: `<folder>/models/<problem>/<version>-<sha256 of the model, 16 digits>/` holds the two files;
`champion.json` beside it is replaced last and names the one in use. Several workers may write the
same at once. The folder is for its owner alone, since who can change both the files and
`champion.json` decides what answers until the registry does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.atomic_files import CacheError, place_file, place_folder, remove_others, require_plain
from serving.contract.model_card import CARD_FILE, MODEL_FILE
from serving.domain_errors import ModelRefusedError, RefusalReason
from serving.model_files import ModelFiles
from serving.registry.reader import RegisteredModel
from serving.served_model import RegisteredVersion

CHAMPION_FILE: Final = "champion.json"


class _Entry(BaseModel):
    """`champion.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str = Field(pattern=r"^[0-9]{1,9}$")
    source: str
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    card_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    aliases: dict[str, str]
    tags: dict[str, str]

    @property
    def folder(self) -> str:
        return f"{self.version}-{self.model_sha256[:16]}"


@dataclass(frozen=True, slots=True)
class CachedChampion:
    """What was kept of a problem's champion; not yet verified."""

    registered: RegisteredVersion
    model: RegisteredModel
    files: ModelFiles


class ModelCache:
    """The last good champions below one folder."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; it is made by the first write."""
        self._root = folder / "models"

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of which a champion is kept, sorted; none when nothing can be read."""
        try:
            return tuple(sorted(p.parent.name for p in self._root.glob(f"*/{CHAMPION_FILE}")))
        except OSError:
            # Not readable is not there: the first write says what is wrong with the disk.
            return ()

    def read(self, problem: str, *, max_model_bytes: int) -> CachedChampion:
        """What is kept of a problem's champion.

        Raises:
            ModelRefusedError: it is not readable in the form that this release writes, or too
                large.
        """
        folder = self._root / problem
        try:
            entry = _Entry.model_validate_json((folder / CHAMPION_FILE).read_bytes())
            model = folder / entry.folder / MODEL_FILE
            if (size := model.stat().st_size) > max_model_bytes:
                raise ModelRefusedError(
                    RefusalReason.SIZE,
                    f"the cached {MODEL_FILE} has {size} bytes, {max_model_bytes} are allowed; "
                    "raise MLOPS_API_MAX_MODEL_MB",
                )
            card = (folder / entry.folder / CARD_FILE).read_bytes()
            files = ModelFiles(model=model.read_bytes(), card=card)
        except (OSError, ValidationError) as error:
            raise ModelRefusedError(
                RefusalReason.FORMAT,
                f"the cached champion cannot be read ({type(error).__name__}); it is replaced once "
                "the registry answers; remove the folder MLOPS_API_CACHE to be rid of it",
            ) from error
        registered = RegisteredVersion(
            name=entry.name,
            version=entry.version,
            source=entry.source,
            model_sha256=entry.model_sha256,
            card_sha256=entry.card_sha256,
        )
        named = RegisteredModel(name=entry.name, aliases=entry.aliases, tags=entry.tags)
        return CachedChampion(registered=registered, model=named, files=files)

    def write(
        self,
        problem: str,
        registered: RegisteredVersion,
        model: RegisteredModel,
        files: ModelFiles | None,
    ) -> None:
        """Keep a verified champion; without `files`, only its aliases and tags, which may change.

        Raises:
            CacheError: the disk does not take it.
        """
        entry = _Entry(
            name=registered.name,
            version=registered.version,
            source=registered.source,
            model_sha256=registered.model_sha256 or "",
            card_sha256=registered.card_sha256 or "",
            aliases=dict(model.aliases),
            tags=dict(model.tags),
        )
        folder = self._root / require_plain(problem)
        try:
            if files is not None:
                contents = {MODEL_FILE: files.model, CARD_FILE: files.card}
                place_folder(folder / entry.folder, contents)
            place_file(folder / CHAMPION_FILE, entry.model_dump_json().encode())
            remove_others(folder, keep=entry.folder)
        except OSError as error:
            raise CacheError.of(error) from error

    def holds(self, problem: str, registered: RegisteredVersion) -> bool:
        """Whether the files of a version are kept."""
        sha256 = registered.model_sha256 or ""
        folder = self._root / problem / f"{registered.version}-{sha256[:16]}"
        return all((folder / name).exists() for name in (MODEL_FILE, CARD_FILE))
