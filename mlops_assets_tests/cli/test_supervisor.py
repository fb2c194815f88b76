from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mlops_assets.cli.services import answers
from mlops_assets.cli.supervisor import Service, ServiceFailed, Supervisor
from mlops_assets_tests.cli.conftest import free_port
from mlops_assets_tests.cli.processes import eventually, lives, script, web_server

STUBBORN_PARENT = """
import pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}])
pathlib.Path({note!r}).write_text(str(child.pid))
time.sleep(600)
"""
IGNORES_SIGTERM = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({ready!r}).touch()
time.sleep(600)
"""


def start_healthy(supervisor: Supervisor, *services: Service) -> dict[str, float]:
    told: dict[str, float] = {}
    for service in services:
        supervisor.start(service)
    assert supervisor.wait_until_healthy(
        [service.name for service in services],
        timeout_seconds=30,
        on_healthy=lambda name, seconds: told.update({name: seconds}),
    )
    return told


def test_each_service_is_told_once_healthy_with_its_time(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        told = start_healthy(
            supervisor,
            web_server("one", free_port(), tmp_path),
            web_server("two", free_port(), tmp_path),
        )
    assert set(told) == {"one", "two"}
    assert all(0 < seconds < 30 for seconds in told.values())


def test_leaving_the_block_ends_every_service(tmp_path: Path) -> None:
    port = free_port()
    with Supervisor() as supervisor:
        start_healthy(supervisor, web_server("one", port, tmp_path))
        assert answers(f"http://127.0.0.1:{port}/")
    assert not answers(f"http://127.0.0.1:{port}/")


def test_a_service_that_dies_is_named_with_its_last_log_lines(tmp_path: Path) -> None:
    code = "import sys; print('line', 1); print('no such table: runs'); sys.exit(3)"
    dying = script("MLflow", code, tmp_path, lambda: False)
    with Supervisor() as supervisor:
        start_healthy(supervisor, web_server("API", free_port(), tmp_path))
        supervisor.start(dying)
        with pytest.raises(ServiceFailed) as caught:
            supervisor.watch()
    message = str(caught.value)
    assert "MLflow ended by itself (exit code 3)" in message
    assert "no such table: runs" in message
    assert str(dying.log) in message


def test_a_service_killed_from_outside_is_reported_with_the_signal(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, pathlib, time; pathlib.Path({str(note)!r}).write_text(str(os.getpid()))"
    with Supervisor() as supervisor:
        start_healthy(
            supervisor, script("API", f"{code}; time.sleep(600)", tmp_path, lambda: filled(note))
        )
        os.kill(int(note.read_text()), signal.SIGKILL)
        with pytest.raises(ServiceFailed, match=r"API ended by itself \(signal 9\)"):
            supervisor.watch()


def test_a_service_that_never_answers_is_given_up_with_its_log(tmp_path: Path) -> None:
    mute = script("Dagster", "import time; time.sleep(600)", tmp_path, lambda: False)
    with Supervisor() as supervisor:
        supervisor.start(mute)
        with pytest.raises(ServiceFailed, match=r"Dagster did not answer within 0 s; its log"):
            supervisor.wait_until_healthy(
                ["Dagster"], timeout_seconds=0.2, on_healthy=lambda *_: None
            )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_process_down_to_grandchildren(
    tmp_path: Path, number: signal.Signals
) -> None:
    note = tmp_path / "grandchild"
    child = "import time; time.sleep(600)"
    code = STUBBORN_PARENT.format(child=child, note=str(note))
    port = free_port()
    with Supervisor() as supervisor, supervisor.stopping_on_signals():
        start_healthy(
            supervisor,
            web_server("API", port, tmp_path),
            script("parent", code, tmp_path, lambda: filled(note)),
        )
        os.kill(os.getpid(), number)
        supervisor.watch()
        supervisor.stop_all()
        grandchild = int(note.read_text())
        assert eventually(lambda: not lives(grandchild))
    assert not answers(f"http://127.0.0.1:{port}/")


def test_a_service_that_ignores_sigterm_is_killed_after_the_grace_time(tmp_path: Path) -> None:
    ready, note = tmp_path / "ready", tmp_path / "grandchild"
    code = STUBBORN_PARENT.format(child=IGNORES_SIGTERM.format(ready=str(ready)), note=str(note))
    with Supervisor(grace_seconds=0.2) as supervisor:
        start_healthy(supervisor, script("parent", code, tmp_path, ready.exists))
        assert eventually(lambda: filled(note))
    grandchild = int(note.read_text())
    assert eventually(lambda: not lives(grandchild))


def test_a_second_signal_does_not_wait_for_the_grace_time(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    stubborn = script("slow", IGNORES_SIGTERM.format(ready=str(ready)), tmp_path, ready.exists)
    # With the grace of an hour, this test ends only if the second signal cuts it.
    with Supervisor(grace_seconds=3600) as supervisor, supervisor.stopping_on_signals():
        start_healthy(supervisor, stubborn)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        supervisor.watch()


def test_a_stop_asked_while_waiting_for_health_ends_the_wait(tmp_path: Path) -> None:
    with Supervisor() as supervisor, supervisor.stopping_on_signals():
        supervisor.start(script("mute", "import time; time.sleep(600)", tmp_path, lambda: False))
        os.kill(os.getpid(), signal.SIGTERM)
        assert not supervisor.wait_until_healthy(
            ["mute"], timeout_seconds=3600, on_healthy=lambda *_: None
        )


def test_the_handlers_of_before_are_back_after_the_block() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Supervisor() as supervisor, supervisor.stopping_on_signals():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def filled(path: Path) -> bool:
    return path.exists() and path.read_text() != ""


def test_a_task_is_waited_for_and_its_end_is_no_failure(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        start_healthy(supervisor, web_server("one", free_port(), tmp_path))

        done = supervisor.complete(script("task", "pass", tmp_path, lambda: True))
        failed = supervisor.complete(script("task", "raise SystemExit(3)", tmp_path, lambda: True))

    assert (done, failed) == (0, 3)


def test_a_task_is_given_up_when_a_stop_is_asked_for(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.stop_asked.set()

        assert supervisor.complete(script("task", "import time; time.sleep(600)", tmp_path,
                                          lambda: True)) is None  # fmt: skip


def test_a_service_that_dies_beside_a_task_ends_the_wait(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.start(script("api", "raise SystemExit(1)", tmp_path, lambda: True))

        with pytest.raises(ServiceFailed, match="api ended by itself"):
            supervisor.complete(
                script("task", "import time; time.sleep(600)", tmp_path, lambda: True)
            )
