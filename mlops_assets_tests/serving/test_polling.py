from __future__ import annotations

import threading
from collections.abc import Callable

from serving.polling import Poller, Retries


def _release(looks: threading.Semaphore) -> Callable[[], None]:
    def look() -> None:
        looks.release()

    return look


def test_a_poller_looks_again_and_again_until_it_is_closed() -> None:
    looks = threading.Semaphore(0)
    poller = Poller("test", _release(looks), pause_seconds=0.001)
    assert not poller.running
    poller.start()
    assert all(looks.acquire(timeout=30) for _ in range(3))
    assert poller.running
    poller.close()
    assert not poller.running


def test_the_first_look_can_be_waited_for() -> None:
    may_look, looked = threading.Event(), threading.Event()

    def first() -> None:
        may_look.wait(30)
        looked.set()

    poller = Poller("test", lambda: None, pause_seconds=0.001, first=first)
    poller.start()
    assert not poller.wait_for_first(timeout_seconds=0.01)
    may_look.set()
    assert poller.wait_for_first(timeout_seconds=30)
    assert looked.is_set()
    poller.close()


def test_what_was_refused_is_tried_again_after_the_stated_number_of_looks() -> None:
    retries = Retries(3)
    assert not retries.must_wait("problem", "version 1")
    retries.refused("problem", "version 1")
    assert [retries.must_wait("problem", "version 1") for _ in range(3)] == [True, True, False]


def test_another_attempt_and_another_key_need_not_wait() -> None:
    retries = Retries(100)
    retries.refused("problem", "version 1")
    assert not retries.must_wait("other", "version 1")
    assert not retries.must_wait("problem", "version 2")


def test_a_forgotten_refusal_needs_not_wait() -> None:
    retries = Retries(100)
    retries.refused("problem", "version 1")
    retries.forget("problem")
    assert not retries.must_wait("problem", "version 1")
