from __future__ import annotations

import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving.access.keys import (
    KeyFileError,
    KeyFollower,
    KeyRing,
    Role,
    add_key,
    read_keys,
    revoke_key,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "api-keys.json"


def test_the_file_holds_the_hash_and_never_the_key(path: Path) -> None:
    key = add_key(path, "dashboard", Role.PREDICT, now=NOW)
    name, _, secret = key.partition(".")
    assert name == "dashboard"
    assert len(secret) == 43  # 32 bytes in base64 without padding
    text = path.read_text(encoding="utf-8")
    assert secret not in text
    assert json.loads(text)["keys"][0]["sha256"] == hashlib.sha256(key.encode()).hexdigest()


def test_only_the_owner_may_read_or_write_the_file(path: Path) -> None:
    add_key(path, "dashboard", Role.PREDICT, now=NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    revoke_key(path, "dashboard")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_is_found_and_what_resembles_it_is_not(path: Path) -> None:
    key = add_key(path, "dashboard", Role.ADMIN, now=NOW).encode()
    ring = KeyRing.of(read_keys(path))
    found = ring.find(key, NOW)
    assert found is not None
    assert (found.name, found.role) == ("dashboard", Role.ADMIN)
    for wrong in (key + b"x", key[:-1], b"other" + key[9:], b"dashboard.", b"dashboard", b"", b"."):
        assert ring.find(wrong, NOW) is None, wrong


def test_a_key_is_in_force_until_it_expires(path: Path) -> None:
    key = add_key(path, "guest", Role.PREDICT, now=NOW, expires_at=NOW + DAY).encode()
    ring = KeyRing.of(read_keys(path))
    assert ring.find(key, NOW + DAY - timedelta(microseconds=1)) is not None
    assert ring.find(key, NOW + DAY) is None


def test_a_name_is_taken_once(path: Path) -> None:
    add_key(path, "dashboard", Role.PREDICT, now=NOW)
    with pytest.raises(KeyFileError, match="dashboard: a key of that name exists; revoke it"):
        add_key(path, "dashboard", Role.ADMIN, now=NOW)


@pytest.mark.parametrize("name", ["", "a.b", "Upper", "-x", "x" * 41, "a b", "é"])
def test_a_name_that_could_be_misread_is_refused(path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match=r"^name "):
        add_key(path, name, Role.PREDICT, now=NOW)
    assert not path.exists()


def test_revoking_an_unknown_key_names_the_known_ones(path: Path) -> None:
    add_key(path, "one", Role.PREDICT, now=NOW)
    add_key(path, "two", Role.PREDICT, now=NOW)
    with pytest.raises(KeyFileError, match="three: there is no key of that name; known: one, two"):
        revoke_key(path, "three")


def test_keys_that_are_added_at_once_are_all_there(path: Path) -> None:
    names = [f"caller-{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: add_key(path, name, Role.PREDICT, now=NOW), names))
    assert sorted(key.name for key in read_keys(path)) == sorted(names)


class Following:
    """A follower of a file, and what it complains of."""

    def __init__(self, path: Path) -> None:
        self.complaint: str | None = None
        self.follower = KeyFollower(path, complain=self.complain)

    def complain(self, message: str | None) -> bool:
        changed = message != self.complaint
        self.complaint = message
        return changed

    def knows(self, key: str) -> bool:
        return self.follower.ring.find(key.encode(), NOW) is not None


def test_without_a_file_there_are_no_keys_and_no_complaint(path: Path) -> None:
    following = Following(path)
    assert following.follower.ring.entries == {}
    assert following.complaint is None


def test_added_and_revoked_keys_are_seen_at_the_next_look(path: Path) -> None:
    following = Following(path)
    first = add_key(path, "first", Role.PREDICT, now=NOW)
    assert not following.knows(first)
    following.follower.poll()
    assert following.knows(first)
    second = add_key(path, "second", Role.PREDICT, now=NOW)
    revoke_key(path, "first")
    following.follower.poll()
    assert (following.knows(first), following.knows(second)) == (False, True)
    path.unlink()
    following.follower.poll()
    assert not following.knows(second)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "Invalid JSON"),
        ('{"version": 2, "keys": []}', "version: Input should be 1"),
        ('{"keys": [{"name": "x"}]}', "keys.0.role: Field required"),
        ('{"keys": [], "more": 1}', "more: Extra inputs are not permitted"),
        (" " * 1_000_001, "more than 1000000 bytes; remove keys"),
    ],
)
def test_a_broken_file_refuses_every_key_says_why_and_is_found_well_again(
    path: Path, content: str, complaint: str
) -> None:
    key = add_key(path, "dashboard", Role.PREDICT, now=NOW)
    good = path.read_bytes()
    following = Following(path)
    path.write_text(content, encoding="utf-8")
    following.follower.poll()
    assert not following.knows(key)
    assert following.complaint is not None
    assert complaint in following.complaint
    assert str(path.parent) not in following.complaint
    path.write_bytes(good)
    following.follower.poll()
    assert following.knows(key)
    assert following.complaint is None


def test_a_file_that_others_may_write_to_is_not_trusted(path: Path) -> None:
    key = add_key(path, "dashboard", Role.PREDICT, now=NOW)
    path.chmod(0o666)
    following = Following(path)
    assert not following.knows(key)
    assert "give it mode 0600" in str(following.complaint)
    path.chmod(0o600)
    following.follower.poll()
    assert following.knows(key)


def test_a_name_that_occurs_twice_is_refused(path: Path) -> None:
    add_key(path, "dashboard", Role.PREDICT, now=NOW)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["keys"] *= 2
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(KeyFileError, match="dashboard: a name occurs once"):
        read_keys(path)
