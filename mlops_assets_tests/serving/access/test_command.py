from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving.access.command import run
from serving.access.keys import Role, read_keys

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_a_key_is_printed_once_with_what_it_may_do_written_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    arguments = ["add", "ops", "--role", "admin", "--rate", "5", "--expires", "90d"]
    assert run(arguments, path=path, now=NOW) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("ops.")
    (entry,) = read_keys(path)
    assert (entry.role, entry.rate_per_second) == (Role.ADMIN, 5)
    assert entry.expires_at == NOW + timedelta(days=90)
    assert run(["list"], path=path, now=NOW) == 0
    assert capsys.readouterr().out == ("ops: role admin, rate 5/s, expires 2026-05-31 12:00 UTC\n")


def test_the_default_is_a_key_that_predicts_for_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    run(["add", "app"], path=path, now=NOW)
    capsys.readouterr()
    run(["list"], path=path, now=NOW)
    assert capsys.readouterr().out == "app: role predict, rate the default, expires never\n"


def test_an_expired_key_is_listed_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    run(["add", "app", "--expires", "12h"], path=path, now=NOW)
    run(["list"], path=path, now=NOW + timedelta(hours=12))
    assert "(expired)" in capsys.readouterr().out


def test_a_revoked_key_is_gone_and_a_second_time_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    run(["add", "app"], path=path, now=NOW)
    assert run(["revoke", "app"], path=path, now=NOW) == 0
    assert read_keys(path) == []
    assert run(["revoke", "app"], path=path, now=NOW) == 2
    assert "there is no key of that name; known: none" in capsys.readouterr().err


@pytest.mark.parametrize("lifetime", ["90", "0d", "-1d", "d", "1w"])
def test_a_lifetime_is_a_number_of_days_or_hours(
    tmp_path: Path, lifetime: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(["add", "app", f"--expires={lifetime}"], path=tmp_path / "keys.json", now=NOW)
    assert "such as 90d or 12h" in capsys.readouterr().err
