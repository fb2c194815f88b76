"""API keys: their file, how one is made, and the set of keys in force.

Here: the form of the file, adding, revoking, and looking a key up. Not here: what a key allows and
when none is needed (`policy`), how often it may be used (`rates`), the command line (`command`).

A key is `NAME.SECRET`, with 32 random bytes as the secret; the file holds only its sha256. A slow
hash (bcrypt, argon2) makes guessing dear where people choose passwords; a secret of 256 random bits
cannot be guessed at any speed, so a slow hash would only cost every request its milliseconds. The
name is no secret: it finds the entry, and then the hashes are compared in constant time.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

SECRET_BYTES: Final = 32
MAX_FILE_BYTES: Final = 1_000_000
"""A larger file of keys is refused; an entry has about 200 bytes."""
NAME: Final = r"[a-z0-9][a-z0-9_-]{0,39}"
"""What a key may be called; a full stop ends the name within the key."""

Complain = Callable[[str | None], bool]
"""Takes what is wrong, or None when all is well; says whether that is new."""


class KeyFileError(ValueError):
    """The file of keys cannot be used or changed so; the message names value, rule and remedy."""


class Role(StrEnum):
    """What a key allows: `admin` allows everything, `predict` everything but administration."""

    PREDICT = "predict"
    ADMIN = "admin"


class ApiKey(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    role: Role
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    rate_per_second: Annotated[float, Field(gt=0)] | None = None

    def is_in_force(self, now: datetime) -> bool:
        """Whether the key has not expired at `now`."""
        return self.expires_at is None or now < self.expires_at


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    keys: list[ApiKey] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of a file at one time."""

    entries: dict[bytes, tuple[bytes, ApiKey]] = field(default_factory=dict)
    """Name -> the key's sha256 and its entry."""

    @classmethod
    def of(cls, keys: Sequence[ApiKey]) -> KeyRing:
        """The ring of these keys."""
        return cls({key.name.encode(): (bytes.fromhex(key.sha256), key) for key in keys})

    def find(self, presented: bytes, now: datetime) -> ApiKey | None:
        """The entry of a key that is in force at `now`, or None."""
        digest = hashlib.sha256(presented).digest()
        entry = self.entries.get(presented.partition(b".")[0])
        if entry is None or not hmac.compare_digest(digest, entry[0]):
            return None
        return entry[1] if entry[1].is_in_force(now) else None


def read_keys(path: Path) -> list[ApiKey]:
    """The entries of a file of keys; none when there is no file.

    Raises:
        KeyFileError: the file cannot be read, is not of this form, or others may write to it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KeyFileError(f"it cannot be read ({type(error).__name__}); mend it") from error
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeyFileError("users other than its owner may write to it; give it mode 0600")
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(f"it has more than {MAX_FILE_BYTES} bytes; remove keys")
    try:
        keys = _Content.model_validate_json(content).keys
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"]) or "the document"
        raise KeyFileError(f"{place}: {fault['msg']}; restore it or remove it") from error
    names = [key.name for key in keys]
    if twice := {name for name in names if names.count(name) > 1}:
        raise KeyFileError(f"{', '.join(sorted(twice))}: a name occurs once; remove an entry")
    return keys


def add_key(
    path: Path,
    name: str,
    role: Role,
    *,
    now: datetime,
    expires_at: datetime | None = None,
    rate_per_second: float | None = None,
) -> str:
    """Make a key, write its hash down, and return the key, which is kept nowhere.

    Raises:
        KeyFileError: the name is taken or not allowed, or the file cannot be used.
    """
    key = f"{name}.{secrets.token_urlsafe(SECRET_BYTES)}"
    try:
        entry = ApiKey(
            name=name,
            role=role,
            sha256=hashlib.sha256(key.encode()).hexdigest(),
            created_at=now,
            expires_at=expires_at,
            rate_per_second=rate_per_second,
        )
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise KeyFileError(f"{fault['loc'][0]} {fault['input']!r}: {fault['msg']}") from error
    with _locked(path):
        keys = read_keys(path)
        if any(known.name == name for known in keys):
            raise KeyFileError(f"{name}: a key of that name exists; revoke it or use another name")
        _write(path, [*keys, entry])
    return key


def revoke_key(path: Path, name: str) -> None:
    """Remove a key; running services refuse it from their next look at the file.

    Raises:
        KeyFileError: there is no key of that name, or the file cannot be used.
    """
    with _locked(path):
        keys = read_keys(path)
        left = [key for key in keys if key.name != name]
        if len(left) == len(keys):
            known = ", ".join(key.name for key in keys) or "none"
            raise KeyFileError(f"{name}: there is no key of that name; known: {known}")
        _write(path, left)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time change the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, keys: list[ApiKey]) -> None:
    """Replace the file in one step, readable by its owner only (`mkstemp` gives mode 0600)."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_Content(keys=keys).model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)


class KeyFollower:
    """Holds the ring of a file that may change at any time; `poll` looks at it from a thread."""

    def __init__(self, path: Path, *, complain: Complain) -> None:
        """Read the file, so that no request meets a service that does not know its keys yet."""
        self.ring = KeyRing()
        self._path = path
        self._complain = complain
        self._seen: tuple[int, int, int, int] | None = None
        self.poll()

    def poll(self) -> None:
        """Read the file again if it has changed; while it cannot be used, no key is in force."""
        if (stamp := _stamp(self._path)) == self._seen and stamp is not None:
            return
        try:
            ring = KeyRing.of(read_keys(self._path))
        except KeyFileError as error:
            self.ring, self._seen = KeyRing(), None
            self._complain(f"the file of API keys refuses every key: {error}")
        else:
            self.ring, self._seen = ring, stamp
            self._complain(None)


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    """What changes when the file does; None while it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
