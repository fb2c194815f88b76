"""What the parts of a problem file are made of: durations, names, zones, and the error.

Here: types that several parts share. Not here: any part itself (`sources`, `forecast_problem`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|m|h|d|w)\s*$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class ProblemError(ValueError):
    """A problem's YAML file cannot be used; the message names file, key, rule and remedy."""


def parse_duration(value: object) -> object:
    """Turn `"90m"`, `"1h"`, `"7d"` into a timedelta; other objects pass through to pydantic."""
    if isinstance(value, str) and (match := _DURATION.match(value)):
        return timedelta(**{_UNITS[match.group(2)]: float(match.group(1))})
    if isinstance(value, timedelta):
        return value
    raise ValueError(
        f"{value!r} is not a duration; write a number and a unit out of s, m, h, d, w, such as 90m"
    )


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


def known_zone(name: str) -> str:
    """Refuse a time zone that does not exist."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone; use a name such as Asia/Seoul") from error
    return name


Zone = Annotated[str, AfterValidator(known_zone)]


class Part(BaseModel):
    """Base of everything in a problem file: unknown keys are refused, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def floor_to_grid(instant: datetime, *, anchor: datetime, every: timedelta) -> datetime:
    """The latest instant of the grid `anchor + k * every` that is not after `instant` (UTC)."""
    return anchor.astimezone(UTC) + ((instant - anchor) // every) * every
