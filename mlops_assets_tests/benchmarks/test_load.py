from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

import pytest

from benchmarks.serving import wrk
from benchmarks.serving.paced import NO_ANSWER, PacedLoad
from benchmarks.serving.peer_services import hello
from benchmarks.serving.processes import HOST, Service, ask, bare_environment, free_port
from mlops_assets_tests.serving.running import until

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


@pytest.fixture(scope="module")
def greeting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that answers every POST with 200."""
    with hello().start(tmp_path_factory.mktemp("hello")) as service:
        service.until(lambda: ask(service.port, "POST", "/", b"{}").status == 200, what="hello")
        yield service


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that answers every POST with 501."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", HOST]
    folder = tmp_path_factory.mktemp("refusing")
    with Service(command, port=port, environment=bare_environment({}), folder=folder) as service:
        service.until(lambda: ask(port, "GET", "/").status == 200, what="the file server answers")
        yield service


@needs_wrk
def test_good_answers_are_counted_with_their_latency(greeting: Service) -> None:
    load = wrk.load(greeting.port, "/", [b"{}", b'{"a":1}'], connections=2, seconds=0.5)
    assert load.answers > 10
    assert load.failed == 0
    assert 0 < load.p50_ms <= load.p99_ms <= load.max_ms
    assert load.per_second == pytest.approx(load.answers / load.seconds)


@needs_wrk
def test_refused_answers_do_not_count_as_requests_per_second(refusing: Service) -> None:
    load = wrk.load(refusing.port, "/", [b"{}"], connections=1, seconds=1)
    assert load.refused == load.answers > 0
    assert load.per_second == 0


@needs_wrk
def test_a_load_that_is_stopped_early_tells_what_it_saw(greeting: Service) -> None:
    with wrk.running(greeting.port, "/", [b"{}"], connections=1, seconds=300) as under_way:
        before = greeting.cpu_seconds
        until(lambda: greeting.cpu_seconds > before, what="requests arrive")
        load = under_way.stop()
    assert load.answers > 0
    assert load.seconds < 100


def test_a_machine_without_wrk_is_told_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(wrk.WrkError, match="install the Debian package `wrk`"):
        wrk.load(1, "/", [b"{}"], connections=1, seconds=1)


def test_a_paced_load_remembers_each_request_once(greeting: Service) -> None:
    with PacedLoad(greeting.port, "/", [b"{}"], per_second=200, callers=2) as load:
        until(lambda: load.sent >= 20, what="20 requests were sent")
    answers = load.answers()
    assert answers.failed == 0
    assert answers.total == answers.statuses[200] == len(answers.ids) == len(set(answers.ids))
    assert {"caller-0-0", "caller-1-0"} <= set(answers.ids)


def test_a_paced_load_counts_refusals_and_silence_as_failures(refusing: Service) -> None:
    with PacedLoad(refusing.port, "/", [b"{}"], per_second=100, callers=1) as load:
        until(lambda: load.sent >= 3, what="3 requests were sent")
    assert load.answers().failed == load.answers().statuses[501] == load.answers().total
    assert "Unsupported method" in load.answers().first_failure
    with PacedLoad(free_port(), "/", [b"{}"], per_second=100, callers=1) as silence:
        until(lambda: silence.sent >= 3, what="3 requests were sent")
    assert set(silence.answers().statuses) == {NO_ANSWER}
    assert silence.answers().ids == []
