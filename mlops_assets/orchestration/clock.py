"""The only reader of the wall clock.

Everything that needs to know the time takes it as a parameter, and that parameter comes from
here: the real time, or an instant that a run was fixed at. A replay is the same assets with the
clock set to each origin in turn.
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg


class ClockError(ValueError):
    """An instant was given without a time zone or cannot be read."""


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant with zone, such as `2025-06-19T00:00Z`, as UTC.

    Raises:
        ClockError: it is no ISO 8601 instant, or its zone is missing.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ClockError(
            f"{text!r} is no ISO 8601 instant; write it as 2025-06-19T00:00Z"
        ) from error
    if instant.tzinfo is None:
        raise ClockError(f"{text!r} has no time zone; add one, such as {text}Z for UTC")
    return instant.astimezone(UTC)


def real_now() -> datetime:
    """The real time, UTC. Used for the clock, and to judge whether a row is from the future."""
    return datetime.now(UTC)


class Clock(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The time that a run believes in."""

    fixed_at: str | None = None

    def now(self) -> datetime:
        """The fixed instant if there is one, else the real time (aware, UTC)."""
        return parse_instant(self.fixed_at) if self.fixed_at else real_now()
