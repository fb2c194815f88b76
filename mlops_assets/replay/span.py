"""The origins of a replay: from one instant to another, so far apart.

Here: the span, and the name that a replay has by itself. Not here: reading it from a command line
(`cli.replay`), and what is done at an origin (`step`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mlops_assets.replay.isolation import ReplayError

MAX_ORIGINS: Final = 5000
"""More would be a slip of the pen: at seconds an origin they take a day."""


@dataclass(frozen=True)
class Span:
    """Origins `start`, `start + every`, ... up to `end`, included where it is one of them."""

    start: datetime
    end: datetime
    every: timedelta

    def __post_init__(self) -> None:
        """See that it holds origins.

        Raises:
            ReplayError: it ends before it starts, does not move on, or has too many origins.
        """
        if self.every <= timedelta(0):
            raise ReplayError(
                f"every {self.every} does not move on; the clock only moves forward; give a "
                "duration above zero, such as 7d"
            )
        if self.end < self.start:
            raise ReplayError(
                f"the span ends at {self.end.isoformat()}, before its start "
                f"{self.start.isoformat()}; a replay needs at least one origin; exchange the two"
            )
        if len(self) > MAX_ORIGINS:
            raise ReplayError(
                f"{len(self)} origins are too many; at most {MAX_ORIGINS} are replayed at once; "
                "take longer steps or a shorter span"
            )

    def __len__(self) -> int:
        """Number of origins."""
        return (self.end - self.start) // self.every + 1

    @property
    def origins(self) -> list[datetime]:
        """All origins, ascending."""
        return [self.start + number * self.every for number in range(len(self))]

    @property
    def closing(self) -> datetime:
        """When the origin after the last one would be: what the last one said has come true."""
        return self.start + len(self) * self.every

    def replay_id(self, problem: str, terms: str) -> str:
        """The name of a replay that was given none: the same call finds it again.

        Args:
            problem: its name.
            terms: fingerprint of problem file, code and options (`progress.terms_of`).
        """
        span = f"{self.start:%Y%m%d}-{self.end:%Y%m%d}-{duration_text(self.every)}"
        return f"{problem}-{span}-{terms[:8]}"


def duration_text(every: timedelta) -> str:
    """A duration as a problem file writes it, such as 7d."""
    days, rest = divmod(every, timedelta(days=1))
    return f"{days}d" if not rest else f"{int(every.total_seconds())}s"
