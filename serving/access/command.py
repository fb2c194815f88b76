"""`python -m serving keys ...`: make, list and revoke API keys.

Here: arguments and what is printed. Not here: the keys (`keys`).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from serving.access.keys import KeyFileError, Role, add_key, read_keys, revoke_key

_LIFETIME: Final = re.compile(r"([1-9][0-9]{0,4})([dh])")
_UNITS: Final = {"d": timedelta(days=1), "h": timedelta(hours=1)}


def run(arguments: Sequence[str], *, path: Path, now: datetime) -> int:
    """Do what the arguments after `keys` say; returns the exit status."""
    asked = _parser().parse_args(arguments)
    try:
        match asked.action:
            case "add":
                _add(asked, path=path, now=now)
            case "list":
                _list(path, now=now)
            case "revoke":
                revoke_key(path, asked.name)
                print(f"{asked.name} is revoked; running services notice within seconds")
    except KeyFileError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    return 0


def _add(asked: argparse.Namespace, *, path: Path, now: datetime) -> None:
    key = add_key(
        path,
        asked.name,
        Role(asked.role),
        now=now,
        expires_at=None if asked.expires is None else now + asked.expires,
        rate_per_second=asked.rate,
    )
    print(f"The key is shown this once; only its hash is kept in {path}", file=sys.stderr)
    print(key)


def _list(path: Path, *, now: datetime) -> None:
    keys = read_keys(path)
    if not keys:
        print("there are no keys; make one with `python -m serving keys add NAME`")
    for key in keys:
        ends = "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M} UTC"
        state = "" if key.is_in_force(now) else " (expired)"
        rate = "the default" if key.rate_per_second is None else f"{key.rate_per_second:g}/s"
        print(f"{key.name}: role {key.role}, rate {rate}, expires {ends}{state}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving keys", description="API keys")
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="make a key and print it once")
    add.add_argument("name", help="whom it is for: a to z, 0 to 9, - and _")
    add.add_argument("--role", choices=[role.value for role in Role], default=Role.PREDICT.value)
    add.add_argument("--rate", type=float, help="requests per second; default: the setting")
    add.add_argument("--expires", type=_lifetime, help="30d or 12h from now; default: never")
    actions.add_parser("list", help="show names, roles, rates and ends")
    revoke = actions.add_parser("revoke", help="end a key")
    revoke.add_argument("name")
    return parser


def _lifetime(text: str) -> timedelta:
    if (found := _LIFETIME.fullmatch(text)) is None:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of days or hours, such as 90d or 12h")
    return int(found[1]) * _UNITS[found[2]]
