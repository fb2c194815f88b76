"""What has been told so far, as text that a sensor keeps between two looks.

Here: positions in the streams of events, which conditions stand, and how many messages went out
in the last hour; all pure. Not here: reading streams (`alerts_events`) and sending
(`alerts_delivery`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from mlops_assets.automation.alerts_messages import Event

MESSAGES_PER_HOUR: Final = 5
"""Of one problem and kind; what comes on top is counted in the next message."""

OLDEST_EVENT: Final = timedelta(hours=24)
"""An event that could not be told for so long is dropped: it is news no more."""

_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Sighting:
    """Something met in a stream; `event` is None when it concerns nobody.

    `position` grows along a stream. With a `condition`, the event counts only when it changes
    whether that condition stands: the first failing `check` of it, or the last one that passes.
    """

    stream: str
    position: float
    happened_at: datetime
    event: Event | None
    condition: str | None = None
    check: str = ""
    failing: bool = False


class Cursor(BaseModel):
    """Where the sensor stands. Immutable: each method that changes something gives a new one."""

    model_config = ConfigDict(frozen=True)

    positions: dict[str, float] = {}
    standing: dict[str, tuple[str, ...]] = {}
    sent: dict[str, tuple[float, ...]] = {}
    held_back: dict[str, int] = {}

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """The cursor that was kept; an empty one at the first look."""
        return cls.model_validate_json(text) if text else cls()

    def starting(self, positions: Mapping[str, float]) -> Self:
        """Streams that are watched from now on, with the newest position of each."""
        return self.model_copy(update={"positions": {**positions, **self.positions}})

    def past(self, sighting: Sighting) -> tuple[Self, Event | None]:
        """The cursor behind a sighting, and the event if it is one that people are told about."""
        positions = {**self.positions, sighting.stream: sighting.position}
        if sighting.condition is None:
            return self.model_copy(update={"positions": positions}), sighting.event
        before = set(self.standing.get(sighting.condition, ()))
        after = before | {sighting.check} if sighting.failing else before - {sighting.check}
        standing = {
            name: checks for name, checks in self.standing.items() if name != sighting.condition
        }
        if after:
            standing[sighting.condition] = tuple(sorted(after))
        changed = bool(before) != bool(after)
        behind = self.model_copy(update={"positions": positions, "standing": standing})
        return behind, sighting.event if changed else None

    def is_full(self, event: Event, now: datetime) -> bool:
        """Whether the hour's messages of this problem and kind are used up."""
        return len(self._recent(_topic(event), now)) >= MESSAGES_PER_HOUR

    def holding_back(self, event: Event) -> Self:
        """One more message of this problem and kind was not sent."""
        topic = _topic(event)
        return self.model_copy(
            update={"held_back": {**self.held_back, topic: self.count_held_back(event) + 1}}
        )

    def count_held_back(self, event: Event) -> int:
        """Messages of this problem and kind that were not sent since the last one that was."""
        return self.held_back.get(_topic(event), 0)

    def sending(self, event: Event, now: datetime) -> Self:
        """A message about this event went out at `now`, and named what was held back."""
        topic = _topic(event)
        sent = {**self.sent, topic: (*self._recent(topic, now), now.timestamp())}
        held_back = {name: count for name, count in self.held_back.items() if name != topic}
        return self.model_copy(update={"sent": sent, "held_back": held_back})

    def _recent(self, topic: str, now: datetime) -> tuple[float, ...]:
        start = (now - _HOUR).timestamp()
        return tuple(instant for instant in self.sent.get(topic, ()) if instant > start)


def is_too_old(event: Event, now: datetime) -> bool:
    """Whether the event is no news any more at `now`."""
    return now - event.happened_at > OLDEST_EVENT


def _topic(event: Event) -> str:
    return f"{event.problem}/{event.kind}"
