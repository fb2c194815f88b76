from __future__ import annotations

import pytest

from serving.access.rates import MAX_BUCKETS, TokenBuckets


class Stopwatch:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_holds_one_seconds_requests_and_fills_at_the_rate() -> None:
    watch = Stopwatch()
    buckets = TokenBuckets(watch)
    assert [buckets.take("a", 4) for _ in range(4)] == [0.0] * 4
    assert buckets.take("a", 4) == pytest.approx(0.25)
    watch.now += 0.25
    assert buckets.take("a", 4) == 0.0
    assert buckets.take("a", 4) == pytest.approx(0.25)
    watch.now += 60  # more than a second saves up no more than a second's
    assert [buckets.take("a", 4) for _ in range(4)] == [0.0] * 4
    assert buckets.take("a", 4) > 0


def test_a_refused_request_takes_nothing() -> None:
    watch = Stopwatch()
    buckets = TokenBuckets(watch)
    buckets.take("a", 1)
    for _ in range(10):
        assert buckets.take("a", 1) == pytest.approx(1.0)
    watch.now += 1
    assert buckets.take("a", 1) == 0.0


def test_a_rate_below_one_still_lets_single_requests_through() -> None:
    watch = Stopwatch()
    buckets = TokenBuckets(watch)
    assert buckets.take("a", 0.1) == 0.0
    assert buckets.take("a", 0.1) == pytest.approx(10.0)
    watch.now += 10
    assert buckets.take("a", 0.1) == 0.0


def test_callers_have_buckets_of_their_own() -> None:
    buckets = TokenBuckets(Stopwatch())
    assert buckets.take("a", 1) == 0.0
    assert buckets.take("b", 1) == 0.0
    assert buckets.take("a", 1) > 0


def test_the_memory_of_callers_is_bounded() -> None:
    buckets = TokenBuckets(Stopwatch())
    for number in range(3 * MAX_BUCKETS):
        buckets.take(str(number), 1)
        assert len(buckets) <= MAX_BUCKETS
