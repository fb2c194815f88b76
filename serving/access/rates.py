"""How often one caller may ask: a token bucket for each name.

Here: counting. Not here: which rate applies to whom (`policy`). The buckets are a worker's own, so
that no request waits for another process: with N workers a caller gets up to N times the rate.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

MAX_BUCKETS: Final = 10_000
"""So many callers are remembered; one more and all begin with a full bucket again."""


class TokenBuckets:
    """A bucket for each caller: it holds one second's requests, and fills at the caller's rate."""

    def __init__(self, seconds: Callable[[], float] = monotonic) -> None:
        """Start with full buckets; `seconds` is a clock that only tells durations."""
        self._seconds = seconds
        self._buckets: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._buckets)

    def take(self, caller: str, rate: float) -> float:
        """Take a token for one request.

        Args:
            caller: whose bucket.
            rate: tokens per second.

        Returns:
            0 when there was a token, else the seconds until there is one.
        """
        now = self._seconds()
        most = max(rate, 1.0)
        tokens, since = self._buckets.get(caller, (most, now))
        tokens = min(most, tokens + (now - since) * rate)
        if tokens < 1.0:
            self._buckets[caller] = (tokens, now)
            return (1.0 - tokens) / rate
        if len(self._buckets) >= MAX_BUCKETS and caller not in self._buckets:
            self._buckets.clear()
        self._buckets[caller] = (tokens - 1.0, now)
        return 0.0
